"""The run room: configuration, host loop, run folder, history, checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.run.config import TrainConfig
    from epochal.run.run import Run, start, train
    from epochal.run.setup import set_up

__all__ = ["Run", "TrainConfig", "set_up", "start", "train"]

_HOMES = {"Run": "run", "TrainConfig": "config", "set_up": "setup", "start": "run", "train": "run"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
