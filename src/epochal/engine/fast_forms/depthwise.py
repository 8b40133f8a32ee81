"""Convolutions of each channel for itself, and the gradients of their kernels, as sums of products of slices."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from epochal.engine.fast_forms.windows import Windows
from epochal.models.kernels.convolution import split_evenly

_ROWS = 8
_TERMS = 16  # rows of all images that are added up in one sum, before they meet what was added up so far


def outputs(
    x: Float[Array, "images *places channels"],
    kernel: Float[Array, "*sides channels features"],
    windows: Windows,
) -> Float[Array, "images *outputs channels*features"]:
    """Return the outputs of padded images, ``features`` for each channel."""
    features = kernel.shape[-1]
    x = lax.optimization_barrier(x)  # else the padding is computed again for each slice
    total = None
    for place in windows.places():
        weights = kernel[place[1:-1]].reshape(-1)
        values = windows.at(x, place)
        values = values if features == 1 else jnp.repeat(values, features, axis=-1)
        total = values * weights if total is None else total + values * weights
    assert total is not None
    return total


def kernel_gradient(
    x: Float[Array, "images height width channels"],
    gradient: Float[Array, "images rows columns channels"],
    sides: Sequence[int],
    steps: Sequence[int],
    strides: Sequence[int],
) -> Float[Array, "down across channels"]:
    """Return Σ x[:, i · step + y · stride, j · step + x · stride] · gradient[:, y, x] for each i and j.

    Images and rows are added up in blocks of some rows of a few images, whose sums stay in the cache.
    """
    images, rows, columns, channels = gradient.shape
    row_blocks, most_rows = split_evenly(rows, _ROWS)
    image_blocks, most_images = split_evenly(images, max(1, _TERMS // most_rows))

    more_rows, more_images = row_blocks * most_rows - rows, image_blocks * most_images - images
    gradient = jnp.pad(gradient, [(0, more_images), (0, more_rows), (0, 0), (0, 0)])
    x = lax.optimization_barrier(jnp.pad(x, [(0, more_images), (0, more_rows * strides[0]), (0, 0), (0, 0)]))
    places = [(i, j) for i in range(sides[0]) for j in range(sides[1])]
    height = (most_rows - 1) * strides[0] + (sides[0] - 1) * steps[0] + 1
    Sums = tuple[Array, ...]

    def add_images(sums: Sums, number: Array) -> tuple[Sums, None]:
        some_x, some = (lax.dynamic_slice_in_dim(a, number * most_images, most_images) for a in (x, gradient))

        def add_rows(sums: Sums, number: Array) -> tuple[Sums, None]:
            block = lax.dynamic_slice_in_dim(some_x, number * most_rows * strides[0], height, 1)
            block_gradient = lax.dynamic_slice_in_dim(some, number * most_rows, most_rows, 1)
            return tuple(
                _add(total, block, block_gradient, (i * steps[0], j * steps[1]), strides)
                for total, (i, j) in zip(sums, places, strict=True)
            ), None

        return lax.scan(add_rows, sums, jnp.arange(row_blocks))

    zeros = tuple(jnp.zeros((columns, channels), x.dtype) for _ in places)
    sums, _ = lax.scan(add_images, zeros, jnp.arange(image_blocks))
    return jnp.stack([total.sum(0) for total in sums]).reshape(*sides, channels)


def _add(total: Array, x: Array, gradient: Array, start: tuple[int, int], strides: Sequence[int]) -> Array:
    """Add the products of all rows of all images of a block to the sum."""
    images, rows, columns, _ = gradient.shape
    for image in range(images):
        for row in range(rows):
            end = start[1] + (columns - 1) * strides[1] + 1
            total = total + x[image, start[0] + row * strides[0], start[1] : end : strides[1]] * gradient[image, row]
    return total
