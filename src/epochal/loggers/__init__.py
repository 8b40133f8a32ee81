"""Other tools that follow a training: TensorBoard, Weights & Biases, MLflow, Trackio, Optuna (docs/callbacks.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.loggers.mlflow_logger import MLflow
    from epochal.loggers.pruning import Pruning
    from epochal.loggers.tensorboard import TensorBoard
    from epochal.loggers.trackio_logger import Trackio
    from epochal.loggers.wandb_logger import WandB

__all__ = ["MLflow", "Pruning", "TensorBoard", "Trackio", "WandB"]

_HOMES = {
    "MLflow": "mlflow_logger",
    "Pruning": "pruning",
    "TensorBoard": "tensorboard",
    "Trackio": "trackio_logger",
    "WandB": "wandb_logger",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
