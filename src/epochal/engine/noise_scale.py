"""Gradients of many samples at one state: what the noise scale needs beside a training's own iterations.

The formulas are in `epochal.gradient_noise`. No state changes here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from epochal.clock import Position
from epochal.data import Split
from epochal.engine.compile import key_of
from epochal.engine.engine import Engine
from epochal.engine.fast_forms import fast_apply, fast_function
from epochal.engine.feed import Resident, put_on_device
from epochal.engine.micro_batch import fast_micro_batch
from epochal.engine.placement import in_one_piece
from epochal.engine.state import Params, State
from epochal.gradient_noise import LARGE, LargeGradient, NoiseScale, gram_error
from epochal.models.model import in_full

GradientOf: TypeAlias = Callable[[Params, Any, Resident, Any], Params]
_GROUPS = 5
_AT_ONCE = 2000
_SIDE_BY_SIDE = 50  # whose gradients' numbers are as many times those of the weights


def measure_noise(engine: Engine, state: State, position: Position, small: int, slices: int) -> NoiseScale:
    """Measure at the beginning of an epoch, on its first ``slices`` batches of ``small`` samples."""
    large = small * slices
    split = engine.data.train.take(engine.order.indices(position.epoch, 0, large))
    what = ("noise scale", small, slices)
    small_square, large_square = (
        float(one) for one in run_over(engine, what, lambda: _squares(engine, small, slices), state, split)
    )
    return NoiseScale(small, large, small_square, large_square)


def measure_large_gradient(engine: Engine, state: State, position: Position, most: int = LARGE) -> LargeGradient:
    """Return the squared norm of the gradient of the first ``most`` samples of the epoch that begins or goes on.

    Its error is that of five gradients that it is the mean of; a training set of no more samples has none.
    """
    total = len(engine.data.train)
    count = total if total <= most else most // _GROUPS * _GROUPS
    groups = 1 if count == total else _GROUPS
    indices = engine.order.indices(position.epoch, 0, count)

    gradients = []
    for group in np.split(np.asarray(indices), groups):
        split = engine.data.train.take(group)
        gradients.append(_mean_gradient(engine, state, split))
    flat = np.array([np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(one)]) for one in gradients])
    gram = (flat @ flat.T).astype(np.float64)
    error = 0.0 if groups == 1 else gram_error(gram, count / total)
    return LargeGradient(position.iteration, count, float(gram.sum()) / groups**2, error)


def exact_noise_scale(engine: Engine, state: State, split: Split) -> NoiseScale:
    """Return the noise scale of all these samples, each one's gradient computed alone: for checks, as it takes long.

    It is the pair of batch sizes 1 and N, with the gradients of a single sample in place of small batches.
    """
    count, size = len(split), min(len(split), _AT_ONCE)
    what, squares = ("single gradients", size), 0.0
    for start in range(0, count, _AT_ONCE):
        # the last piece goes back over samples that it does not count again
        some = split.take(np.arange(min(start, count - size), min(start, count - size) + size))
        each = run_over(engine, what, lambda: _single(engine, size), state, some)
        squares += float(np.asarray(each, np.float64)[max(0, start - count + size) :].sum())
    mean = _mean_gradient(engine, state, split)
    return NoiseScale(1, count, squares / count, float(optax.tree.norm(mean, squared=True)))


def _mean_gradient(engine: Engine, state: State, split: Split) -> Params:
    """Return the mean gradient of a split's samples, computed in slices of the usual size."""
    count = len(split)
    size = min(engine.micro_batch or count, fast_micro_batch(count, engine.task.values))
    gradient: Params = run_over(engine, ("gradient", count, size), lambda: _mean(engine, count, size), state, split)
    return gradient


def run_over(engine: Engine, what: Any, build: Callable[[], Callable[..., Any]], state: State, split: Split) -> Any:
    """Return what a function of weights, a model's state and samples computes, on the first device."""
    whole = in_one_piece()
    arguments = (
        whole.place(state.params),
        whole.place(state.model_state),
        whole.place(put_on_device(split, engine.data)),
    )
    key = (what, engine.model, key_of(engine.task.training_losses), whole)
    return engine.programs.get(key, build, *arguments).run(*arguments)


def mean_loss(engine: Engine) -> Callable[..., Float[Array, ""]]:
    """Return the function whose gradient training follows: of weights, a model's state, and rows of a split."""
    model, losses = engine.model, engine.task.training_losses
    apply = fast_apply(model)

    def mean(params: Params, model_state: Any, samples: Resident, rows: Any, factors: Any = 1.0) -> Float[Array, ""]:
        x, y = samples.preprocess(jax.tree.map(rows, samples.x)), rows(samples.y)
        weight = 1.0 if samples.weight is None else rows(samples.weight)
        targets = y if samples.units is None else samples.units.standardise(y)
        outputs = in_full(apply(params, model_state, x, None, False)[0])
        return jnp.mean(losses(outputs, targets) * weight * factors)

    return mean


def gradient_of(engine: Engine) -> Callable[..., Params]:
    """Return the gradient of `mean_loss`, as a loop computes it fast."""
    mean, model = mean_loss(engine), engine.model

    def gradient(params: Params, model_state: Any, samples: Resident, rows: Any, factors: Any = 1.0) -> Params:
        def of_weights(params: Params) -> Float[Array, ""]:
            return mean(params, model_state, samples, rows, factors)

        gradient: Params = fast_function(jax.grad(of_weights), model)(params)
        return gradient

    return gradient


def rows_from(start: Any, size: int) -> Callable[[Any], Any]:
    """Return what cuts ``size`` rows of an array out."""
    return lambda rows: lax.dynamic_slice_in_dim(rows, start, size)


def _squares(engine: Engine, small: int, slices: int) -> Callable[..., Any]:
    """Return the function that computes the mean of squared norms, and the squared norm of the mean; not compiled."""
    gradient = gradient_of(engine)

    def squares(params: Params, model_state: Any, samples: Resident) -> Any:
        def add(number: Any, sums: Any) -> Any:
            total, square = sums
            one = gradient(params, model_state, samples, rows_from(number * small, small))
            return jax.tree.map(jnp.add, total, one), square + optax.tree.norm(one, squared=True)

        nothing = jax.tree.map(jnp.zeros_like, params), jnp.float32(0)
        total, square = lax.fori_loop(0, slices, add, nothing)
        return square / slices, optax.tree.norm(total, squared=True) / slices**2

    return squares


def _mean(engine: Engine, count: int, size: int) -> Callable[..., Params]:
    """Return the function that computes the mean gradient of ``count`` samples, in slices; not compiled."""
    gradient = gradient_of(engine)
    full, rest = divmod(count, size)

    def mean(params: Params, model_state: Any, samples: Resident) -> Params:
        def add(total: Params, start: Any, size: int) -> Params:
            one = gradient(params, model_state, samples, rows_from(start, size))
            return jax.tree.map(lambda sum_, part: sum_ + part * (size / count), total, one)

        total = jax.tree.map(jnp.zeros_like, params)
        total = lax.fori_loop(0, full, lambda number, total: add(total, number * size, size), total)
        return add(total, full * size, rest) if rest else total

    return mean


def _single(engine: Engine, count: int) -> Callable[..., Any]:
    """Return the function that computes the squared norm of each sample's gradient, some of them side by side."""
    gradient = gradient_of(engine)

    def single(params: Params, model_state: Any, samples: Resident) -> Array:
        def square(number: Any) -> Any:
            return optax.tree.norm(gradient(params, model_state, samples, rows_from(number, 1)), squared=True)

        squares: Array = lax.map(square, jnp.arange(count), batch_size=_SIDE_BY_SIDE)
        return squares

    return single
