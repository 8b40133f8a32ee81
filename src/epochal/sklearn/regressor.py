"""The regressor: one output for each target, in units in which they all look alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from sklearn.base import RegressorMixin
from sklearn.utils.validation import column_or_1d, validate_data

from epochal.errors import DataError
from epochal.sklearn.estimator import STORED, Estimator, Samples, checked_weights
from epochal.sklearn.scaling import Scaling
from epochal.sklearn.settings import documented


@documented
class EpochalRegressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """A regressor trained in exact epochs: in each, every sample is used once. Nothing is written to disk.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = EpochalRegressor(epochs=20, random_state=0).fit(X, y)
    >>> regressor.n_iter_, regressor.n_updates_, bool(regressor.score(X, y) > 0.4)
    (20, 280, True)

    It descends the mean squared error of standardised targets, so that usual learning rates fit targets of any size,
    and several of different ones; all that it returns is in the targets' own units. The second and every later fit of
    a shape takes milliseconds, as with `EpochalClassifier`.

    Args:
        {parameters}

    Attributes:
        n_iter_: epochs of the training so far, warm starts and partial fits included.
        n_updates_: updates of the weights so far.
        loss_curve_: each epoch's mean squared error in the targets' units (of the batches before their updates,
            weighted); ``loss_`` is the last.
        validation_scores_: each epoch's R² on what was held out; ``None`` without early stopping.
        best_validation_score_: the best of them.
        params_: the weights: dicts of NumPy arrays; ``coefs_`` and ``intercepts_`` are those of dense layers.
        n_features_in_, feature_names_in_, n_outputs_: as everywhere in scikit-learn.
    """

    _kind = "regression"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> EpochalRegressor:
        """Train for all epochs.

        Args:
            X: ``(n, features)`` finite numbers: an array, a frame or lists.
            y: ``(n,)`` or ``(n, k)`` finite numbers.
            sample_weight: ``(n,)`` how much each sample's loss counts, at least 0; relative to their mean. With
                ``batch_size="all"``, a weight of 2 is the sample given twice.

        Raises:
            ValueError: for data or parameters that cannot be used, and where the loss is no longer finite.
        """
        return self._fit(X, y, sample_weight, is_partial=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> EpochalRegressor:
        """Train for exactly one epoch over these samples, from where the training is.

        The first call's targets decide the units of all later ones. Takes and raises what `fit` does.
        """
        return self._fit(X, y, sample_weight, is_partial=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, is_partial: bool) -> EpochalRegressor:
        settings, goes_on = self._start(is_partial=is_partial)
        x, y = validate_data(self, X, y, dtype=STORED, reset=not goes_on, multi_output=True, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        columns = y.reshape(len(y), -1)
        weight = checked_weights(sample_weight, len(y))

        if not goes_on:
            self._target_scaling, self._is_flat = Scaling.of(columns, weight), y.ndim == 1
            self.n_outputs_ = columns.shape[1]
        elif columns.shape[1] != self.n_outputs_:
            raise DataError(f"y has {columns.shape[1]} columns, but {self.n_outputs_} in the training that goes on")

        samples = Samples(x, self._target_scaling.apply(columns), weight)
        self._train(settings, samples, self.n_outputs_, goes_on=goes_on, is_partial=is_partial)
        return self

    def _units(self) -> Float32[np.ndarray, " outputs"]:
        return self._target_scaling.scale.astype(np.float32)

    def _score_of(self, outputs: Float32[np.ndarray, "n outputs"], samples: Samples) -> float:
        """Return R², the mean over the targets; their units do not change it."""
        y, predicted = samples.y.astype(np.float64), outputs.astype(np.float64)

        def mean(values: Float64[np.ndarray, "n outputs"]) -> Float64[np.ndarray, " outputs"]:
            averages: Float64[np.ndarray, " outputs"] = np.average(values, axis=0, weights=samples.weight)
            return averages

        error, spread = mean(np.square(predicted - y)), mean(np.square(y - mean(y)))
        of_constant = np.where(error > 0, 0.0, 1.0)
        return float(np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), of_constant).mean())

    def predict(self, X: Any) -> Float64[np.ndarray, "n *outputs"]:
        """Return predictions in the targets' units, shaped as they were; each depends on no other sample.

        Raises ``NotFittedError`` before `fit`, and `ValueError` for samples that are no such numbers.
        """
        outputs = self._outputs_for(X)
        predictions = self._target_scaling.undo(outputs)
        return predictions[:, 0] if self._is_flat else predictions

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
