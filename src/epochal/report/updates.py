"""Live updates: what a run has recorded since its page was made, with small queries that cost the training nothing."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epochal.plan_rows import counters
from epochal.record.folder import RunFolder
from epochal.record.history import Increment, read_increment
from epochal.record.rows import EvaluationRow
from epochal.record.run_record import MAY_CONTINUE, status_of
from epochal.record.run_toml import RunFile, read_run_toml
from epochal.report import series
from epochal.report.reader import find_runs
from epochal.report.series import EpochTotals
from epochal.words.plain_text import plain_text

_NUMBER = re.compile(r"-?[0-9]{1,15}")  # what the page's script counts exactly


@dataclass(frozen=True, slots=True)
class Known:
    """What a page has of a run already.

    Attributes:
        iterations: losses that it holds.
        epoch: the last complete epoch that it knows.
        tested: the iteration of the last evaluation that it knows; -1 for none.
    """

    iterations: int
    epoch: int
    tested: int


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """What a run has recorded since.

    Attributes:
        is_over: whether nothing more is to be expected.
        start: the end of the last epoch that the page knows; what follows is after it.
    """

    file: RunFile
    is_over: bool
    start: EpochTotals
    increment: Increment

    @property
    def iterations(self) -> int:
        """Iterations of the run by now."""
        return self.increment.first + self.increment.losses.size

    @property
    def tests(self) -> tuple[EvaluationRow, ...]:
        """The evaluations of the test set that are new."""
        return tuple(row for row in self.increment.evaluations if row.split == "test")

    @property
    def training_seconds(self) -> float:
        """Seconds in training chunks, without compilation and evaluation."""
        return math.fsum(session.chunk_seconds for session in self.increment.sessions)


def read_update(path: Path, known: Known) -> Update:
    """Return what a run has recorded since. Raises `RunError` where it cannot be read."""
    folder = RunFolder(path)
    file = read_run_toml(folder.run_toml)
    increment = read_increment(folder.history_db, iterations=known.iterations, epoch=known.epoch, tested=known.tested)
    status = status_of(folder, increment.sessions[-1].status if increment.sessions else None)
    start = EpochTotals(known.epoch, increment.iterations, increment.samples, increment.seconds)
    return Update(file, status not in MAY_CONTINUE, start, increment)


def answer(paths: Sequence[str | os.PathLike[str]], query: Mapping[str, str]) -> dict[str, Any]:
    """Answer a page of these paths that asks for one run's update.

    Returns ``is_over``, and either ``update``, or ``reload`` where the page must be made anew: the run was resumed or
    changed, went back behind what the page shows, or needs larger buckets.

    Raises:
        KeyError: for any other query.
        RunError: where the run cannot be read.
    """
    runs = {plain_text(name): path for name, path in find_runs(paths).runs}  # as the page has them
    numbers = [query[name] for name in ("iterations", "bucket", "epoch", "tested")]
    if not all(map(_NUMBER.fullmatch, numbers)):
        raise KeyError
    iterations, bucket, epoch, tested = map(int, numbers)
    if iterations < 0 or bucket < 1:
        raise KeyError

    update = read_update(runs[query["run"]], Known(iterations, epoch, tested))
    done = update.iterations
    if series.version_of(update.file, len(update.increment.sessions)) != query["version"] or done < iterations:
        return {"reload": True, "is_over": False}
    if series.outgrows(done, bucket, len(runs)):
        return {"reload": True, "is_over": update.is_over}

    is_new = done // bucket * bucket > iterations
    return {"is_over": update.is_over, "update": pack(update, iterations, bucket) if is_new else None}


def pack(update: Update, iterations: int, bucket: int) -> dict[str, Any]:
    """Return an update for a page that has ``iterations`` losses, in whole buckets of ``bucket``."""
    file, increment, done = update.file, update.increment, update.iterations
    new = increment.losses[iterations - increment.first :]
    return {
        "iterations": done,
        "position": counters(file.position_after(done), file.plan_at(done)),
        "losses": series.pack_losses(new[: new.size // bucket * bucket], bucket),
        "time": series.time_table(file, done, increment.epochs, update.training_seconds, update.start),
        "points": series.points(increment.epochs, update.tests),
    }
