"""Cutting images into overlapping tiles, and adding tiles back into images.

A convolution with an odd k × k kernel that keeps the image's size, followed by 2×2 pooling, needs for each pooled
pixel a tile of n × n inputs, n = k + 1: tile (t, u) begins at row 2t and column 2u of the padded image. `tiles` cuts
them, applying a small matrix along rows and columns as it does; `untile` is its transpose. Both are sums of slices of
whole arrays, which XLA's CPU compiler turns into vector loops; the padding between the two directions also keeps it
from computing the first direction again for each use in the second.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

Matrix = np.ndarray
Grid = list[list[Array]]


def combine(coefficients: Sequence[float] | Matrix, arrays: Sequence[Array]) -> Array:
    """Return the sum of coefficient × array, without the terms whose coefficient is zero."""
    terms = [
        a if c == 1 else -a if c == -1 else a * float(c) for c, a in zip(coefficients, arrays, strict=True) if c != 0
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _windows(x: Array, axis: int, size: int, count: int) -> list[Array]:
    """Return, for each offset in a tile, the elements at that offset of all `count` tiles along an axis."""
    return [lax.slice_in_dim(x, k, k + 2 * count - 1, 2, axis) for k in range(size)]


def _pad(x: Array, axis: int, low: int, high: int) -> Array:
    return lax.pad(x, jnp.zeros((), x.dtype), [(low, high, 0) if i == axis else (0, 0, 0) for i in range(x.ndim)])


def tiles(x: Float[Array, "images height width channels"], transform: Matrix) -> Grid:
    """Return transform · tile · transformᵀ for all tiles: entry [i][j] has shape (images · tiles, channels)."""
    images, height, width, channels = x.shape
    size, down, across = len(transform), height // 2, width // 2
    edge = size // 2 - 1
    rows = _windows(_pad(x, 1, edge, edge), 1, size, down)
    by_row = _pad(jnp.stack([combine(line, rows) for line in transform]), 3, edge, edge)
    grid = []
    for row in by_row:
        columns = _windows(row, 2, size, across)
        grid.append([combine(line, columns).reshape(images * down * across, channels) for line in transform])
    return grid


def _shifts(size: int, phase: int) -> list[tuple[int, int]]:
    """Return (shift, offset) for each tile that covers pixel 2v + phase: tile v − shift has it at that offset."""
    edge = size // 2 - 1
    return [(shift, offset) for shift in range(-size, size) if 0 <= (offset := phase + edge + 2 * shift) < size]


def _spread(arrays: list[Array], transform: Matrix, axis: int, pixels: int) -> list[Array]:
    """Transpose one direction of `tiles`: n arrays of tiles → the even and the odd pixels along the axis."""
    count, blocks = arrays[0].shape[axis], -(-pixels // 2)
    phases = []
    for phase in range(2):
        parts = [
            _pad(combine(transform[:, offset], arrays), axis, shift, blocks - count - shift)
            for shift, offset in _shifts(len(transform), phase)
        ]
        phases.append(combine([1.0] * len(parts), parts))
    return phases


def _gather(stacked: Array, transform: Matrix, axis: int, pixels: int) -> list[Array]:
    """Do what `_spread` does for arrays stacked along axis 1, as slices of one padded array."""
    size, count, blocks = len(transform), stacked.shape[axis], -(-pixels // 2)
    near = [shift for phase in range(2) for shift, _ in _shifts(size, phase)]
    low, high = max(near), blocks - count - min(near)
    padded = _pad(stacked, axis, low, high)
    phases = []
    for phase in range(2):
        coefficients, slices = [], []
        for shift, offset in _shifts(size, phase):
            moved = lax.slice_in_dim(padded, low - shift, low - shift + blocks, axis=axis)
            coefficients += transform[:, offset].tolist()
            slices += [moved[:, i] for i in range(size)]
        phases.append(combine(coefficients, slices))
    return phases


def untile(grid: Grid, transform: Matrix, shape: tuple[int, ...]) -> Float[Array, "images height width channels"]:
    """Return the transpose of `tiles` applied to a grid: the gradient of an image from those of its tiles."""
    images, height, width, channels = shape
    down, across = height // 2, width // 2
    shaped = [[entry.reshape(images, down, across, channels) for entry in row] for row in grid]
    by_column = jnp.stack(
        [jnp.stack(_spread([row[j] for row in shaped], transform, 1, height)) for j in range(len(transform))], axis=1
    )  # (2 row phases, n, images, rows / 2, tiles across, channels)
    phases = jnp.stack(_gather(by_column, transform, 4, width), axis=1)
    return join(phases)[:, :height, :width]


def join(phases: Float[Array, "2 2 images rows columns channels"]) -> Float[Array, "images rows*2 columns*2 channels"]:
    """Return the images whose pixels (2r + p, 2c + q) are phases[p, q][r, c]."""
    _, _, images, rows, columns, channels = phases.shape
    return phases.transpose(2, 3, 0, 4, 1, 5).reshape(images, 2 * rows, 2 * columns, channels)
