"""The Toom–Cook matrices compute a filter exactly, with the fewest multiplications and errors of float32's size."""

from __future__ import annotations

import numpy as np
import pytest

from epochal.models.kernels.winograd import SIDES, Transforms, transforms


def filtered(matrices: Transforms, tile: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return matrices.outputs @ ((matrices.kernel @ kernel) * (matrices.inputs @ tile))


@pytest.mark.parametrize("side", SIDES)
def test_two_outputs_of_a_filter_cost_one_multiplication_for_each_input(side: int) -> None:
    matrices = transforms(side)
    assert matrices.inputs.shape == (side + 1, side + 1)
    for i, tile in enumerate(np.eye(side + 1)):
        for k, kernel in enumerate(np.eye(side)):
            assert filtered(matrices, tile, kernel) == pytest.approx([float(i == k), float(i == k + 1)], abs=1e-14)


def test_another_point_gives_another_filter() -> None:
    right = transforms(3)
    outputs = right.outputs.copy()
    outputs[1, 2] = -2.0
    wrong = Transforms(right.inputs, right.kernel, outputs)
    assert filtered(wrong, np.eye(4)[1], np.eye(3)[0]) != pytest.approx([0.0, 1.0], abs=1e-3)


@pytest.mark.parametrize("side", SIDES)
def test_the_inputs_matrix_holds_small_whole_numbers(side: int) -> None:
    inputs = transforms(side).inputs
    assert np.array_equal(inputs, np.rint(inputs))
    assert np.abs(inputs).max() <= 5


@pytest.mark.parametrize("side", SIDES)
def test_rounding_errors_are_at_most_a_few_times_those_of_a_direct_product(side: int) -> None:
    random, size, channels = np.random.default_rng(0), side + 1, 32
    x = random.standard_normal((50, size, size, channels)).astype(np.float32)
    kernel = random.standard_normal((side, side, channels, 16)).astype(np.float32)
    windows = np.stack([x[:, p : p + side, q : q + side] for p in range(2) for q in range(2)])
    exact = np.einsum("wbijc,ijco->wbo", windows.astype(np.float64), kernel.astype(np.float64))
    direct = windows.reshape(4, 50, -1) @ kernel.reshape(-1, 16)
    t = Transforms(*(m.astype(np.float32) for m in vars_of(transforms(side))))
    tiles = np.einsum("ik,jl,bklc->ijbc", t.inputs, t.inputs, x, optimize=True)
    values = np.einsum("ik,jl,klco->ijco", t.kernel, t.kernel, kernel, optimize=True)
    fast = np.einsum("pi,qj,ijbo->pqbo", t.outputs, t.outputs, tiles @ values, optimize=True).reshape(exact.shape)
    assert rms(fast - exact) < 4 * rms(direct - exact)
    assert rms(fast.astype(np.float16) - exact) > 4 * rms(direct - exact)  # what a coarser type would do


def vars_of(matrices: Transforms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return matrices.inputs, matrices.kernel, matrices.outputs


def rms(errors: np.ndarray) -> float:
    return float(np.sqrt((errors**2).mean()))
