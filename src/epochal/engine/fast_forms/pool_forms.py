"""Pools, and their gradients, as slices of whole arrays: one for each place in a window.

XLA's CPU computes a window's maximum or sum value by value, and the gradient of a maximum likewise, by looking for each
window's winner. As slices, all of them are loops over neighbouring values, in vectors.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import JaxprEqn

from epochal.engine.fast_forms.rewriting import Form, shapes
from epochal.engine.fast_forms.windows import Windows, count_windows, interleave, pad

_MOST_PLACES = 121
"""Windows of more places, such as those of a pool over a whole image, stay as they are."""


def pool_form(equation: JaxprEqn) -> Form | None:
    """Return the fast form of a pool or of its gradient, or ``None`` where it has none."""
    name = equation.primitive.name
    if name not in _FORMS or math.prod(equation.params["window_dimensions"]) > _MOST_PLACES:
        return None
    if any(0 in value.shape for value in shapes(equation)):
        return None
    if name == "select_and_scatter_add" and equation.params["select_prim"].name not in _BETTER:
        return None
    return _FORMS[name]


def _highest(x: Array, **parameters: Any) -> Array:
    return _pool(x, jnp.maximum, _lowest(x.dtype), **parameters)


def _least(x: Array, **parameters: Any) -> Array:
    return _pool(x, jnp.minimum, _greatest(x.dtype), **parameters)


def _sum(x: Array, **parameters: Any) -> Array:
    return _pool(x, jnp.add, 0, **parameters)


def _pool(
    x: Array,
    combine: Callable[[Array, Array], Array],
    nothing: Any,
    *,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    base_dilation: Sequence[int],
    window_dilation: Sequence[int],
) -> Array:
    """Combine what a window holds, one axis after the other."""
    x = pad(x, padding, base_dilation, nothing)
    for axis, (size, stride, dilation) in enumerate(
        zip(window_dimensions, window_strides, window_dilation, strict=True)
    ):
        if size == stride == 1:
            continue
        ones = [1] * x.ndim
        windows = Windows(
            _with(ones, axis, size),
            _with(ones, axis, stride),
            _with(ones, axis, dilation),
            _with(x.shape, axis, count_windows(x.shape[axis], size, stride, dilation)),
        )
        parts = [windows.at(x, place) for place in windows.places()]
        x = parts[0]
        for part in parts[1:]:
            x = combine(x, part)

    return x


def _with(numbers: Sequence[int], axis: int, number: int) -> tuple[int, ...]:
    return (*numbers[:axis], number, *numbers[axis + 1 :])


def _scatter(
    source: Array,
    x: Array,
    *,
    select_prim: Any,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
) -> Array:
    """Return the gradient of a pool's values: each window gives its own to its first best value.

    A value of x belongs to the windows that begin at most a window before it. Values at ``stride · i + p`` belong to
    windows at the same distances, for each p: so the gradient is computed for each p apart, and put together.
    """
    better, worst = _BETTER[select_prim.name]
    windows = Windows(tuple(window_dimensions), tuple(window_strides), (1,) * x.ndim, source.shape)
    padded = pad(x, padding, (1,) * x.ndim, worst(x.dtype))
    parts = {place: windows.at(padded, place) for place in windows.places()}

    best = None
    for part in parts.values():
        best = part if best is None else better(best, part)
    assert best is not None
    winner = jnp.full(best.shape, len(parts), jnp.int32)
    for number, part in reversed(list(enumerate(parts.values()))):
        winner = jnp.where(part == best, number, winner)
    given = {place: jnp.where(winner == number, source, 0) for number, place in enumerate(parts)}

    phases = {}
    for phase in itertools.product(*(range(stride) for stride in window_strides)):
        lengths = [
            -(-(length - p) // stride) for length, p, stride in zip(padded.shape, phase, window_strides, strict=True)
        ]
        shares = [
            _shifted(
                given[place],
                [(k - p) // stride for k, p, stride in zip(place, phase, window_strides, strict=True)],
                lengths,
            )
            for place in parts
            if all(k % stride == p for k, p, stride in zip(place, phase, window_strides, strict=True))
        ]
        total = jnp.zeros(lengths, source.dtype)
        for share in shares:
            total = total + share
        phases[phase] = total
    whole = interleave(phases, window_strides, padded.shape)

    return pad(whole, [(-low, -high) for low, high in padding], (1,) * x.ndim)


def _shifted(x: Array, starts: Sequence[int], lengths: Sequence[int]) -> Array:
    """Return the array moved to these starts in zeros of these lengths; what lies beyond the end is left out."""
    ends = [length - start - old for length, start, old in zip(lengths, starts, x.shape, strict=True)]
    return pad(x, list(zip(starts, ends, strict=True)), (1,) * x.ndim)


def _lowest(dtype: Any) -> Any:
    return -jnp.inf if jnp.issubdtype(dtype, jnp.floating) else np.iinfo(dtype).min


def _greatest(dtype: Any) -> Any:
    return jnp.inf if jnp.issubdtype(dtype, jnp.floating) else np.iinfo(dtype).max


_BETTER: dict[str, tuple[Callable[[Array, Array], Array], Callable[[Any], Any]]] = {
    "ge": (jnp.maximum, _lowest),
    "le": (jnp.minimum, _greatest),
}
_FORMS: dict[str, Form] = {
    "reduce_window_max": _highest,
    "reduce_window_min": _least,
    "reduce_window_sum": _sum,
    "select_and_scatter_add": _scatter,
}
