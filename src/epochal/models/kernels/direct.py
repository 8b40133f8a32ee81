"""Convolution in tiles as one matrix product: a tile's inputs are a row, the kernel stands at its four places.

The product has (n / k)² times the multiplications that are needed, n = k + 1, but it is one large product.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from epochal.models.kernels.tiles import untile


def bytes_per_tile(side: int, channels: int, features: int) -> int:
    """Return how many bytes of tiles and products it works on for each tile."""
    return 4 * ((side + 1) ** 2 * channels + 4 * features)


def prepare(kernel: Array) -> Array:
    """Return the matrix (n · n · channels, 4 · features) with the kernel at its four places in a tile."""
    side, _, channels, features = kernel.shape
    places = [jnp.pad(kernel, [(p, 1 - p), (q, 1 - q), (0, 0), (0, 0)]) for p in range(2) for q in range(2)]
    return jnp.concatenate(places, -1).reshape((side + 1) ** 2 * channels, 4 * features)


def restore(of_prepared: Array, shape: tuple[int, ...]) -> Array:
    """Return the kernel's gradient from the matrix's: the sum over its four places."""
    side, _, channels, features = shape
    places = of_prepared.reshape(side + 1, side + 1, channels, 4, features)
    return sum(
        (places[p : p + side, q : q + side, :, 2 * p + q] for p in range(2) for q in range(2)),
        jnp.zeros((), of_prepared.dtype),
    )


def rows(x: Array, size: int) -> Array:
    """Return the tiles of n × n inputs that begin at every second pixel, (images · tiles, n · n · channels)."""
    images, height, width, channels = x.shape
    down, across, edge = height // 2, width // 2, size // 2 - 1
    ends = [2 * tiles + size - 2 - pixels - edge for tiles, pixels in ((down, height), (across, width))]
    zero = jnp.zeros((), x.dtype)
    padded = lax.pad(x, zero, [(0, 0, 0), (edge, ends[0], 0), (edge, ends[1], 0), (0, 0, 0)])
    pairs = padded.reshape(images, 2 * down + size - 2, across + size // 2 - 1, 2 * channels)
    wide = jnp.concatenate([pairs[:, :, d : d + across] for d in range(size // 2)], -1)
    pairs = wide.reshape(images, down + size // 2 - 1, 2, across, size * channels).swapaxes(2, 3)
    return jnp.concatenate([pairs[:, d : d + down] for d in range(size // 2)], 3).reshape(
        images * down * across, size * size * channels
    )


def corners(x: Array, prepared: Array) -> list[Array]:
    """Return the four outputs of each tile, as four arrays (tiles, features)."""
    return list(jnp.split(rows(x, _size(x, prepared)) @ prepared, 4, axis=1))


def gradients(x: Array, prepared: Array, of_corners: list[Array]) -> tuple[Array, Array]:
    """Return the gradients of the images and of the matrix."""
    size, channels = _size(x, prepared), x.shape[-1]
    of_products = jnp.concatenate(of_corners, 1)
    of_matrix = rows(x, size).T @ of_products
    of_tiles = (of_products @ prepared.T).reshape(-1, size, size, channels)
    grid = [[of_tiles[:, i, j] for j in range(size)] for i in range(size)]
    return untile(grid, np.eye(size), (x.shape[0], x.shape[1], x.shape[2], channels)), of_matrix


def _size(x: Array, prepared: Array) -> int:
    return math.isqrt(len(prepared) // x.shape[-1])
