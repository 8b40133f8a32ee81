"""Evaluation over each sample once, with every mean weighted by samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from epochal.engine.objective import Objective
from epochal.engine.samples import Samples
from epochal.engine.state import Params
from epochal.models import Model

_SLICE = 1000


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Sums over samples, so that evaluations of parts merge exactly; means are taken at the end.

    Attributes:
        samples: how many were evaluated.
        loss_sum: the sum of their losses.
        correct: how many were classified correctly; ``None`` for a regression.
    """

    samples: int = 0
    loss_sum: float = 0.0
    correct: int | None = None

    @property
    def loss(self) -> float:
        """The mean loss over samples; NaN where there are none."""
        return self.loss_sum / self.samples if self.samples else math.nan

    @property
    def values(self) -> dict[str, float]:
        """By name."""
        return {"loss": self.loss} | ({} if self.accuracy is None else {"accuracy": self.accuracy})

    @property
    def accuracy(self) -> float | None:
        """The share of samples that were classified correctly; ``None`` for a regression."""
        return None if self.correct is None or not self.samples else self.correct / self.samples


class Sums(NamedTuple):
    """What the compiled evaluation returns: a sum a slice, so that the host can add them up in double precision."""

    losses: Float[Array, " slices"]
    correct: Int[Array, " slices"]
    samples: Int[Array, ""]


Evaluate: TypeAlias = Callable[[Params, PyTree[Any], Samples], Sums]
Predict: TypeAlias = Callable[[Params, PyTree[Any], Samples], Float[Array, "n outputs"]]


def build_evaluate(model: Model, objective: Objective) -> Evaluate:
    """Return the function that evaluates a whole split; not yet compiled."""

    def evaluate(params: Params, model_state: PyTree[Any], samples: Samples) -> Sums:
        full, rest = divmod(samples.y.shape[0], _SLICE)

        def add(sums: Sums, number: jax.Array | int, size: int) -> Sums:
            start = number * _SLICE
            x = samples.prepare(lax.dynamic_slice_in_dim(samples.x, start, size))
            y = lax.dynamic_slice_in_dim(samples.y, start, size)
            outputs, _ = model.apply(params, model_state, x, None, False)
            return Sums(
                sums.losses.at[number].set(jnp.sum(objective.losses(outputs, y))),
                sums.correct.at[number].set(jnp.sum(objective.correct(outputs, y), dtype=jnp.int32)),
                sums.samples + size,
            )

        slices = full + bool(rest)
        sums = Sums(jnp.zeros(slices), jnp.zeros(slices, jnp.int32), jnp.int32(0))
        if full:
            sums = lax.fori_loop(0, full, lambda number, sums: add(sums, number, _SLICE), sums)
        return add(sums, full, rest) if rest else sums

    return evaluate


def to_evaluation(sums: Sums, objective: Objective) -> Evaluation:
    """Add up the slices on the host."""
    correct = int(np.asarray(sums.correct).sum(dtype=np.int64))
    return Evaluation(
        int(sums.samples),
        float(np.asarray(sums.losses).sum(dtype=np.float64)),
        correct if objective.classifies else None,
    )


def build_predict(model: Model) -> Predict:
    """Return the function that computes the outputs of a whole split, slice by slice; not yet compiled."""

    def predict(params: Params, model_state: PyTree[Any], samples: Samples) -> Float[Array, "n outputs"]:
        def outputs_of(x: Any) -> Any:
            return model.apply(params, model_state, samples.prepare(x), None, False)[0]

        full = samples.x.shape[0] // _SLICE * _SLICE
        slices = samples.x[:full].reshape(-1, _SLICE, *samples.x.shape[1:])
        parts = [lax.map(outputs_of, slices).reshape(full, -1)] if full else []
        if full < samples.x.shape[0]:
            parts.append(outputs_of(samples.x[full:]))
        return jnp.concatenate(parts)

    return predict
