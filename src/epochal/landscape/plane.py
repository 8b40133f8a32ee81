"""Planes in weight space: the two principal directions of trajectories, and two filter-normalised random ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from epochal.errors import RunError
from epochal.landscape.trajectory import Vector, Vectors, WeightSpace

Coordinates: TypeAlias = Float64[np.ndarray, "points 2"]

_BLOCK = 1 << 16
_PURPOSE = 0x706C616E  # keeps random directions apart from any other use of the seed
_LEAST_SHARE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """The points ``origin + x · directions[0] + y · directions[1]`` of weight space.

    Attributes:
        explained: the share of the points' variance along each direction, 0 to 1; none for random directions.
    """

    origin: Float64[np.ndarray, " weights"]
    directions: Float64[np.ndarray, "2 weights"]
    explained: tuple[float, ...] = ()

    def project(self, points: Vectors) -> Coordinates:
        """Return the coordinates of the points in the plane that are nearest to these."""
        products = np.zeros((len(points), 2))
        for part in _blocks(self.origin.size):
            products += (points[:, part].astype(np.float64) - self.origin[part]) @ self.directions[:, part].T
        return np.linalg.solve(self.directions @ self.directions.T, products.T).T

    def point(self, x: float, y: float) -> Float64[np.ndarray, " weights"]:
        """Return the weights at these coordinates."""
        weights: Float64[np.ndarray, " weights"] = self.origin + np.array([x, y]) @ self.directions
        return weights


def principal_plane(points: Vectors) -> Plane:
    """Return the plane through the points' mean that explains the most of their variance (PCA).

    Exact, by the eigenvectors of the small matrix of the centred points' inner products: with many more weights than
    points, it is a fraction of the work and memory of a singular value decomposition, and all sums are in double
    precision. Directions have length 1 and are at right angles; each one's sign makes its largest coordinate positive.
    Raises `RunError` for points that span no plane.
    """
    mean = np.concatenate([points[:, part].mean(axis=0, dtype=np.float64) for part in _blocks(points.shape[1])])

    # in blocks of weights, so that no second copy of all points is needed
    inner = np.zeros((len(points), len(points)))
    for part in _blocks(mean.size):
        centred = points[:, part].astype(np.float64) - mean[part]
        inner += centred @ centred.T

    variances, vectors = np.linalg.eigh(inner)
    if not np.isfinite(variances).all() or len(points) < 3 or variances[-2] <= _LEAST_SHARE * variances.sum():
        raise RunError(
            f"the {len(points)} points at which weights were kept span no plane; train for more epochs, or more runs"
        )

    largest, shares = vectors[:, [-1, -2]], variances[[-1, -2]]
    largest = largest * np.sign(largest[np.abs(largest).argmax(axis=0), [0, 1]]) / np.sqrt(shares)
    directions = np.concatenate(
        [largest.T @ (points[:, part].astype(np.float64) - mean[part]) for part in _blocks(mean.size)], axis=1
    )

    explained = shares / variances.sum()
    return Plane(mean, directions, (float(explained[0]), float(explained[1])))


def random_plane(origin: Vector, space: WeightSpace, seed: int) -> Plane:
    """Return the plane of two random directions through ``origin``, normalised filter by filter.

    Each filter of a direction has the length of the same filter of the weights, so that planes of different networks
    are comparable; biases do not move. A filter is all that makes one output: an array without its last axis. Source:
    Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of Neural Nets", NeurIPS 2018, section 4.
    """
    random = np.random.default_rng([seed, _PURPOSE])
    weights = space.arrays(origin.astype(np.float64))
    directions = [np.concatenate([_direction(array, random).ravel() for array in weights]) for _ in range(2)]
    return Plane(origin.astype(np.float64), np.stack(directions))


def _direction(weights: Float64[np.ndarray, "..."], random: np.random.Generator) -> Float64[np.ndarray, "..."]:
    if weights.ndim < 2:
        return np.zeros_like(weights)
    noise = random.standard_normal(weights.shape)
    within = tuple(range(weights.ndim - 1))
    lengths = np.linalg.norm(weights.reshape(-1, weights.shape[-1]), axis=0)
    noise_lengths = np.sqrt(np.sum(noise**2, axis=within))
    return np.asarray(noise * (lengths / noise_lengths))


def _blocks(size: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, size)) for start in range(0, size, _BLOCK))
