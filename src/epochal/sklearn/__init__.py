"""Estimators with scikit-learn's conventions: nothing is written, and a repeated fit takes milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.sklearn.classifier import EpochalClassifier
    from epochal.sklearn.regressor import EpochalRegressor

__all__ = ["EpochalClassifier", "EpochalRegressor"]

_HOMES = {"EpochalClassifier": "classifier", "EpochalRegressor": "regressor"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
