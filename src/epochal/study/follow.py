"""What a run has done since a page was made: small queries, so that watching costs the training next to nothing."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from epochal.record.folder import RunFolder
from epochal.record.history import History
from epochal.study.gather import status_of
from epochal.study.records import MAY_GO_ON, Increment, Point


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


def news_of(path: str | os.PathLike[str], known: Known) -> Increment:
    """Return what a run has done since. Raises `RunError` where it cannot be read."""
    folder = RunFolder(Path(path))
    file, history = folder.read(), History(folder.history_db)
    end, samples, seconds = history.sums_until(known.epoch)
    first, losses = history.losses_from(known.iterations)
    sessions = history.sessions
    status = status_of(folder, history)
    return Increment(
        file=file,
        status=status,
        is_over=status not in MAY_GO_ON,
        sessions=len(sessions),
        first=first,
        losses=losses,
        start=Point(known.epoch, end, samples, seconds),
        epochs=history.epochs_after(known.epoch),
        tests=tuple(row for row in history.evaluations_after(known.tested) if row.split == "test"),
        training_seconds=math.fsum(session.chunk_seconds for session in sessions),
    )
