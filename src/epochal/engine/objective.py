"""What training minimises, sample by sample: the losses, and when a prediction counts as correct."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Shaped

from epochal.errors import ModelError, OptionError, unknown_name

Task: TypeAlias = Literal["classification", "regression"]
Outputs: TypeAlias = Float[Array, "batch outputs"]
Targets: TypeAlias = Shaped[Array, "batch *targets"]
SampleLosses: TypeAlias = Float[Array, " batch"]

LOSS_NAMES = ("cross-entropy", "mean-squared-error")


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss for each sample; the engine takes the mean over a batch.

    Attributes:
        name: for the record.
        losses: ``(outputs (b, k), targets (b, …)) -> (b,)``, one loss a sample, without averaging over samples.
        classifies: whether the largest output is a predicted class, so that accuracy has a meaning.
    """

    name: str
    losses: Callable[[Outputs, Targets], SampleLosses]
    classifies: bool

    def correct(self, outputs: Outputs, targets: Targets) -> Bool[Array, " batch"]:
        """Return where the largest output is the target's class; nowhere for a regression."""
        if not self.classifies:
            return jnp.zeros(outputs.shape[0], bool)
        return jnp.argmax(outputs, axis=-1) == targets


def build_objective(loss: str | Callable[[Outputs, Targets], SampleLosses] | None, task: Task) -> Objective:
    """Return the named loss, the user's own function, or the task's usual one for ``None``.

    Raises `OptionError` for an unknown name and `ModelError` for a loss that does not fit the task.
    """
    classifies = task == "classification"
    if loss is None:
        loss = "cross-entropy" if classifies else "mean-squared-error"
    if callable(loss):
        return Objective(getattr(loss, "__name__", "custom"), _one_a_sample(loss), classifies)
    if loss == "cross-entropy":
        if not classifies:
            raise ModelError("cross-entropy needs class labels, but these targets are numbers; use mean-squared-error")
        return Objective(loss, optax.softmax_cross_entropy_with_integer_labels, classifies)
    if loss == "mean-squared-error":
        return Objective(loss, _squared_error_of_classes if classifies else _squared_error, classifies)
    raise OptionError(unknown_name("loss", loss, LOSS_NAMES))


def _squared_error(outputs: Outputs, targets: Targets) -> SampleLosses:
    """Return each sample's squared error, averaged over its outputs."""
    return jnp.mean(jnp.square(outputs - targets.reshape(outputs.shape)), axis=-1)


def _squared_error_of_classes(outputs: Outputs, targets: Targets) -> SampleLosses:
    return _squared_error(outputs, jax.nn.one_hot(targets, outputs.shape[-1]))


def _one_a_sample(
    loss: Callable[[Outputs, Targets], SampleLosses],
) -> Callable[[Outputs, Targets], SampleLosses]:
    def checked(outputs: Outputs, targets: Targets) -> SampleLosses:
        losses = loss(outputs, targets)
        if losses.shape != outputs.shape[:1]:
            raise ModelError(
                f"the loss returned shape {losses.shape} for {outputs.shape[0]} samples; "
                f"return one loss a sample, shape ({outputs.shape[0]},), and leave the mean to the engine"
            )
        return losses

    return checked
