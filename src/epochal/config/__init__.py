"""What can be chosen, each option declared once: Python's calls, `run.toml` and the command line are made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.config.study_config import StudyConfig
    from epochal.config.train_config import TrainConfig

__all__ = ["StudyConfig", "TrainConfig"]

_HOMES = {"StudyConfig": "study_config", "TrainConfig": "train_config"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
