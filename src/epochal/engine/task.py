"""A task: what a model is trained for. Its loss, its metrics, and the shapes and types of samples and targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from epochal.data import Dataset, Split
from epochal.data.dataset import input_type
from epochal.engine.metrics import Kind, Metric, Targets, choose_metrics
from epochal.errors import DataError, ModelError, OptionError, unknown_name
from epochal.models.model import Outputs

SampleLosses: TypeAlias = Float[Array, " batch"]
Losses: TypeAlias = Callable[[Outputs, Targets], SampleLosses]

LOSS_NAMES = ("cross-entropy", "mean-squared-error")


@dataclass(frozen=True, slots=True)
class Task:
    """What a model learns from which data, and how that is measured.

    Attributes:
        kind: ``"classification"``, where targets are class numbers, or ``"regression"``.
        loss: the loss's name, for the record.
        losses: ``(outputs (b, k), targets (b, …)) -> (b,)``, one loss a sample, without averaging over samples.
        metrics: what an evaluation computes beside the loss.
        sample_shape: the shape of one sample, as the model sees it; a tree of shapes for samples of several parts.
        outputs: k, how many numbers a model returns for a sample.
        target_shape: the shape of one target, ``()`` for class numbers.
        target_type: the type of targets.
        inputs: shapes and types of two samples, as the model sees them: float32, or int32 and bool where they are kept.
        scales_targets: whether the targets of a regression are standardised while training; not for a loss of the
            user's own, which sees outputs and targets as they are.
        data: the name of the data set, for error texts.
        label_smoothing: the share of a target that all classes divide equally while training, 0 to below 1.
    """

    kind: Kind
    loss: str
    losses: Losses
    metrics: tuple[Metric, ...]
    sample_shape: Any
    outputs: int
    target_shape: tuple[int, ...]
    target_type: np.dtype
    inputs: PyTree[jax.ShapeDtypeStruct]
    scales_targets: bool = True
    data: str = field(default="", compare=False)
    label_smoothing: float = 0.0

    @property
    def has_own_loss(self) -> bool:
        """Whether the loss is the user's own function, which gets what the model returns."""
        return not self.scales_targets

    @property
    def values(self) -> int:
        """How many numbers a sample has."""
        return sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(self.inputs))

    @property
    def training_losses(self) -> Losses:
        """The losses that training descends; an evaluation measures `losses`, which no option changes."""
        return _SmoothedCrossEntropy(self.label_smoothing) if self.label_smoothing else self.losses

    def check_targets(self, split: Split) -> None:
        """Refuse what would give a number without a meaning: raises `DataError` for targets of another kind."""
        y = split.y
        if y.dtype.kind != self.target_type.kind or y.shape[1:] != self.target_shape:
            raise DataError(
                f"targets of type {y.dtype} and shape {y.shape[1:]} do not fit this model, "
                f"trained on {self.target_type} and {self.target_shape}"
            )
        if self.kind == "classification" and len(split) and not 0 <= y.min() <= y.max() < self.outputs:
            raise DataError(f"class {y.max()} is none of the {self.outputs} classes of '{self.data}'")


def build_task(
    data: Dataset,
    loss: str | Losses | None = None,
    metrics: Sequence[str | Metric] | None = None,
    label_smoothing: float | None = None,
) -> Task:
    """Return the task of a data set.

    Args:
        data: says the kind of the task, and all shapes.
        loss: one of `LOSS_NAMES`, or your own function of outputs and targets that returns one loss a sample.
            Default: cross-entropy for classes and mean-squared-error for numbers.
        metrics: names in `epochal.engine.metrics.METRICS`, or your own metrics. Default: accuracy for classes, mae and
            r2 for numbers.
        label_smoothing: for cross-entropy, 0 to below 1. Default: 0.

    Raises `OptionError` for an unknown name, and `ModelError` for a loss or metric that does not fit the task.
    """
    name, losses = choose_loss(loss, data.task)
    layout = data.train.layout
    if label_smoothing and losses is not optax.softmax_cross_entropy_with_integer_labels:
        raise OptionError(f"label_smoothing has no effect with the loss {name}; it is an option of cross-entropy")

    return Task(
        data.task,
        name,
        losses,
        choose_metrics(metrics, data.task, data.class_names),
        data.sample_shape,
        data.outputs,
        layout.y.shape[1:],
        layout.y.dtype,
        input_spec(data, count=2),
        not callable(loss),
        data.name,
        label_smoothing or 0.0,
    )


def input_spec(data: Dataset, count: int) -> PyTree[jax.ShapeDtypeStruct]:
    """Return shapes and types of ``count`` samples of a data set, as a model sees them."""

    def as_seen(stored: np.ndarray) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((count, *stored.shape[1:]), input_type(stored.dtype))

    return jax.tree.map(as_seen, data.train.layout.x)


def choose_loss(loss: str | Losses | None, kind: Kind) -> tuple[str, Losses]:
    """Return the loss's name and function: the same function each time, so that compiled programs are shared."""
    if loss is None:
        loss = "cross-entropy" if kind == "classification" else "mean-squared-error"
    if callable(loss):
        return getattr(loss, "__name__", "custom"), _OnePerSample(loss)

    if loss == "cross-entropy":
        if kind == "regression":
            raise ModelError("cross-entropy needs class labels, but these targets are numbers; use mean-squared-error")
        return loss, optax.softmax_cross_entropy_with_integer_labels
    if loss == "mean-squared-error":
        return loss, _squared_error_of_classes if kind == "classification" else _squared_error
    raise OptionError(unknown_name("loss", loss, LOSS_NAMES))


def _squared_error(outputs: Outputs, targets: Targets) -> SampleLosses:
    """Return each sample's squared error, averaged over its outputs."""
    rows = outputs.reshape(len(outputs), -1)
    return jnp.mean(jnp.square(rows - targets.reshape(rows.shape)), axis=-1)


def _squared_error_of_classes(outputs: Outputs, targets: Targets) -> SampleLosses:
    return _squared_error(outputs, jax.nn.one_hot(targets, outputs.shape[-1]))


@dataclass(frozen=True, slots=True)
class _SmoothedCrossEntropy:
    """Cross-entropy with a share of each target divided equally among all classes (Szegedy et al. 2016, section 7)."""

    smoothing: float

    def __call__(self, outputs: Outputs, targets: Targets) -> SampleLosses:
        of_target = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
        of_all_classes = -jnp.mean(jax.nn.log_softmax(outputs), axis=-1)
        smoothed: SampleLosses = (1 - self.smoothing) * of_target + self.smoothing * of_all_classes
        return smoothed


@dataclass(frozen=True, eq=False)
class _OnePerSample:
    """A user's loss, checked to return one number a sample; equal for the very same function."""

    loss: Losses

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _OnePerSample) and self.loss is other.loss

    def __hash__(self) -> int:
        return id(self.loss)

    def __call__(self, outputs: Outputs, targets: Targets) -> SampleLosses:
        losses = self.loss(outputs, targets)
        if losses.shape != targets.shape[:1]:
            raise ModelError(
                f"the loss returned shape {losses.shape} for {len(targets)} samples; "
                f"return one loss a sample, shape ({len(targets)},), and leave the mean to the engine"
            )
        return losses
