"""Gradients of kernels as matrix products over all pixels.

The gradient at place (i, j) of a kernel is a product of the images, moved by i rows and j columns, with the gradient of
the outputs. Moving the images in both directions would copy them for each place. Instead, the images are moved by
columns, and the gradients of the outputs by rows, the other way: one product of both has all places, and copies only as
often as the kernel has rows and columns. Where outputs are fewer than pixels, by a stride, the copies are small and the
images are moved in both directions. A few samples at a time stay in the cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from epochal.engine.fast_forms import depthwise
from epochal.engine.fast_forms.windows import Windows, pad
from epochal.models.kernels.convolution import over_blocks

_BLOCK_BYTES = 400 << 10
_LAYOUT = ("NHWC", "HWIO", "NHWC")
_BUNDLE = 16


@dataclass(frozen=True, slots=True)
class _Shape:
    """Along rows and columns: the kernel's sides, the steps between its places, and how its outputs met the images."""

    sides: tuple[int, ...]
    steps: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilations: tuple[int, ...]


def gradient(
    x: Float[Array, "samples height width groups channels"],
    of_outputs: Float[Array, "samples rows columns groups features"],
    sides: tuple[int, ...],
    steps: tuple[int, ...],
    strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilations: tuple[int, ...],
) -> Float[Array, "down across channels groups features"]:
    """Return Σ x̂[n, i · step + y · stride, j · step + x · stride] · of_outputs[n, y, x] for each i and j.

    x̂ is ``x`` with its padding, and with zeros between its pixels where dilations are above 1.
    """
    shape = _Shape(sides, steps, strides, padding, dilations)
    groups, channels, features = x.shape[3], x.shape[4], of_outputs.shape[4]
    if channels == 1 and groups > 1:
        flat = of_outputs.reshape(*of_outputs.shape[:3], groups * features)
        repeated = x[..., 0] if features == 1 else jnp.repeat(x[..., 0], features, axis=-1)
        of_kernel = depthwise.kernel_gradient(_padded(repeated, shape), flat, sides, steps, strides)
        return of_kernel.reshape(*sides, 1, groups, features)

    size = max(1, min(groups, _BUNDLE // channels))
    while groups % size:
        size -= 1
    bundles = []
    for first in range(0, groups, size):
        some, some_gradient = (lax.slice_in_dim(a, first, first + size, axis=3) for a in (x, of_outputs))
        flat, flat_gradient = (a.reshape(*a.shape[:3], -1) for a in (some, some_gradient))
        of_kernel = _of_one_group(flat, flat_gradient, shape)
        split = of_kernel.reshape(*sides, size, channels, size, features)
        bundles.append(jnp.stack([split[:, :, g, :, g] for g in range(size)], 3))

    return jnp.concatenate(bundles, 3)


def _of_one_group(x: Array, of_outputs: Array, shape: _Shape) -> Array:
    """Return (down, across, channels, features)."""
    copies = shape.sides[1] * x.shape[-1] + shape.sides[0] * of_outputs.shape[-1]
    if shape.strides != (1, 1) or shape.sides == (1, 1):
        return _by_columns(x, of_outputs, shape)
    if math.prod(shape.sides) * x.shape[-1] <= copies:
        return _as_convolution(_padded(x, shape), of_outputs, shape)
    return _crosswise(x, of_outputs, shape)


def _crosswise(x: Array, of_outputs: Array, shape: _Shape) -> Array:
    """Return the product of the images moved by columns with the gradients moved by rows; both move by one pixel."""
    channels, (_, height, width, features) = x.shape[-1], of_outputs.shape
    (down, across), (step, wide_step) = shape.sides, shape.steps
    rows = height + (down - 1) * step

    def block(x: Array, of_outputs: Array) -> tuple[tuple[()], Array]:
        x = _padded(x, shape)
        x = pad(x, [(0, 0), (0, rows - x.shape[1]), (0, 0), (0, 0)], (1,) * 4)
        wide = [x[:, :, j * wide_step : j * wide_step + width] for j in range(across)]
        tall = [
            jnp.pad(of_outputs, [(0, 0), (i * step, rows - height - i * step), (0, 0), (0, 0)]) for i in range(down)
        ]
        return (), _transposed_product(*(jnp.concatenate(parts, -1) for parts in (tall, wide)))

    each = rows * width * (across * channels + down * features) * x.dtype.itemsize
    _, total = over_blocks(block, max(1, _BLOCK_BYTES // each), x, of_outputs)
    return jnp.transpose(total.reshape(down, features, across, channels), (0, 2, 3, 1))


def _by_columns(x: Array, of_outputs: Array, shape: _Shape) -> Array:
    """Return the product of the gradients with the images moved to each place: small where outputs are few."""
    _, height, width, features = of_outputs.shape
    windows = Windows(
        (1, *shape.sides, 1), (1, *shape.strides, 1), (1, *shape.steps, 1), (0, height, width, x.shape[-1])
    )

    def block(x: Array, of_outputs: Array) -> tuple[tuple[()], Array]:
        some, padded = replace(windows, counts=(len(x), *windows.counts[1:])), _padded(x, shape)
        moved = jnp.concatenate([some.at(padded, place) for place in some.places()], -1)
        return (), _transposed_product(of_outputs, moved)

    each = height * width * (math.prod(shape.sides) * x.shape[-1] + features) * x.dtype.itemsize
    _, total = over_blocks(block, max(1, _BLOCK_BYTES // each), x, of_outputs)
    return jnp.moveaxis(total.reshape(features, *shape.sides, x.shape[-1]), 0, -1)


def _padded(x: Array, shape: _Shape) -> Array:
    return pad(x, [(0, 0), *shape.padding, (0, 0)], (1, *shape.dilations, 1))


def _transposed_product(a: Array, b: Array) -> Array:
    """Return aᵀ · b of the last axes, summed over all others."""
    a, b = (m.reshape(-1, m.shape[-1]) for m in (a, b))
    product: Array = lax.dot_general(a, b, (((0,), (0,)), ((), ())))
    return product


def _as_convolution(x: Array, of_outputs: Array, shape: _Shape) -> Array:
    """Return the same as a convolution in XLA's own layout: best where there are few channels."""
    needed = [
        (side - 1) * step + (count - 1) * stride + 1
        for side, step, count, stride in zip(
            shape.sides, shape.steps, of_outputs.shape[1:3], shape.strides, strict=True
        )
    ]
    x = x[:, : needed[0], : needed[1]]
    of_kernel = lax.conv_general_dilated(
        jnp.transpose(x, (3, 1, 2, 0)),
        jnp.transpose(of_outputs, (1, 2, 0, 3)),
        shape.steps,
        "VALID",
        rhs_dilation=shape.strides,
        dimension_numbers=_LAYOUT,
    )
    turned: Array = jnp.transpose(of_kernel, (1, 2, 0, 3))
    return turned
