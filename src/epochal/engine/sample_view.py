"""What single samples say at the present weights: their outputs, their losses, and which way each of them pulls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from epochal.engine.compile import key_of
from epochal.engine.engine import Engine
from epochal.engine.fast_forms import fast_apply, fast_function
from epochal.engine.feed import Resident, put_on_device
from epochal.engine.state import Params, State
from epochal.engine.task import Losses
from epochal.models import Model
from epochal.models.model import in_full

_SMALLEST, _LARGEST = 8, 1024  # samples of one call of the compiled function: powers of two from here to there

View: TypeAlias = Callable[..., tuple[Float[Array, "n outputs"], Float[Array, " n"], Float[Array, "axes n"]]]


class SampleFigures(NamedTuple):
    """What samples say, each row a sample.

    Attributes:
        outputs: of the model, before any softmax, in the targets' own units.
        losses: as training records them.
        pulls: along each direction, minus the derivative of the loss that training descends; no columns without
            directions.
    """

    outputs: Float[np.ndarray, "n outputs"]
    losses: Float[np.ndarray, " n"]
    pulls: Float[np.ndarray, "n axes"]


@dataclass(slots=True)
class SampleView:
    """Looks at samples of an engine's training split, at any weights.

    One sample's pull along a direction of weight space is exact: a directional derivative. A batch's pull is the mean
    of its samples', and plain gradient descent moves along a direction of length 1 by learning rate × that mean.
    """

    engine: Engine
    _samples: Resident = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._samples = put_on_device(self.engine.data.train.whole(), self.engine.data)

    def of(self, state: State, indices: Int[np.ndarray, " n"], directions: Params | None = None) -> SampleFigures:
        """Return what these samples say.

        Args:
            state: the weights.
            indices: of the samples, at least one.
            directions: in the structure of the parameters, each array with one axis in front: an entry a direction.
        """
        parts = []
        for start in range(0, len(indices), _LARGEST):
            some = indices[start : start + _LARGEST]
            padded = np.resize(some, _at_once(len(some))).astype(np.int32)
            figures = self._call(state, padded, directions)
            parts.append([np.asarray(figure)[..., : len(some)] for figure in figures])
        outputs, losses, pulls = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
        return SampleFigures(outputs.T, losses, pulls.T)

    def _call(self, state: State, indices: Int[np.ndarray, " n"], directions: Params | None) -> Any:
        model, task = self.engine.model, self.engine.task
        what = ("samples", model, *map(key_of, (task.losses, task.training_losses)), directions is None)
        arguments = (state.params, state.model_state, self._samples, indices, directions)
        program = self.engine.programs.get(
            what, lambda: build_view(model, task.losses, task.training_losses), *arguments
        )
        return program.run(*arguments)


def _at_once(count: int) -> int:
    """Return how many samples a call computes for so many: few different numbers, so that few programs are compiled."""
    return max(_SMALLEST, 1 << (count - 1).bit_length())


def build_view(model: Model, recorded: Losses, descended: Losses) -> View:
    """Return the function that looks at samples, their axis the last; not yet compiled.

    Args:
        model: with its functions.
        recorded: the losses that are shown.
        descended: the losses whose gradient training follows.
    """
    apply = fast_apply(model)

    def view(
        params: Params, model_state: PyTree[Any], samples: Resident, indices: Any, directions: Params | None
    ) -> tuple[Any, Any, Any]:
        x = samples.preprocess(jax.tree.map(lambda rows: rows[indices], samples.x))
        y = samples.y[indices]
        weight = 1.0 if samples.weight is None else samples.weight[indices]

        def look(params: Params) -> tuple[Any, tuple[Any, Any]]:
            outputs = in_full(apply(params, model_state, x, None, False)[0])
            in_units = samples.in_units(outputs)
            shown = recorded(in_units, y) * weight
            if samples.units is None:
                return descended(outputs, y) * weight, (in_units, shown)
            return descended(outputs, samples.units.standardise(y)) * weight, (in_units, shown)

        differentiable = fast_function(look, model)
        if directions is None:
            _, (outputs, losses) = differentiable(params)
            return outputs.reshape(len(indices), -1).T, losses, jnp.zeros((0, len(indices)))

        # The transpose of the transposed derivative: forward mode for models that only know the backward one.
        losses, transposed, (outputs, shown) = jax.vjp(differentiable, params, has_aux=True)
        forward = jax.vjp(lambda weights: transposed(weights)[0], jnp.zeros_like(losses))[1]
        slopes = jax.vmap(lambda direction: forward(direction)[0])(directions)
        return outputs.reshape(len(indices), -1).T, shown, -slopes

    return view
