"""The run room: configuration, host loop, run folder, history, checkpoints."""

from epochal.run.config import TrainConfig
from epochal.run.run import Run, start, train

__all__ = ["Run", "TrainConfig", "start", "train"]
