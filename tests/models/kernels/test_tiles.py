"""Tiles: cut as a loop cuts them, and added back as the transpose says, in whole numbers and so exactly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import cut_tiles

from epochal.models.kernels.tiles import combine, join, tiles, untile

SHAPES_AND_SIZES = [((3, 2, 2, 1), 2), ((2, 8, 8, 3), 4), ((1, 7, 9, 2), 6), ((2, 3, 5, 4), 6), ((2, 6, 5, 2), 8)]


def whole_numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-4, 5, shape).astype(np.float32)


@pytest.mark.parametrize(("shape", "size"), SHAPES_AND_SIZES)
def test_tiles_are_those_that_a_loop_cuts(shape: tuple[int, ...], size: int) -> None:
    x, transform = whole_numbers(*shape), whole_numbers(size, size)
    expected = np.einsum("ik,jl,btuklc->ijbtuc", transform, transform, cut_tiles(x, size))
    cut = np.array(jax.jit(lambda x: tiles(x, transform))(x))
    assert np.array_equal(cut.reshape(expected.shape), expected)


def transposed(x: np.ndarray, transform: np.ndarray, other: np.ndarray) -> bool:
    """Whether ⟨tiles(x), g⟩ = ⟨x, untile(g)⟩ for some g, with `other` as the second one's matrix."""
    cut = np.array(jax.jit(lambda x: tiles(x, transform))(x))
    g = whole_numbers(*cut.shape)
    back = jax.jit(lambda g: untile([list(row) for row in g], other, x.shape))(g)
    return float(np.vdot(cut, g)) == float(np.vdot(x, back))


@pytest.mark.parametrize(("shape", "size"), SHAPES_AND_SIZES)
def test_untile_is_the_transpose_of_tiles(shape: tuple[int, ...], size: int) -> None:
    assert transposed(whole_numbers(*shape), whole_numbers(size, size), whole_numbers(size, size))


def test_a_matrix_the_wrong_way_round_is_no_transpose() -> None:
    assert not transposed(whole_numbers(2, 8, 8, 3), whole_numbers(4, 4), whole_numbers(4, 4).T)


def test_join_interleaves_the_phases() -> None:
    x = np.arange(2 * 6 * 4 * 3).reshape(2, 6, 4, 3).astype(np.float32)
    phases = np.stack([np.stack([x[:, p::2, q::2] for q in range(2)]) for p in range(2)])
    assert np.array_equal(join(jnp.asarray(phases)), x)


def test_combine_leaves_out_what_is_multiplied_by_zero() -> None:
    one, two = jnp.array([1.0, 2.0]), jnp.array([jnp.nan, jnp.nan])
    assert combine([3.0, 0.0], [one, two]).tolist() == [3, 6]
