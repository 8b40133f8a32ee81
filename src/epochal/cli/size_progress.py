"""What a terminal shows of a study of batch sizes while it is worked on: a line for each trial, and for each size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console

from epochal import formats
from epochal.cli.screen import print_notes
from epochal.cli.text_lines import print_text
from epochal.study.batch_size.kept import BatchSizeRecord, Pilot
from epochal.study.batch_size.trials import SizeRow
from epochal.study.batch_size.work import BatchSizesCallback
from epochal.study.target import Ending, Trial
from epochal.words.catalogue import counted, tell

_ENDINGS: Final[Mapping[Ending, str]] = {
    "cut": "size_progress.cut",
    "diverged": "size_progress.diverged",
    "limit": "size_progress.limit",
}


class SizeProgress(BatchSizesCallback):
    """Prints what happens."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def on_study(self, record: BatchSizeRecord, samples: int, held_out: int, notes: Sequence[str]) -> None:
        """Print what is studied, and what the user should know of it."""
        counts = {"samples": formats.count(samples), "held_out": formats.count(held_out)}
        begin = "size_progress.begin_test" if record.request.judge == "test" else "size_progress.begin"
        print_text(self._console, tell(begin, data=record.data.name, **counts))
        print_notes(notes, self._console)

    def on_pilot(self, pilot: Pilot) -> None:
        """Print the target that a first training said."""
        values = {"begun": formats.loss(pilot.begun), "best": formats.loss(pilot.best)}
        print_text(self._console, tell("size_progress.pilot", target=_target(pilot), **values))

    def on_trial(self, trial: Trial) -> None:
        """Print a trial."""
        about = {"size": formats.count(trial.batch_size), "rate": f"{trial.lr:g}", "seed": trial.seed}
        if trial.steps is None:
            ending = tell(_ENDINGS[trial.why], updates=counted(trial.updates, "update"))
        else:
            ending = str(counted(round(trial.steps), "update"))
        print_text(self._console, tell("size_progress.trial", ending=ending, **about))

    def on_row(self, row: SizeRow) -> None:
        """Leave a line between two sizes."""
        self._console.print()

    def on_speeds(self, sizes: Sequence[int]) -> None:
        """Say that speeds are measured."""
        print_text(self._console, tell("size_progress.speeds"))


def _target(pilot: Pilot) -> str:
    return tell("sizes.loss", value=f"{pilot.target.value:g}")
