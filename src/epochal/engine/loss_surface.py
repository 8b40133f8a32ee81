"""The loss at many points of a line or a plane in weight space, compiled once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from epochal.data import Split
from epochal.engine.engine import Engine
from epochal.engine.fast_forms import fast_apply, fast_function
from epochal.engine.feed import Resident, put_on_device
from epochal.engine.state import Params, State
from epochal.engine.task import Losses
from epochal.errors import ModelError
from epochal.models import Model
from epochal.models.model import in_full

_POINTS_AT_ONCE = 32


class Subspace(NamedTuple):
    """A line or plane in weight space: the point at coordinates c is ``origin + Σ c[i] · directions[i]``.

    Attributes:
        origin: parameters as the model has them.
        directions: the same structure, each array with an axis in front, one entry a direction.
    """

    origin: Params
    directions: Params


LossesAt: TypeAlias = Callable[
    [Subspace, Float[Array, "points axes"], PyTree[Any], Resident], Float[Array, "slices points"]
]


@dataclass(slots=True)
class LossSurface:
    """Computes mean losses over one set of samples, anywhere in the model's weight space.

    Raises `ModelError` for a model that keeps a state beside its weights (batch statistics), because its loss is then
    no function of the weights alone.
    """

    engine: Engine
    split: Split
    _model_state: PyTree[Any] = field(init=False, repr=False)
    _samples: Resident = field(init=False, repr=False)
    _losses_at: LossesAt = field(init=False, repr=False)

    def __post_init__(self) -> None:
        state = self.engine.initial_state()
        if jax.tree.leaves(state.model_state):
            raise ModelError(
                f"model '{self.engine.model.name}' keeps a state beside its weights, so its loss is no function of the "
                "weights alone; a landscape needs a model without one"
            )
        self._model_state = state.model_state
        self._samples = put_on_device(self.split, self.engine.data)
        self._losses_at = jax.jit(build_losses_at(self.engine.model, self.engine.task.losses, self.engine.slice_size))

    def loss(self, params: Params) -> float:
        """Return the mean loss at exactly these parameters."""
        return self.engine.evaluate(State(params, self._model_state, ()), self.split).loss

    def losses(
        self, subspace: Subspace, coordinates: Float[np.ndarray, "points axes"]
    ) -> Iterator[Float[np.ndarray, " points"]]:
        """Yield the mean losses at the points, float64, some points at a time, in their order."""
        coordinates = np.asarray(coordinates, np.float32)
        for start in range(0, len(coordinates), _POINTS_AT_ONCE):
            some = coordinates[start : start + _POINTS_AT_ONCE]
            padded = np.concatenate([some, np.repeat(some[-1:], _POINTS_AT_ONCE - len(some), axis=0)])
            sums = self._losses_at(subspace, jnp.asarray(padded), self._model_state, self._samples)
            yield np.asarray(sums).sum(axis=0, dtype=np.float64)[: len(some)] / len(self.split)


def build_losses_at(model: Model, loss: Losses, slice_size: int) -> LossesAt:
    """Return the function that computes each point's loss, summed over each slice of samples; not yet compiled.

    The samples are the outer loop, so that each slice is read and prepared once for all points.
    """

    def losses_at(
        subspace: Subspace, coordinates: Float[Array, "points axes"], model_state: PyTree[Any], samples: Resident
    ) -> Float[Array, "slices points"]:
        def of_slice(start: jax.Array | int, size: int) -> Float[Array, " points"]:
            stored = jax.tree.map(lambda rows: lax.dynamic_slice_in_dim(rows, start, size), samples.x)
            x = samples.preprocess(stored)
            y = lax.dynamic_slice_in_dim(samples.y, start, size)

            def of_point(point: Float[Array, " axes"]) -> Float[Array, ""]:
                outputs, _ = fast_apply(model)(_params_at(subspace, point), model_state, x, None, False)
                return jnp.sum(loss(samples.in_units(in_full(outputs)), y))

            losses: Array = lax.map(fast_function(of_point, model), coordinates)
            return losses

        full, rest = divmod(samples.y.shape[0], slice_size)
        parts = [lax.map(lambda start: of_slice(start, slice_size), slice_size * jnp.arange(full))] if full else []
        if rest:
            parts.append(of_slice(full * slice_size, rest)[None])
        return jnp.concatenate(parts)

    return losses_at


def _params_at(subspace: Subspace, point: Float[Array, " axes"]) -> Params:
    return jax.tree.map(
        lambda origin, along: origin + jnp.tensordot(point, along, 1), subspace.origin, subspace.directions
    )
