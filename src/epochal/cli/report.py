"""`epochal report`: write a self-contained HTML report of runs or a study, or serve it live."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from datetime import UTC, datetime
from pathlib import Path

from epochal.config.options import FILE, PATHS, SWITCH, Kind, count, option
from epochal.errors import AlteredWarning, OptionError, RunError
from epochal.files import atomic_write, real_path
from epochal.words.catalogue import tell
from epochal.words.language import present_language
from epochal.words.phrases import translate


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCommand:
    """Make one self-contained HTML page of runs or of a study: plan, audit, curves, mistakes, environment.

    Example: epochal report runs/mnist-mlp-1
    """

    runs: tuple[Path, ...] = option(
        MISSING, "Run folders, or study folders.", Kind(PATHS.read, "RUN|STUDY …", "many"), positional=True
    )
    out: Path | None = option(
        None, "The file to write.", FILE, text="report.html in the run's or study's folder, or here for several"
    )
    watch: bool = option(
        False, "Follow the training on a page that this command serves on this machine, until Ctrl-C.", SWITCH
    )
    port: int | None = option(None, "For --watch.", count("PORT", at_least=0), text="any free one")
    open: bool = option(False, "Show the page in the browser.", SWITCH)

    def execute(self) -> int:
        """Write the page, or serve it. Raises `OptionError` for an option of the other one."""
        from epochal.study.batch_size.kept import BatchSizeRecord

        if self.watch and self.out is not None:
            raise OptionError("--watch serves the page and writes no file; leave out --out")
        if self.port is not None and not self.watch:
            raise OptionError("--port is for --watch, which serves the page; leave it out, or add --watch")
        if any(BatchSizeRecord.is_at(path) for path in self.runs):
            return self._write_sizes()
        return self._serve() if self.watch else self._write()

    def _write(self) -> int:
        from epochal.report import read, render
        from epochal.run.outputs import OutputsReader

        page = read(self.runs, outputs=OutputsReader())
        file = self.out or (self.runs[0] if len(self.runs) == 1 else Path()) / "report.html"
        for notice in page.notices:
            reason = str(notice.values.get("reason", ""))
            if notice.key == "unreadable":
                print(tell("report_file.left_out", reason=translate(reason)), file=sys.stderr)
            elif notice.key == "altered":
                warnings.warn(reason, AlteredWarning, stacklevel=1)

        return self._save(file, render(page, present_language()))

    def _write_sizes(self) -> int:
        """Write the page of a study of batch sizes."""
        from epochal.report.sizes_page import render_sizes
        from epochal.study.batch_size.answer import Answer
        from epochal.study.batch_size.kept import BatchSizeRecord

        folder = next(path for path in self.runs if BatchSizeRecord.is_at(path))
        if len(self.runs) > 1:
            raise OptionError(f"{folder} is a study of batch sizes and has a page of its own; give it alone")
        if self.watch:
            raise OptionError("--watch follows runs; a study of batch sizes prints its trials itself: leave it out")

        study = BatchSizeRecord.read(folder).results
        made = datetime.now(UTC).isoformat(timespec="minutes").removesuffix("+00:00")
        page = render_sizes(Answer.of(study), present_language(), title=real_path(folder).name, made=made)
        return self._save(self.out or folder / "report.html", page)

    def _save(self, file: Path, text: str) -> int:
        """Write the file, and show it if that is asked."""
        try:
            atomic_write(file, text.encode(errors="replace"))
        except OSError as error:
            raise RunError(f"cannot write {file}: {error.strerror}; choose another place with --out") from error
        print(tell("report_file.written", file=file, megabytes=f"{file.stat().st_size / 1e6:.1f}"))
        if self.open:
            _show(real_path(file).as_uri())
        return 0

    def _serve(self) -> int:
        from epochal.cli.signals import leaving_behind
        from epochal.report import updates
        from epochal.web.server import PageServer, Route

        self._page({})  # what cannot be shown is said now, not in the browser
        routes: dict[str, Route] = {"/": self._page, "/updates": lambda query: updates.answer(self.runs, query)}
        server = PageServer.open(routes, self.port or 0)
        print(tell("report_file.watching", url=server.address), flush=True)
        with leaving_behind(lambda: server.is_answering):
            if self.open:
                _show(server.address)
            server.run()
        return 0

    def _page(self, query: Mapping[str, str]) -> str:
        """Return the current page; predictions are computed once no run is in training."""
        from epochal.report import read, render

        page = read(self.runs)
        if all(run.record.is_over for run in page.runs):
            from epochal.run.outputs import OutputsReader

            page = read(self.runs, outputs=OutputsReader())
        return render(page, present_language(), watch=True)


def _show(url: str) -> None:
    import webbrowser

    webbrowser.open(url)
