"""The run room: configuration, host loop, run folder, history, checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.run.run import Run, Snapshot
    from epochal.run.session import Rerun, rerun, resume, start, train
    from epochal.run.setup import set_up

__all__ = ["Rerun", "Run", "Snapshot", "rerun", "resume", "set_up", "start", "train"]

_HOMES = {
    "Rerun": "session",
    "Run": "run",
    "Snapshot": "run",
    "rerun": "session",
    "resume": "session",
    "set_up": "setup",
    "start": "session",
    "train": "session",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
