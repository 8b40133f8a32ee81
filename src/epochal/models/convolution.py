"""Convolution and pooling that stay fast inside a compiled loop on the CPU.

XLA brings a convolution into its fast form only in a program's entry, not inside a loop (JAX issue 12868); there the
gradients of a convolution fall into a naive path, twenty times slower. Here they are written as matrix products.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Images = Float[Array, "batch height width channels"]
Kernel = Float[Array, "rows columns channels features"]

_LAYOUT = ("NHWC", "HWIO", "NHWC")


@jax.custom_vjp
def convolve(x: Images, kernel: Kernel) -> Images:
    """Return the convolution with zero padding that keeps height and width; kernels have odd sizes."""
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_LAYOUT)


def _forward(x: Images, kernel: Kernel) -> tuple[Images, tuple[Images, Kernel]]:
    return convolve(x, kernel), (x, kernel)


def _backward(saved: tuple[Images, Kernel], gradient: Images) -> tuple[Images, Kernel]:
    x, kernel = saved
    rows, columns, channels, features = kernel.shape
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    of_x = lax.conv_general_dilated(gradient, flipped, (1, 1), "SAME", dimension_numbers=_LAYOUT)
    top, left = rows // 2, columns // 2
    padded = jnp.pad(x, ((0, 0), (top, top), (left, left), (0, 0)))
    height, width = x.shape[1:3]
    flat = gradient.reshape(-1, features)
    shifts = [
        padded[:, i : i + height, j : j + width].reshape(-1, channels).T @ flat
        for i in range(rows)
        for j in range(columns)
    ]
    return of_x, jnp.stack(shifts).reshape(kernel.shape)


convolve.defvjp(_forward, _backward)


def max_pool(x: Images) -> Images:
    """Return the maximum of each 2×2 square, as the maximum of four strided slices; odd edges are left out."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :height, :width]
    upper = jnp.maximum(x[:, ::2, ::2], x[:, ::2, 1::2])
    lower = jnp.maximum(x[:, 1::2, ::2], x[:, 1::2, 1::2])
    return jnp.maximum(upper, lower)
