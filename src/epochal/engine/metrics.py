"""Metrics: what an evaluation computes beside the loss, from sums over samples that merge exactly.

A metric measures slices of samples on the device (`Metric.of`), the host merges what it gets (`Metric.merge`) in double
precision, and takes the figure at the end (`Metric.compute`). So each sample counts once, however a split is sliced.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree, Shaped

from epochal.errors import ModelError, OptionError, unknown_name
from epochal.models.model import Outputs

Kind: TypeAlias = Literal["classification", "regression"]
Targets: TypeAlias = Shaped[Array, "batch *targets"]
Sums: TypeAlias = PyTree[Any]

_CLASSES: tuple[Kind, ...] = ("classification",)
_NUMBERS: tuple[Kind, ...] = ("regression",)
_TOP = 5


class Metric(ABC):
    """A figure over samples, or several. One of your own is a subclass, given as ``metrics=["accuracy", Mine()]``.

    >>> class Confidence(Metric):
    ...     name = "confidence"
    ...     empty = (0, 0)
    ...
    ...     def of(self, outputs, targets):
    ...         return jax.nn.softmax(outputs).max(axis=1).sum(), len(outputs)
    ...
    ...     def compute(self, sums):
    ...         return sums[0] / sums[1]

    Attributes:
        name: for the record; figures of several are named ``name/part``.
        higher_is_better: whether a larger figure is a better one.
        kinds: the kinds of tasks that it fits.
        empty: the sums over no samples.
    """

    name: str
    higher_is_better: bool = True
    kinds: tuple[Kind, ...] = (*_CLASSES, *_NUMBERS)
    empty: ClassVar[Sums]

    @abstractmethod
    def of(self, outputs: Outputs, targets: Targets) -> Sums:
        """Return the sums over some samples, a pytree of arrays; traced by JAX."""

    @abstractmethod
    def compute(self, sums: Sums) -> float | Mapping[str, float]:
        """Return the figure, or several by name, from the sums over one sample or more: int64 and float64 arrays."""

    def merge(self, one: Sums, other: Sums) -> Sums:
        """Return the sums over both; by default, every array is added."""
        return jax.tree.map(np.add, one, other)

    def for_classes(self, names: tuple[str, ...]) -> Metric:
        """Return the metric with names for its classes; by default, it has no use for them."""
        return self


@dataclass(frozen=True)
class Mean(Metric):
    """The mean over samples of one number a sample; of several, the mean of their means.

    Attributes:
        values: ``(outputs (b, k), targets (b, …)) -> (b,) or (b, m)``.
        finish: applied to each mean, such as a square root.
    """

    name: str
    values: Callable[[Outputs, Targets], Shaped[Array, "batch ..."]]
    higher_is_better: bool = False
    kinds: tuple[Kind, ...] = (*_CLASSES, *_NUMBERS)
    finish: Callable[[Any], Any] = np.asarray
    empty: ClassVar[Sums] = (0, 0)

    def of(self, outputs: Outputs, targets: Targets) -> Sums:
        """Return the sum of the values, exact for true and false, and the number of samples."""
        values = self.values(outputs, targets)
        exact = jnp.int32 if values.dtype == bool else None
        return jnp.sum(values, axis=0, dtype=exact), jnp.int32(len(values))

    def compute(self, sums: Sums) -> float:
        """Return the mean."""
        total, samples = sums
        return float(np.mean(self.finish(total / samples)))


@dataclass(frozen=True)
class PerClass(Metric):
    """A figure for each class, and their macro mean over the classes that occur as a target or a prediction.

    Attributes:
        figure: ``(right, predicted, actual) -> figures``: samples of each class that are predicted right, that are
            predicted to be of it, and that are of it.
        targets_only: no figures by class, and a macro mean over the classes that occur as a target.
    """

    name: str
    figure: Callable[[Any, Any, Any], Float[np.ndarray, " classes"]]
    targets_only: bool = False
    classes: tuple[str, ...] = field(default=(), compare=False)
    kinds: tuple[Kind, ...] = _CLASSES
    empty: ClassVar[Sums] = np.zeros((3, 1), np.int64)

    def of(self, outputs: Outputs, targets: Targets) -> Int[Array, "3 classes"]:
        """Return the three counts of each class."""
        actual = targets[:, None] == jnp.arange(outputs.shape[1])
        predicted = jnp.argmax(outputs, axis=1)[:, None] == jnp.arange(outputs.shape[1])
        return jnp.stack([jnp.sum(each, axis=0, dtype=jnp.int32) for each in (actual & predicted, predicted, actual)])

    def compute(self, sums: Sums) -> float | Mapping[str, float]:
        """Return the macro mean, and each class's figure; 0 where it would be 0 / 0."""
        right, predicted, actual = sums
        figures = self.figure(right, predicted, actual)
        occurs = actual > 0 if self.targets_only else (actual > 0) | (predicted > 0)
        macro = float(figures[occurs].mean())
        if self.targets_only:
            return macro

        names = self.classes or tuple(map(str, range(len(figures))))
        return {self.name: macro} | {
            f"{self.name}/{name}": float(figure) for name, figure in zip(names, figures, strict=True)
        }

    def for_classes(self, names: tuple[str, ...]) -> PerClass:
        """Return the metric with these names; they change no compiled program."""
        return dataclasses.replace(self, classes=names)


@dataclass(frozen=True)
class RocAuc(Metric):
    """The area under the ROC curve; of more than two classes, the mean of each one's against all others.

    It needs every sample's outputs on the host. A class that all samples have, or none, has no curve and is left out.
    """

    name: str = "roc-auc"
    kinds: tuple[Kind, ...] = _CLASSES
    empty: ClassVar[Sums] = ()

    def of(self, outputs: Outputs, targets: Targets) -> Sums:
        """Return outputs and targets themselves."""
        return ((outputs, targets),)

    def merge(self, one: Sums, other: Sums) -> Sums:
        """Return both lists of arrays as one."""
        return one + other

    def compute(self, sums: Sums) -> float:
        """Return the area, NaN where there is no curve at all, or an output is not finite."""
        from scipy.special import softmax
        from sklearn.metrics import roc_auc_score

        outputs, targets = (np.concatenate(parts) for parts in zip(*sums, strict=True))
        if not np.isfinite(outputs).all():
            return math.nan

        # With two classes, the difference has the same order as the probability, and rounds no large one to 1.
        scores = {1: outputs[:, 1] - outputs[:, 0]} if outputs.shape[1] == 2 else dict(enumerate(softmax(outputs, 1).T))
        present = [(targets == number, score) for number, score in scores.items()]
        areas = [roc_auc_score(actual, score) for actual, score in present if 0 < actual.sum() < len(actual)]
        return float(np.mean(areas)) if areas else math.nan


@dataclass(frozen=True)
class R2(Metric):
    """The share of the targets' variance that the outputs explain; of several targets, the mean of their shares.

    Slices are merged by the formula of Chan, Golub and LeVeque ("Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances", 1979), which keeps its precision where targets are far from 0.
    """

    name: str = "r2"
    kinds: tuple[Kind, ...] = _NUMBERS
    empty: ClassVar[Sums] = (0, 0.0, 0.0, 0.0, 0.0)

    def of(self, outputs: Outputs, targets: Targets) -> Sums:
        """Return number, mean in two parts, squares around the mean, and squared errors.

        The mean is the first target and the mean distance from it: as one float32, it would be too coarse.
        """
        outputs = outputs.reshape(len(outputs), -1)
        targets = targets.reshape(outputs.shape)
        distance = targets - targets[0]
        mean = jnp.mean(distance, axis=0)
        rest = distance - mean
        squares = jnp.sum(jnp.square(rest), axis=0) - jnp.square(jnp.sum(rest, axis=0)) / len(targets)
        errors = jnp.sum(jnp.square(outputs - targets), axis=0)
        return jnp.int32(len(targets)), targets[0], mean, squares, errors

    def merge(self, one: Sums, other: Sums) -> Sums:
        """Return the same of both."""
        (n, *mean, squares, errors), (m, *other_mean, other_squares, other_errors) = one, other
        if not n:
            return other
        distance = (other_mean[0] - mean[0]) + (other_mean[1] - mean[1])
        squares = squares + other_squares + distance**2 * n * m / (n + m)
        return n + m, mean[0], mean[1] + distance * m / (n + m), squares, errors + other_errors

    def compute(self, sums: Sums) -> float:
        """Return the share, NaN for one sample; where all targets are alike, 1 for right outputs and else 0."""
        samples, _, _, squares, errors = sums
        if samples < 2:
            return math.nan
        shares = 1 - errors / np.where(squares > 0, squares, 1)
        return float(np.mean(np.where(squares > 0, shares, errors == 0)))


def _is_right(outputs: Outputs, targets: Targets) -> Shaped[Array, " batch"]:
    return jnp.argmax(outputs, axis=-1) == targets


def _is_in_top(outputs: Outputs, targets: Targets) -> Shaped[Array, " batch"]:
    """Return where the target is among the five largest outputs; of equal ones, the first are taken, as above."""
    _, largest = jax.lax.top_k(outputs, min(_TOP, outputs.shape[1]))
    return jnp.any(largest == targets[:, None], axis=1)


def _squared_error(outputs: Outputs, targets: Targets) -> Float[Array, "batch outputs"]:
    return jnp.square(_differences(outputs, targets))


def _absolute_error(outputs: Outputs, targets: Targets) -> Float[Array, "batch outputs"]:
    return jnp.abs(_differences(outputs, targets))


def _differences(outputs: Outputs, targets: Targets) -> Float[Array, "batch outputs"]:
    rows = outputs.reshape(len(outputs), -1)
    differences: Float[Array, "batch outputs"] = rows - targets.reshape(rows.shape)
    return differences


def _share(part: Any, whole: Any) -> Float[np.ndarray, " classes"]:
    return np.where(whole > 0, part / np.maximum(whole, 1), 0.0)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Mean("accuracy", _is_right, True, _CLASSES),
        Mean("top-5-accuracy", _is_in_top, True, _CLASSES),
        PerClass("precision", lambda right, predicted, actual: _share(right, predicted)),
        PerClass("recall", lambda right, predicted, actual: _share(right, actual)),
        PerClass("f1", lambda right, predicted, actual: _share(2 * right, predicted + actual)),
        PerClass("balanced-accuracy", lambda right, predicted, actual: _share(right, actual), targets_only=True),
        RocAuc(),
        Mean("log-loss", optax.softmax_cross_entropy_with_integer_labels, kinds=_CLASSES),
        Mean("mse", _squared_error, kinds=_NUMBERS),
        Mean("rmse", _squared_error, kinds=_NUMBERS, finish=np.sqrt),
        Mean("mae", _absolute_error, kinds=_NUMBERS),
        R2(),
    )
}
"""The built-in metrics by name."""

DEFAULT_METRICS: dict[Kind, tuple[str, ...]] = {"classification": ("accuracy",), "regression": ("rmse", "mae", "r2")}


def choose_metrics(
    metrics: Sequence[str | Metric] | None, kind: Kind, classes: tuple[str, ...] | None = None
) -> tuple[Metric, ...]:
    """Return the metrics that are named or given, or the usual ones of this kind of task for ``None``.

    Raises `OptionError` for an unknown name or one that is given twice, and `ModelError` for a metric of other tasks.
    """
    chosen: list[Metric] = []
    for metric in DEFAULT_METRICS[kind] if metrics is None else metrics:
        if isinstance(metric, str):
            name = metric.lower().replace("_", "-")
            if name not in METRICS:
                raise OptionError(unknown_name("metric", metric, METRICS))
            metric = METRICS[name]

        # A registered metric and one of the user's own are held to the same.
        if kind not in metric.kinds:
            others = ", ".join(name for name, other in METRICS.items() if kind in other.kinds)
            raise ModelError(f"metric '{metric.name}' does not fit a {kind}; take one of: {others}")
        if metric.name in ("loss", *(other.name for other in chosen)):
            raise OptionError(f"metric '{metric.name}' is given twice; a figure's name stands for one thing")

        chosen.append(metric.for_classes(classes) if classes else metric)
    return tuple(chosen)
