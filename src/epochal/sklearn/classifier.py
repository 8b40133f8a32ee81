"""The classifier: softmax outputs, one for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Float64, Shaped
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from epochal.errors import DataError, OptionError
from epochal.sklearn.estimator import STORED, Estimator, Samples, Weight, checked_weights
from epochal.sklearn.settings import documented


@documented
class EpochalClassifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """A classifier trained in exact epochs: in each, every sample is used once. Nothing is written to disk.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = EpochalClassifier(epochs=20, random_state=0).fit(X, y)
    >>> classifier.n_iter_, classifier.n_updates_, classifier.predict(X[[0, 60, 120]])
    (20, 100, array([0, 1, 2]))

    The second and every later fit with as many features, classes and hidden values takes milliseconds, whatever the
    number of samples, learning rate, weight decay, seed, epochs and weights: they are arguments of one compiled
    program. Its last bits differ from `epochal.train`, because samples are padded; order and first weights are equal.

    Args:
        {parameters}
        class_weight: what each class weighs, beside the samples' own weights: a dict by label (1 for others),
            ``"balanced"`` for n / (classes · samples of the class), or ``None``.

    Attributes:
        classes_: ``(k,)`` the labels, sorted.
        n_iter_: epochs of the training so far, warm starts and partial fits included.
        n_updates_: updates of the weights so far.
        loss_curve_: each epoch's mean loss (of the batches before their updates, weighted); ``loss_`` is the last.
        validation_scores_: each epoch's accuracy on what was held out; ``None`` without early stopping.
        best_validation_score_: the best of them.
        params_: the weights: dicts of NumPy arrays; ``coefs_`` and ``intercepts_`` are those of dense layers.
        n_features_in_, feature_names_in_, n_outputs_: as everywhere in scikit-learn.
    """

    _kind = "classification"

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (128,),
        *,
        model: str = "mlp",
        dropout: float = 0.0,
        sample_shape: Sequence[int] | None = None,
        epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto", "all"] = "auto",
        optimizer: str = "adamw",
        learning_rate: float | Literal["auto"] = "auto",
        weight_decay: float | Literal["auto"] = "auto",
        momentum: float = 0.9,
        standardize: bool = True,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            model=model,
            dropout=dropout,
            sample_shape=sample_shape,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            momentum=momentum,
            standardize=standardize,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> EpochalClassifier:
        """Train for all epochs.

        Args:
            X: ``(n, features)`` finite numbers: an array, a frame or lists.
            y: ``(n,)`` labels: whole numbers, texts or truth values.
            sample_weight: ``(n,)`` how much each sample's loss counts, at least 0; relative to their mean. With
                ``batch_size="all"``, a weight of 2 is the sample given twice.

        Raises:
            ValueError: for data or parameters that cannot be used, and where the loss is no longer finite.
        """
        return self._fit(X, y, sample_weight, None, is_partial=False)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> EpochalClassifier:
        """Train for exactly one epoch over these samples, from where the training is.

        Args:
            X: ``(n, features)``, as for `fit`.
            y: ``(n,)`` labels.
            classes: all labels that there will be; needed in the first call.
            sample_weight: ``(n,)``, as for `fit`.

        Raises:
            ValueError: as `fit` does; without ``classes`` in the first call, and for labels that are none of them.
        """
        return self._fit(X, y, sample_weight, classes, is_partial=True)

    def _fit(self, X: Any, y: Any, sample_weight: Any, classes: Any, *, is_partial: bool) -> EpochalClassifier:
        settings, goes_on = self._start(is_partial=is_partial)
        x, y = validate_data(self, X, y, dtype=STORED, reset=not goes_on)
        check_classification_targets(y)

        known = self._partial_classes(y, classes, goes_on) if is_partial else self._all_classes(y, goes_on)
        weight = self._weights(y, sample_weight, is_partial=is_partial)
        self.classes_, self.n_outputs_ = known, len(known)

        samples = Samples(x, np.searchsorted(known, y).astype(np.int32), weight)
        self._train(settings, samples, len(known), goes_on=goes_on, is_partial=is_partial)
        return self

    def _all_classes(self, y: Any, goes_on: bool) -> Shaped[np.ndarray, " classes"]:
        found = np.unique(y)
        if goes_on and not np.array_equal(found, self.classes_):
            raise DataError(f"y has the classes {found}, the earlier fit {self.classes_}; set warm_start=False")
        return found

    def _partial_classes(self, y: Any, classes: Any, goes_on: bool) -> Shaped[np.ndarray, " classes"]:
        if classes is None and not goes_on:
            raise OptionError("the first call of partial_fit needs classes, all labels that there will be")
        known = self.classes_ if classes is None else np.unique(np.asarray(classes))
        if goes_on and not np.array_equal(known, self.classes_):
            raise OptionError(f"classes={known} is not the same as in the first call of partial_fit, {self.classes_}")

        strange = np.setdiff1d(y, known)
        if len(strange):
            raise DataError(f"y has labels that are none of classes: {strange}; known are {known}")
        return known

    def _weights(self, y: Any, sample_weight: Any, *, is_partial: bool) -> Weight | None:
        """Return the weights of the samples times those of their classes."""
        weight = checked_weights(sample_weight, len(y))
        if self.class_weight is None:
            return weight
        if is_partial and isinstance(self.class_weight, str):
            raise OptionError(
                f"class_weight='{self.class_weight}' needs all samples at once; give partial_fit a dict, such as one "
                "of sklearn.utils.class_weight.compute_class_weight"
            )
        of_classes = compute_sample_weight(self.class_weight, y)
        return checked_weights(of_classes if weight is None else weight * of_classes, len(y))

    def _score_of(self, outputs: Float32[np.ndarray, "n outputs"], samples: Samples) -> float:
        return float(np.average(outputs.argmax(axis=1) == samples.y, weights=samples.weight))

    def decision_function(self, X: Any) -> Float64[np.ndarray, "n *classes"]:
        """Return each class's output before the softmax, ``(n, k)``; for two, their difference, ``(n,)``."""
        outputs = self._outputs_for(X).astype(np.float64)
        if len(self.classes_) == 2:
            return outputs[:, 1] - outputs[:, 0]
        return outputs[:, 0] if len(self.classes_) == 1 else outputs

    def predict_log_proba(self, X: Any) -> Float64[np.ndarray, "n classes"]:
        """Return the logarithm of each class's probability, ``(n, k)``."""
        outputs = self._outputs_for(X).astype(np.float64)
        outputs -= outputs.max(axis=1, keepdims=True)
        log_proba: Float64[np.ndarray, "n classes"] = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
        return log_proba

    def predict_proba(self, X: Any) -> Float64[np.ndarray, "n classes"]:
        """Return each class's probability, ``(n, k)``, in the order of ``classes_``."""
        probabilities: Float64[np.ndarray, "n classes"] = np.exp(self.predict_log_proba(X))
        return probabilities

    def predict(self, X: Any) -> Shaped[np.ndarray, " n"]:
        """Return the most probable label of each sample, ``(n,)``; it depends on no other sample.

        Raises ``NotFittedError`` before `fit`, and `ValueError` for samples that are no such numbers.
        """
        numbers = self._outputs_for(X).argmax(axis=1)
        labels: Shaped[np.ndarray, " n"] = self.classes_[numbers]
        return labels
