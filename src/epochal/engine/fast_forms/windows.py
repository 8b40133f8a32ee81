"""Windows that slide over an array, as slices of the whole array: one slice for each place in a window."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Shaped

Pads = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Windows:
    """How windows slide over an array, with a number for each of its axes.

    Attributes:
        sizes: how many places a window has along an axis.
        strides: from one window to the next.
        dilations: from one place in a window to the next.
        counts: how many windows there are.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    counts: tuple[int, ...]

    def places(self) -> Iterator[tuple[int, ...]]:
        """Yield the places in a window, the last axis fastest."""
        yield from itertools.product(*(range(size) for size in self.sizes))

    def at(self, x: Shaped[Array, "..."], place: Sequence[int]) -> Shaped[Array, "..."]:
        """Return what all windows have at a place."""
        starts = [index * dilation for index, dilation in zip(place, self.dilations, strict=True)]
        ends = [
            start + (count - 1) * stride + 1
            for start, count, stride in zip(starts, self.counts, self.strides, strict=True)
        ]
        return lax.slice(x, starts, ends, self.strides)


def count_windows(length: int, size: int, stride: int, dilation: int = 1) -> int:
    """Return how many windows fit a padded axis.

    >>> count_windows(7, 3, 2)
    3
    """
    return max(0, (length - (size - 1) * dilation - 1) // stride + 1)


def pad(x: Array, pads: Pads, dilations: Sequence[int], value: Any = 0) -> Array:
    """Return an array with values around it, or without its edges where pads are negative, and between its values."""
    if all(tuple(both) == (0, 0) for both in pads) and set(dilations) == {1}:
        return x
    config = [(int(low), int(high), dilation - 1) for (low, high), dilation in zip(pads, dilations, strict=True)]
    return lax.pad(x, jnp.asarray(value, x.dtype), config)


def interleave(phases: dict[tuple[int, ...], Array], steps: Sequence[int], shape: Sequence[int]) -> Array:
    """Return the array of a shape whose values at ``step · i + p`` are ``phases[p][i]``, p from 0 along each axis.

    Phases may differ by one in their lengths.
    """
    longest = [-(-length // step) for length, step in zip(shape, steps, strict=True)]
    filled = {
        place: pad(
            phase, [(0, long - length) for long, length in zip(longest, phase.shape, strict=True)], [1] * len(steps)
        )
        for place, phase in phases.items()
    }

    for axis in reversed(range(len(steps))):
        if steps[axis] == 1:
            filled = {place[:axis]: phase for place, phase in filled.items()}
            continue
        joined = {}
        for place in {place[:axis] for place in filled}:
            stacked = jnp.stack([filled[(*place, p)] for p in range(steps[axis])], axis + 1)
            length = stacked.shape[axis] * steps[axis]
            whole = stacked.reshape(*stacked.shape[:axis], length, *stacked.shape[axis + 2 :])
            joined[place] = lax.slice_in_dim(whole, 0, shape[axis], axis=axis)
        filled = joined

    return filled[()]
