"""The sharpness-weighted noise scale tr(H·Σ)/GᵀHG at one state: how many samples are worth a second look.

The Hessian H weighs noise along sharp directions more than along flat ones. The averages along a training's path come
near the batch size from which on more samples save few updates, for plain gradient descent alone: neither the momentum
nor the scaling of another optimizer is in it. tr(H·Σ) is estimated by random signs, ±1 for each sample, whose mean is
taken off: the gradients added up with these signs have the covariance Σ on average, and one product with H each.

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from epochal.engine.engine import Engine
from epochal.engine.fast_forms import fast_function
from epochal.engine.feed import put_on_device
from epochal.engine.noise_scale import gradient_of, mean_loss, rows_from
from epochal.engine.placement import in_one_piece
from epochal.engine.state import NOISE_PROBES, Params, State, purpose_key
from epochal.gradient_noise import Sharpness

PROBES = 24
_CURVED = 2_000  # samples whose loss the Hessian is of
_SLICE = 1_000


def measure_sharpness(engine: Engine, state: State, seed: int = 0, most: int = 10_000) -> Sharpness:
    """Measure over the first ``most`` training samples of the first epoch's order, by 24 probes."""
    count = min(most, len(engine.data.train))
    split = engine.data.train.take(engine.order.indices(0, 0, count))
    whole = in_one_piece()
    samples, params = whole.place(put_on_device(split, engine.data)), whole.place(state.params)
    key = purpose_key(seed, NOISE_PROBES)

    program = engine.programs.get(
        ("sharpness", engine.model, engine.task.training_losses, count),
        lambda: _build(engine, count),
        params, whole.place(state.model_state), samples, key,
    )  # fmt: skip
    traces, curvature = program.run(params, whole.place(state.model_state), samples, key)
    each = np.asarray(traces, np.float64)
    return Sharpness(float(each.mean()), float(each.std(ddof=1) / math.sqrt(each.size)), float(curvature))


def _build(engine: Engine, count: int) -> Callable[..., Any]:
    """Return the function that computes tr(H·Σ) by each probe, and GᵀHG; not compiled."""
    mean, gradient = mean_loss(engine), gradient_of(engine)
    most, slices = min(count, _CURVED), _slices(count)

    def build(params: Params, model_state: Any, samples: Any, key: Any) -> Any:
        def added(factors: Float[Array, " count"]) -> Params:
            """Return Σ factor·gradient over the samples."""
            total = jax.tree.map(jnp.zeros_like, params)
            for start, size, times in slices:

                def add(number: Any, total: Params, start: int = start, size: int = size) -> Params:
                    rows = rows_from(start + number * size, size)
                    one = gradient(params, model_state, samples, rows, rows(factors))
                    return jax.tree.map(lambda sum_, part: sum_ + part * size, total, one)

                total = lax.fori_loop(0, times, add, total)
            return total

        def curvature(direction: Params) -> Float[Array, ""]:
            """Return dᵀHd, as the derivative along d of the gradient along d: backward twice, as own kernels know."""

            def along(params: Params) -> Any:
                total: Any = jnp.float32(0)
                for start, size, times in _slices(most):
                    for number in range(times):
                        rows = rows_from(start + number * size, size)
                        slope = jax.grad(lambda weights, rows=rows: mean(weights, model_state, samples, rows))(params)
                        total += optax.tree.vdot(slope, direction) * (size / most)
                return total

            product = fast_function(jax.grad(along), engine.model)(params)
            curved: Float[Array, ""] = optax.tree.vdot(product, direction)
            return curved

        def probe(key: Any) -> Float[Array, ""]:
            signs = jax.random.rademacher(key, (count,), jnp.float32)
            direction = jax.tree.map(lambda leaf: leaf / math.sqrt(count), added(_centred(signs)))
            return curvature(direction)

        overall = jax.tree.map(lambda leaf: leaf / count, added(jnp.ones(count)))
        return lax.map(probe, jax.random.split(key, PROBES)), curvature(overall)

    return build


def _centred(signs: Float[Array, " count"]) -> Float[Array, " count"]:
    """Take the mean off: what all gradients share is no noise."""
    return signs - signs.mean()


def _slices(count: int) -> list[tuple[int, int, int]]:
    """Return where slices begin, how large they are and how many there are: full ones, and what is left."""
    full, rest = divmod(count, _SLICE)
    parts = [(0, _SLICE, full), (full * _SLICE, rest, 1)]
    return [part for part in parts if part[1] and part[2]]
