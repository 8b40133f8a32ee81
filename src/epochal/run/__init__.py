"""Training: `api` starts and continues runs, `fit` is the loop, callbacks follow it, `Run` is what it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.run.api import Rerun, rerun, resume, start, train
    from epochal.run.callbacks import Callback, EarlyStop
    from epochal.run.run import Run, Snapshot
    from epochal.run.setup import set_up

__all__ = ["Callback", "EarlyStop", "Rerun", "Run", "Snapshot", "rerun", "resume", "set_up", "start", "train"]

_HOMES = {
    "Callback": "callbacks",
    "EarlyStop": "callbacks",
    "Rerun": "api",
    "Run": "run",
    "Snapshot": "run",
    "rerun": "api",
    "resume": "api",
    "set_up": "setup",
    "start": "api",
    "train": "api",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
