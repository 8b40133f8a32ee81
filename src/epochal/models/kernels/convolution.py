"""A convolution with ReLU and 2×2 max-pooling that stays fast inside a compiled loop on the CPU.

XLA brings the gradients of a convolution into their fast form only in a program's entry (JAX issue 12868): inside a
loop they fall into a naive path, twenty times slower. So on the CPU all three products, forward and backward, are
written here as matrix products over overlapping tiles of a few images at a time, which stay in the cache:

- `winograd.py` for the kernels and channel counts where it saves most of the multiplications;
- `direct.py` for the others: each tile's inputs as one row of a matrix, times one that holds the kernel.

A tile's outputs are just what one pooled pixel is the maximum of, so the full-size convolution is never put together,
and what the backward pass needs of it is one byte for each pooled pixel: which of the four won. On other devices the
products are XLA's own convolutions, and so they are in a program that is exported for any number of images.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, PyTree, UInt8

from epochal.models.kernels import direct, winograd

Images: TypeAlias = Float[Array, "images height width channels"]
Kernel: TypeAlias = Float[Array, "side side channels features"]
Bias: TypeAlias = Float[Array, " features"]
Pooled: TypeAlias = Float[Array, "images height//2 width//2 features"]
Winners: TypeAlias = UInt8[Array, "images height//2 width//2 features"]

_DEAD = 4  # the winner where ReLU lets nothing through
_LAYOUT = ("NHWC", "HWIO", "NHWC")
_BLOCK_BYTES = 8 << 20  # of tiles and products at a time: about what the shared cache of a small machine holds
_MANY_CHANNELS = 8  # from here on winograd.py's fewer multiplications outweigh its additions


@jax.custom_vjp
def conv_relu_pool(x: Images, kernel: Kernel, bias: Bias) -> Pooled:
    """Return max-pool(relu(convolution + bias)): zero padding that keeps the size, 2×2 pools that do not overlap.

    Args:
        x: at least 2×2; an odd last row or column is left out of the pools, not of the convolution.
        kernel: of an odd side.
        bias: one for each feature.

    Among equal values in a pool the first wins the gradient, row by row, as in XLA's and PyTorch's own pooling.
    """
    return _forward(x, kernel, bias)[0]


class _Saved(NamedTuple):
    x: Array
    kernel: Array
    winners: Array


def _forward(x: Images, kernel: Kernel, bias: Bias) -> tuple[Pooled, _Saved]:
    if _is_number(x.shape[0]):
        pooled, winners = lax.platform_dependent(x, kernel, bias, cpu=_forward_in_tiles, default=_forward_whole)
    else:  # exported for any number of images, whose tiles cannot be counted
        pooled, winners = _forward_whole(x, kernel, bias)
    return pooled, _Saved(x, kernel, winners)


def _is_number(size: object) -> bool:
    return isinstance(size, int)


def _backward(saved: _Saved, gradient: Array) -> tuple[Array, Array, Array]:
    of_x, of_kernel = lax.platform_dependent(
        saved.x, saved.kernel, saved.winners, gradient, cpu=_backward_in_tiles, default=_backward_whole
    )
    of_bias = jnp.where(saved.winners != _DEAD, gradient, 0).sum((0, 1, 2))
    return of_x, of_kernel, of_bias


conv_relu_pool.defvjp(_forward, _backward)


def _relu_pool(corners: list[Array], bias: Bias) -> tuple[Array, Array]:
    """Return relu(max + bias) of a pool's four outputs, and which of them it is."""
    first, second, third, fourth = corners
    highest = jnp.maximum(jnp.maximum(first, second), jnp.maximum(third, fourth))
    winner = jnp.where(first == highest, 0, jnp.where(second == highest, 1, jnp.where(third == highest, 2, 3)))
    value = highest + bias
    return jnp.maximum(value, 0), jnp.where(value > 0, winner, _DEAD).astype(jnp.uint8)


def _of_corners(winners: Array, gradient: Array) -> list[Array]:
    """Return the gradients of the four outputs: the winner's is the pool's, the others' are 0."""
    return [jnp.where(winners == corner, gradient, 0) for corner in range(4)]


# On the CPU: matrix products over tiles, a few images at a time.


@runtime_checkable
class _Products(Protocol):
    """How the products are computed: what `winograd` and `direct` have in common."""

    def bytes_per_tile(self, side: int, channels: int, features: int) -> int:
        """Return how many bytes of tiles and products it works on for each tile."""

    def prepare(self, kernel: Array) -> Any:
        """Return what the products use of the kernel."""

    def corners(self, x: Array, prepared: Any) -> list[Array]:
        """Return the four outputs of each tile, as four arrays (tiles, features)."""

    def gradients(self, x: Array, prepared: Any, of_corners: list[Array]) -> tuple[Array, Any]:
        """Return the gradients of the images and of what was prepared."""

    def restore(self, of_prepared: Any, shape: tuple[int, ...]) -> Array:
        """Return the gradient of the kernel from that of what was prepared."""


def _products(kernel: Array) -> _Products:
    side, _, channels, _ = kernel.shape
    return winograd if side in winograd.SIDES and channels >= _MANY_CHANNELS else direct


def _forward_in_tiles(x: Images, kernel: Kernel, bias: Bias) -> tuple[Pooled, Winners]:
    products = _products(kernel)
    prepared = products.prepare(kernel)

    def block(x: Array) -> tuple[tuple[Array, Array], tuple[()]]:
        pooled, winners = _relu_pool(products.corners(x, prepared), bias)
        shape = (len(x), x.shape[1] // 2, x.shape[2] // 2, len(bias))
        return (pooled.reshape(shape), winners.reshape(shape)), ()

    most = _images_at_a_time(x, kernel)
    (pooled, winners), _ = over_blocks(block, most, x)
    return (pooled, winners) if len(x) > most else _computed_once(pooled, winners)


def _computed_once(pooled: Array, winners: Array) -> tuple[Array, Array]:
    """Return both unchanged, by a product with the identity matrix.

    XLA fuses cheap operations into each of their uses: it would compute the pools again in each. It does not fuse them
    across a matrix product, nor across the loop that there is when there are several blocks.
    """
    both = jnp.stack([pooled, winners.astype(pooled.dtype)]) @ jnp.eye(pooled.shape[-1], dtype=pooled.dtype)
    return both[0], both[1].astype(winners.dtype)


def _backward_in_tiles(x: Images, kernel: Kernel, winners: Winners, gradient: Pooled) -> tuple[Images, Kernel]:
    products = _products(kernel)
    prepared = products.prepare(kernel)

    def block(x: Array, winners: Array, gradient: Array) -> tuple[Array, Any]:
        corners = [corner.reshape(-1, kernel.shape[-1]) for corner in _of_corners(winners, gradient)]
        return products.gradients(x, prepared, corners)

    of_x, of_prepared = over_blocks(block, _images_at_a_time(x, kernel), x, winners, gradient)
    return of_x, products.restore(of_prepared, kernel.shape)


def _images_at_a_time(x: Array, kernel: Array) -> int:
    side, _, channels, features = kernel.shape
    tiles = (x.shape[1] // 2) * (x.shape[2] // 2)
    return max(1, _BLOCK_BYTES // (tiles * _products(kernel).bytes_per_tile(side, channels, features)))


def over_blocks(
    function: Callable[..., tuple[PyTree[Array], PyTree[Array]]], most: int, *arrays: Array
) -> tuple[PyTree[Array], PyTree[Array]]:
    """Apply a function to at most ``most`` rows of the arrays at a time, in a loop.

    The function returns a pair: what belongs to rows, which is put together again, and what is summed over all rows.
    The blocks are equal; the last one is filled up with zeros, for which a function's sums must be zero.
    """
    rows = len(arrays[0])
    blocks, size = split_evenly(rows, most)
    if blocks == 1:
        return function(*arrays)
    fill = blocks * size - rows
    padded = [jnp.pad(a, [(0, fill)] + [(0, 0)] * (a.ndim - 1)) for a in arrays]
    split = [a.reshape(blocks, size, *a.shape[1:]) for a in padded]
    _, sums = jax.eval_shape(function, *(a[0] for a in split))

    def step(total: PyTree[Array], block: list[Array]) -> tuple[PyTree[Array], PyTree[Array]]:
        of_rows, of_sums = function(*block)
        return jax.tree.map(jnp.add, total, of_sums), of_rows

    total, of_rows = lax.scan(step, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sums), split)
    return jax.tree.map(lambda a: a.reshape(blocks * size, *a.shape[2:])[:rows], of_rows), total


def split_evenly(rows: int, most: int) -> tuple[int, int]:
    """Return how many equal blocks, and how large, hold all rows with the least waste: at most twice the fewest.

    >>> split_evenly(100, 12)  # not 9 blocks of 12, which would hold 108
    (10, 10)
    """
    fewest = -(-rows // most)
    return min(((n, -(-rows // n)) for n in range(fewest, 2 * fewest)), key=lambda block: block[0] * block[1])


# Elsewhere: XLA's own convolution of all images at once.


def _convolve(x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_LAYOUT)


def _forward_whole(x: Images, kernel: Kernel, bias: Bias) -> tuple[Pooled, Winners]:
    full = _convolve(x, kernel)
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return _relu_pool([full[:, p:height:2, q:width:2] for p in range(2) for q in range(2)], bias)


def _backward_whole(x: Images, kernel: Kernel, winners: Winners, gradient: Pooled) -> tuple[Images, Kernel]:
    images, height, width, features = gradient.shape
    squares = jnp.stack(_of_corners(winners, gradient)).reshape(2, 2, *gradient.shape).transpose(2, 3, 0, 4, 1, 5)
    full = squares.reshape(images, 2 * height, 2 * width, features)
    full = jnp.pad(full, [(0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)])
    (of_x,) = jax.linear_transpose(partial(_convolve, kernel=kernel), x)(full)
    (of_kernel,) = jax.linear_transpose(partial(_convolve, x), kernel)(full)
    return of_x, of_kernel
