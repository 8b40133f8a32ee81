"""Convolution with fewer multiplications: the Toom–Cook algorithm in Winograd's form.

To compute 2 neighbouring outputs of a filter of length k takes 2k multiplications. As the coefficients of a product of
polynomials, they follow from its values at n = k + 1 points, and that is n multiplications (Winograd, *Arithmetic
Complexity of Computations*, 1980; Lavin & Gray, *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016). In two
directions, and for k = 5, 36 multiplications take the place of 100. Going to the points and back is a small matrix on
each side of a tile:

    outputs = Aᵀ [(G kernel Gᵀ) · (Bᵀ tile B)] A,   the product being a matrix product over the channels.

The points are small, of both signs and on both sides of 1, as Barabasz et al. advise (*Error Analysis and Improving the
Accuracy of Winograd Convolution for Deep Neural Networks*, ACM TOMS 46(4), 2020): float32's rounding errors are then
about three times those of a direct product.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from epochal.models.kernels.tiles import combine, tiles, untile

_POINTS = {3: ("0", "1", "-1"), 5: ("0", "1", "-1", "1/2", "-2")}  # the last point is infinity
SIDES = tuple(_POINTS)


@dataclass(frozen=True, slots=True, eq=False)
class Transforms:
    """The three matrices for 2 outputs of a filter of length k, in tiles of n = k + 1 inputs."""

    inputs: np.ndarray  # Bᵀ, (n, n)
    kernel: np.ndarray  # G, (n, k)
    outputs: np.ndarray  # Aᵀ, (2, n)


@functools.cache
def transforms(side: int) -> Transforms:
    """Return the matrices for one of SIDES, computed in exact fractions.

    >>> transforms(3).inputs.tolist()
    [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, -1.0, 0.0, 1.0]]
    """
    points, size = [Fraction(p) for p in _POINTS[side]], side + 1
    interpolate = _inverse(_evaluate(points, size))
    inputs, kernel, outputs = [list(row) for row in zip(*interpolate, strict=True)], _evaluate(points, side), []
    for i, row in enumerate(inputs):  # move each row's denominators from Bᵀ to G: small integers lose nothing
        scale = Fraction(math.lcm(*(v.denominator for v in row)))
        scale /= math.gcd(*(int(v * scale) for v in row))
        inputs[i] = [v * scale for v in row]
        kernel[i] = [v / scale for v in kernel[i]]
    outputs = [list(row) for row in zip(*_evaluate(points, 2), strict=True)]
    return Transforms(*(np.array([[float(v) for v in row] for row in m]) for m in (inputs, kernel, outputs)))


def _evaluate(points: list[Fraction], terms: int) -> list[list[Fraction]]:
    """Return the matrix that evaluates a polynomial of this many terms at the points, and last at infinity."""
    return [[p**j for j in range(terms)] for p in points] + [[Fraction(j == terms - 1) for j in range(terms)]]


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Invert a square matrix of fractions by Gauss–Jordan elimination."""
    size = len(matrix)
    rows = [[*row, *(Fraction(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for c in range(size):
        pivot = next(i for i in range(c, size) if rows[i][c])
        rows[c], rows[pivot] = rows[pivot], [*rows[c]]
        rows[c] = [v / rows[c][c] for v in rows[c]]
        for i in range(size):
            if i != c and rows[i][c]:
                rows[i] = [u - rows[i][c] * v for u, v in zip(rows[i], rows[c], strict=True)]
    return [row[size:] for row in rows]


def bytes_per_tile(side: int, channels: int, features: int) -> int:
    """Return how many bytes of tiles and products it works on for each tile."""
    return 4 * (side + 1) ** 2 * (channels + features)


def _both_ways(matrix: np.ndarray, x: Array) -> Array:
    """Return matrix · x · matrixᵀ over the first two axes."""
    first = jnp.stack([combine(row, list(x)) for row in matrix])
    return jnp.stack([combine(row, list(first.swapaxes(0, 1))) for row in matrix], axis=1)


def prepare(kernel: Array) -> Array:
    """Return the kernel's values at the points, (n, n, channels, features)."""
    return _both_ways(transforms(len(kernel)).kernel, kernel)


def restore(of_prepared: list[list[Array]], shape: tuple[int, ...]) -> Array:
    """Return the kernel's gradient from that of its values at the points."""
    return _both_ways(transforms(shape[0]).kernel.T, jnp.stack([jnp.stack(row) for row in of_prepared]))


def corners(x: Array, prepared: Array) -> list[Array]:
    """Return the four outputs of each tile, as four arrays (tiles, features)."""
    matrices = transforms(len(prepared) - 1)
    products = [
        [tile @ value for tile, value in zip(*row, strict=True)]
        for row in zip(tiles(x, matrices.inputs), prepared, strict=True)
    ]
    half = [[combine(line, row) for line in matrices.outputs] for row in products]
    return [combine(line, [row[q] for row in half]) for line in matrices.outputs for q in range(2)]


def gradients(x: Array, prepared: Array, of_corners: list[Array]) -> tuple[Array, list[list[Array]]]:
    """Return the gradients of the images and of the kernel's values at the points."""
    matrices = transforms(len(prepared) - 1)
    by_row = matrices.outputs.T
    half = [[combine(line, [of_corners[q], of_corners[2 + q]]) for q in range(2)] for line in by_row]
    of_products = [[combine(line, pair) for line in by_row] for pair in half]
    grid = tiles(x, matrices.inputs)
    of_values = [
        [lax.dot_general(t, p, (((0,), (0,)), ((), ()))) for t, p in zip(*row, strict=True)]
        for row in zip(grid, of_products, strict=True)
    ]
    of_tiles = [
        [product @ value.T for product, value in zip(*row, strict=True)]
        for row in zip(of_products, prepared, strict=True)
    ]
    return untile(of_tiles, matrices.inputs, x.shape), of_values
