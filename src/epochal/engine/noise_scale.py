"""The simple noise scale of a gradient: up to about which batch size a larger batch still saves updates.

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from epochal.clock import Position
from epochal.engine.compile import key_of
from epochal.engine.engine import Engine
from epochal.engine.fast_forms import fast_apply, fast_function
from epochal.engine.feed import Resident, put_on_device
from epochal.engine.placement import in_one_piece
from epochal.engine.state import State
from epochal.models.model import in_full


@dataclass(frozen=True, slots=True)
class NoiseScale:
    """What gradients of two batch sizes say of their noise.

    Attributes:
        small, large: the batch sizes.
        small_square: the mean of the squared norms of the gradients of small batches.
        large_square: the squared norm of the gradient of the large one, which they make together.
    """

    small: int
    large: int
    small_square: float
    large_square: float

    @property
    def value(self) -> float:
        """The trace of the gradient's covariance over its squared norm, in samples; infinite where noise hides it.

        >>> NoiseScale(10, 100, small_square=2.0, large_square=1.1).value
        10.0
        """
        squared = (self.large * self.large_square - self.small * self.small_square) / (self.large - self.small)
        trace = (self.small_square - self.large_square) / (1 / self.small - 1 / self.large)
        return round(trace / squared, 9) if squared > 0 else math.inf if trace > 0 else math.nan


def measure_noise(engine: Engine, state: State, position: Position, small: int, slices: int) -> NoiseScale:
    """Measure at the beginning of an epoch, on its first ``slices`` batches of ``small`` samples; no state changes."""
    large = small * slices
    split = engine.data.train.take(engine.order.indices(position.epoch, 0, large))
    whole = in_one_piece()
    arguments = (
        whole.place(state.params),
        whole.place(state.model_state),
        whole.place(put_on_device(split, engine.data)),
    )
    what = ("noise scale", engine.model, key_of(engine.task.training_losses), small, slices)
    program = engine.programs.get((what, whole), lambda: _squares(engine, small, slices), *arguments)
    small_square, large_square = (float(one) for one in program.run(*arguments))
    return NoiseScale(small, large, small_square, large_square)


def _squares(engine: Engine, small: int, slices: int) -> Callable[..., Any]:
    """Return the function that computes the mean of squared norms, and the squared norm of the mean; not compiled."""
    model, losses = engine.model, engine.task.training_losses
    apply = fast_apply(model)

    def squares(params: Any, model_state: Any, samples: Resident) -> Any:
        def gradient(number: Any) -> Any:
            def cut(rows: Any) -> Any:
                return lax.dynamic_slice_in_dim(rows, number * small, small)

            x, y = samples.preprocess(jax.tree.map(cut, samples.x)), cut(samples.y)
            weight = 1.0 if samples.weight is None else cut(samples.weight)
            targets = y if samples.units is None else samples.units.standardise(y)

            def mean(params: Any) -> Any:
                return jnp.mean(losses(in_full(apply(params, model_state, x, None, False)[0]), targets) * weight)

            return fast_function(jax.grad(mean), model)(params)

        def add(number: Any, sums: Any) -> Any:
            total, square = sums
            one = gradient(number)
            return jax.tree.map(jnp.add, total, one), square + optax.tree.norm(one, squared=True)

        nothing = jax.tree.map(jnp.zeros_like, params), jnp.float32(0)
        total, square = lax.fori_loop(0, slices, add, nothing)
        return square / slices, optax.tree.norm(total, squared=True) / slices**2

    return squares
