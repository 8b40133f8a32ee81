"""Trained models for other programs: StableHLO, ONNX, safetensors, NumPy; and a run's history for TensorBoard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.export.writing import export_run

FORMATS = ("stablehlo", "onnx", "safetensors", "numpy", "tensorboard")

__all__ = ["FORMATS", "export_run"]

__getattr__, __dir__ = lazy_names(__name__, {"export_run": "writing"})
