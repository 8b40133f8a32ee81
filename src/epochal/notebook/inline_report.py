"""`report()` of runs and studies: writes the page, and is the path of a file that a notebook shows."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from epochal.errors import RunError
from epochal.files import atomic_write
from epochal.report import read, render
from epochal.web.fragment import Fragment

if TYPE_CHECKING:
    from epochal.run.run import Run
    from epochal.study.study import Study

# the kind of this system: Path itself cannot be derived from before Python 3.12
if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())


class ReportFile(_Path):
    """A written report: a path like any other, which a notebook shows as the page itself."""

    def _repr_html_(self) -> str | None:
        """Return the page inside a frame of its own, which needs no server: it is in the notebook as a whole."""
        if not self.is_file():
            return None
        write = Fragment.here()
        name = write.say("cell.report", name=self.parent.name)
        # a page without an address of its own takes its links to sections for the notebook's
        page = self.read_text(encoding="utf-8").replace('href="#', 'href="about:srcdoc#')
        frame = f'<iframe sandbox="allow-scripts" title="{name}" srcdoc="{escape(page)}"></iframe>'
        return write.whole(Markup(frame))


def write_report(of: Run | Study, out: str | os.PathLike[str] | None = None, lang: str | None = None) -> ReportFile:
    """Write the report of a run or a study, and return where it is.

    Raises `RunError` where there is no folder to read, or the file cannot be written.
    """
    from epochal.run.outputs import OutputsReader

    folder = of.path
    file = ReportFile(folder / "report.html" if out is None else out)
    text = render(read([folder], outputs=OutputsReader()), lang or Fragment.here().lang)
    try:
        atomic_write(file, text.encode(errors="replace"))
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}; choose another place with out=…") from error
    return file
