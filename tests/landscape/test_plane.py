"""Planes in weight space, against NumPy's singular values and against the paper's definition."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from epochal.errors import RunError
from epochal.landscape.plane import Plane, principal_plane, random_plane
from epochal.landscape.trajectory import WeightSpace


def walk(points: int = 12, size: int = 70_000, seed: int = 0) -> np.ndarray:
    """A path of growing steps in a space larger than one block of the computation."""
    steps = np.random.default_rng(seed).normal(0, 1, (points, size)) * np.arange(1, points + 1)[:, None]
    return (5 + np.cumsum(steps, axis=0)).astype(np.float32)


def plane_by_svd(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centred = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    return directions[:2], (values**2 / (values**2).sum())[:2]


def test_principal_directions_and_shares_are_those_of_the_singular_values() -> None:
    points = walk()
    plane = principal_plane(points)
    directions, shares = plane_by_svd(points)
    np.testing.assert_allclose(plane.explained, shares, rtol=1e-10)
    np.testing.assert_allclose(np.abs(np.sum(plane.directions * directions, axis=1)), 1, rtol=1e-10)
    np.testing.assert_allclose(plane.origin, points.astype(np.float64).mean(axis=0), atol=1e-12)


def test_without_the_mean_the_shares_are_others() -> None:
    """A negative control: singular values of points that are not centred."""
    points = walk()
    values = np.linalg.svd(points.astype(np.float64), compute_uv=False)
    wrong = (values**2 / (values**2).sum())[:2]
    assert np.abs(np.array(principal_plane(points).explained) - wrong).max() > 0.01


def test_directions_have_length_one_at_right_angles_with_a_fixed_sign() -> None:
    plane = principal_plane(walk())
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(2), atol=1e-12)
    places = plane.project(walk())
    assert (places[np.abs(places).argmax(axis=0), [0, 1]] > 0).all()


def test_points_of_a_plane_are_found_again() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(9, 2)) @ rng.normal(size=(2, 500)) + rng.normal(size=500)
    points = truth.astype(np.float32)
    plane = principal_plane(points)
    assert sum(plane.explained) == pytest.approx(1, abs=1e-9)
    again = np.stack([plane.point(x, y) for x, y in plane.project(points)])
    np.testing.assert_allclose(again, points, atol=1e-5)


def test_the_shares_are_those_of_the_distances_that_the_plane_keeps() -> None:
    points = walk()
    plane = principal_plane(points)
    places = plane.project(points)
    total = np.sum((points - plane.origin) ** 2)
    np.testing.assert_allclose(np.sum(places**2, axis=0) / total, plane.explained, rtol=1e-9)


def test_coordinates_are_nearest_points_even_where_directions_are_skew() -> None:
    plane = Plane(np.zeros(3), np.array([[2.0, 0, 0], [1.0, 1.0, 0]]))
    np.testing.assert_allclose(plane.project(np.array([[5.0, 3.0, 9.0]], np.float32)), [[1.0, 3.0]])


@pytest.mark.parametrize("points", [walk(2), np.ones((5, 10), np.float32), np.outer(np.arange(5), np.ones(10))])
def test_points_on_a_line_span_no_plane(points: np.ndarray) -> None:
    with pytest.raises(RunError, match="span no plane"):
        principal_plane(points.astype(np.float32))


SPACE = WeightSpace(
    {".params['b']": (4,), ".params['k']": (3, 3, 2, 4), ".params['w']": (5, 4)},
    jax.tree.structure({"b": 0, "k": 0, "w": 0}),
)


def test_random_filters_have_the_lengths_of_the_weights_filters_and_biases_stay() -> None:
    weights = np.random.default_rng(1).normal(size=SPACE.size).astype(np.float32)
    plane = random_plane(weights, SPACE, seed=0)
    bias, kernel, matrix = SPACE.arrays(weights)
    for direction in plane.directions:
        no_bias, random_kernel, random_matrix = SPACE.arrays(direction)
        assert not no_bias.any()
        np.testing.assert_allclose(
            np.linalg.norm(random_matrix, axis=0), np.linalg.norm(matrix.astype(np.float64), axis=0)
        )
        np.testing.assert_allclose(
            np.sqrt((random_kernel**2).sum((0, 1, 2))), np.sqrt((kernel.astype(np.float64) ** 2).sum((0, 1, 2)))
        )
    assert bias.any()
    np.testing.assert_array_equal(plane.origin, weights)
    assert plane.explained == ()


def test_random_directions_follow_from_the_seed_and_are_two_different_ones() -> None:
    weights = np.random.default_rng(1).normal(size=SPACE.size).astype(np.float32)
    one, same, other = (random_plane(weights, SPACE, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.directions, same.directions)
    assert not np.allclose(one.directions, other.directions)
    assert not np.allclose(one.directions[0], one.directions[1])


def test_a_filter_of_zeros_does_not_move() -> None:
    weights = np.ones(SPACE.size, np.float32)
    weights[-20:] = 0
    assert np.isfinite(random_plane(weights, SPACE, 0).directions).all()
