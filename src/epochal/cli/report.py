"""`epochal report`: runs or a study as one page that works offline, or followed live."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from epochal.errors import RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCommand:
    """Make one self-contained HTML page of runs or of a study: plan, audit, curves, mistakes, environment.

    Example: epochal report runs/mnist-mlp-1

    Attributes:
        runs: run folders, or study folders.
        out: the file to write. Default: report.html in the run's or study's folder, or here for several.
        lang: the language that the page opens in; it can be switched on the page.
        watch: follow the training on a page that this command serves on this machine, until Ctrl-C.
        port: for --watch. Default: any free port.
        open: show the page in the browser.
    """

    runs: Positional[Annotated[tuple[Path, ...], arg(metavar="RUN|STUDY …", help_behavior_hint="")]]
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    lang: Literal["en", "zh"] = "en"
    watch: bool = False
    port: Annotated[int, arg(metavar="PORT", help_behavior_hint="")] = 0
    open: bool = False

    def execute(self) -> int:
        """Write the page, or serve it."""
        return self._serve() if self.watch else self._write()

    def _write(self) -> int:
        from epochal.report import read, render
        from epochal.run.test_outputs import OutputsReader

        page = read(self.runs, outputs=OutputsReader())
        file = self.out or (self.runs[0] if len(self.runs) == 1 else Path()) / "report.html"
        for notice in page.notices:
            if notice.key == "unreadable":
                print(f"epochal: left out: {notice.values['reason']}", file=sys.stderr)

        _write_whole(file, render(page, self.lang))
        print(f"report: {file} ({file.stat().st_size / 1e6:.1f} MB)")
        if self.open:
            _show(file.resolve().as_uri())
        return 0

    def _serve(self) -> int:
        from epochal.report import updates
        from epochal.web.server import PageServer, Route

        self._page({})  # what cannot be shown is said now, not in the browser
        routes: dict[str, Route] = {"/": self._page, "/updates": lambda query: updates.answer(self.runs, query)}
        server = PageServer.open(routes, self.port)
        print(f"watching on {server.url} (Ctrl-C ends it)", flush=True)
        if self.open:
            _show(server.url)
        server.run()
        return 0

    def _page(self, query: Mapping[str, str]) -> str:
        """Return the current page; predictions are computed once no run is in training."""
        from epochal.report import read, render

        page = read(self.runs)
        if all(run.record.is_over for run in page.runs):
            from epochal.run.test_outputs import OutputsReader

            page = read(self.runs, outputs=OutputsReader())
        return render(page, self.lang, watch=True)


def _write_whole(file: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(f"cannot write {file}: {error.strerror}; choose another place with --out") from error


def _show(url: str) -> None:
    import webbrowser

    webbrowser.open(url)
