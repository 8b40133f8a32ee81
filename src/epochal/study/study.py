"""`Study`: a study's record, and its runs with their models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from epochal.formats import plural
from epochal.lazy import drawn_by
from epochal.record.landscape_record import LandscapeRecord
from epochal.record.study_record import StudyRecord, is_finished
from epochal.run.run import Run


class Study(StudyRecord):
    """A study folder and what it holds.

    >>> study = Study.open("runs/compare-mnist-1")  # doctest: +SKIP
    >>> {name: run.status for name, run in study.runs.items()}  # doctest: +SKIP
    {'batch-1': 'finished', 'batch-100': 'finished', 'batch-all': 'finished'}
    """

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Study:
        """Open a study folder. Raises `RunError` where it is none or is damaged."""
        return cls.read(Path(path))

    def __repr__(self) -> str:
        names = [member.name for member in self.members]
        shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
        return f"Study '{self.path}': {plural(len(names), 'run')} of {self.data.name} ({shown})"

    def _repr_html_(self) -> str:
        return str(drawn_by("shown:study", self))

    def plot(self, what: str = "loss", *, ax: Any = None) -> Any:
        """Draw a metric of the test set over epochs, a line for each run, with Matplotlib; return the axes.

        Arguments and errors are those of `Run.plot`.
        """
        return drawn_by("plots:plot_study", self, what, ax)

    def report(self, out: str | os.PathLike[str] | None = None, *, lang: str | None = None) -> Path:
        """Write the study's report and return its path, which a notebook shows as the page; as `Run.report`."""
        file: Path = drawn_by("inline_report:write_report", self, out, lang)
        return file

    @property
    def runs(self) -> dict[str, Run]:
        """The runs that exist already, by name, in the members' order. Raises `RunError` for a damaged one."""
        folders = {member.name: self.folder_of(member) for member in self.members}
        return {name: Run.open(folder) for name, folder in folders.items() if (folder / "run.toml").exists()}

    @property
    def is_finished(self) -> bool:
        """Whether every run came to its end, or diverged, which is an end too."""
        return is_finished(self.compared_runs())

    @property
    def landscapes(self) -> dict[str, LandscapeRecord]:
        """The landscapes that were computed, by kind: ``pca``, ``random``. Raises `RunError` for a damaged one."""
        return {kind: LandscapeRecord.read(file) for kind, file in self.landscape_files.items()}
