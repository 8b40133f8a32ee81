"""`epochal learn`: a page on this machine where the real engine takes one step when asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from epochal.config.options import FILE, SWITCH, count, option, text
from epochal.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnCommand:
    """See epochs, batches and iterations happen: a page where the real engine takes one step when asked.

    Example: epochal learn

    Ten lessons of a minute each explain the words. The page is served on this machine alone, until Ctrl-C.
    """

    data: str = option(
        "digits",
        "A data set's name, your own file or folder, or one of two toys: line, points.",
        text("a name or a path", "DATA"),
        positional=True,
    )
    port: int | None = option(None, "Where the page is served.", count("PORT", at_least=0), text="any free one")
    no_browser: bool = option(False, "Print the address, and do not open it in the browser.", SWITCH)
    export: Path | None = option(
        None, "Write a recorded session into one HTML file that needs no server, and end.", FILE
    )
    lesson: str | None = option(
        None, "For --export: a lesson's name, or all.", text("a lesson's name or all"), text="all"
    )

    def execute(self) -> int:
        """Serve the page, or write one that plays a recording. Raises `OptionError` for an option of the other one."""
        if self.lesson is not None and self.export is None:
            raise OptionError("--lesson is for --export, which records it; leave it out, or add --export FILE")
        if self.export is not None and self.port is not None:
            raise OptionError("--export writes a file and serves nothing; leave out --port")
        return self._serve() if self.export is None else self._write(self.export)

    def _serve(self) -> int:
        import secrets
        import webbrowser

        from epochal.cli.signals import leaving_behind
        from epochal.learn.lab import Lab
        from epochal.learn.service import site_of
        from epochal.web.connections import LAST_SECONDS
        from epochal.web.server import PageServer
        from epochal.words.catalogue import tell

        lab = Lab(self.data)
        lab.load(self.data)  # what cannot be loaded is said now, not in the browser
        server = PageServer.open(site_of(lab, secrets.token_urlsafe(16)), self.port or 0)
        with leaving_behind(lambda: server.is_answering or lab.is_computing):
            print(tell("learning.at", url=server.address), flush=True)
            if not self.no_browser:
                webbrowser.open(server.address)
            server.run(ending=lambda: lab.close(0))
            lab.close(LAST_SECONDS)
        return 0

    def _write(self, file: Path) -> int:
        from epochal.learn.recording import write_recording
        from epochal.words.catalogue import tell

        size = write_recording(file, self.data, self.lesson or "all")
        print(tell("learning.written", file=file, size=f"{size / 1e6:.1f}"))
        return 0
