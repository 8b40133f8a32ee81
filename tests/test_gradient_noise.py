"""The noise scale from raw sums: right on gradients whose noise is known, and never a negative number."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.gradient_noise import (
    LargeGradient,
    NoiseBlock,
    NoiseScale,
    ScaleEstimate,
    at_evaluation,
    gram_error,
    over_run,
    scale_curve,
)
from epochal.noise_words import noise_scale

N, SIZE, MEAN = 2_000, 40, 0.3
FLOATS = st.floats(0, 1e6, width=32)


def population(seed: int = 0) -> np.ndarray:
    """Gradients of single samples: their own mean, and noise whose trace is near 40."""
    return MEAN / math.sqrt(SIZE) + np.random.default_rng(seed).normal(size=(N, SIZE))


def trace_of(gradients: np.ndarray) -> float:
    return float(np.var(gradients, axis=0, ddof=1).sum())


def measured(gradients: np.ndarray, batch: int, count: int, *, half_twice: bool = False, seed: int = 1) -> NoiseBlock:
    """What halves of batches give, each drawn without replacement."""
    random, sums = np.random.default_rng(seed), []
    for _ in range(count):
        drawn = gradients[random.choice(len(gradients), batch, replace=False)]
        first, second = drawn[: batch // 2].mean(0), drawn[batch // 2 :].mean(0)
        second = first if half_twice else second
        mean = (first + second) / 2
        sums.append([(first - second) @ (first - second), mean @ mean])
    return NoiseBlock(0, 20, batch, np.array(sums, np.float32))


@pytest.mark.parametrize("batch", [10, 100, 1_000])
def test_two_halves_tell_the_trace_without_a_correction(batch: int) -> None:
    gradients = population()
    found = measured(gradients, batch, 200).traces
    assert found.mean() == pytest.approx(trace_of(gradients), abs=4 * found.std() / math.sqrt(200))


def test_half_two_that_is_half_one_has_no_noise() -> None:
    """The control: whoever compares a half with itself must not pass."""
    gradients = population()
    assert measured(gradients, 100, 50, half_twice=True).traces.tolist() == [0.0] * 50
    assert measured(gradients, 100, 50, half_twice=True).traces.mean() != pytest.approx(trace_of(gradients), rel=0.15)


@pytest.mark.parametrize("batch", [1_000, 1_900])
def test_the_gradients_own_length_needs_the_correction_for_batches_without_replacement(batch: int) -> None:
    gradients = population()
    block = measured(gradients, batch, 400)
    truth, found = float(np.square(gradients.mean(0)).sum()), block.squares(N)
    assert found.mean() == pytest.approx(truth, abs=4 * found.std() / 20)
    without = block.sums[:, 1] - block.traces / batch  # as if batches were drawn with replacement
    assert abs(without.mean() - truth) > 4 * without.std() / 20


def test_the_ratio_of_sums_and_its_error() -> None:
    """Over many repetitions the error that is told is the spread that there is."""
    gradients = population()
    truth = trace_of(gradients) / float(np.square(gradients.mean(0)).sum())
    estimates = [over_run([measured(gradients, 400, 60, seed=seed)], N) for seed in range(60)]
    values = [one.value for one in estimates if one is not None and not one.is_bound]
    assert len(values) == 60
    assert np.mean(values) == pytest.approx(truth, rel=0.1)
    told = np.mean([one.error for one in estimates if one is not None])
    assert told == pytest.approx(np.std(values), rel=0.4)


@given(
    st.lists(st.tuples(FLOATS, FLOATS), min_size=0, max_size=60), st.integers(1, 50).map(lambda half: 2 * half),
    FLOATS, FLOATS, st.integers(100, 10**9),
)  # fmt: skip
def test_it_is_never_negative_and_a_bound_has_no_upper_end(
    pairs: list[tuple[float, float]], batch: int, square: float, error: float, samples: int
) -> None:
    block = NoiseBlock(0, 20, batch, np.array(pairs, np.float32).reshape(-1, 2))
    gradient = LargeGradient(1_200, min(samples, 10_000), square, error)
    for scale in (over_run([block], samples), at_evaluation([block], gradient, samples)):
        if scale is None:
            assert len(pairs) < 8
            continue
        assert 0 <= scale.low <= scale.value <= scale.high
        assert scale.is_bound == (scale.square < 2 * scale.square_error or scale.square <= 0)
        assert "-" not in str(noise_scale(scale)), "no minus sign anywhere"
        if scale.is_bound:
            assert (scale.high, scale.error) == (math.inf, math.inf)
            assert str(noise_scale(scale)).startswith("more than")


def test_what_cannot_be_told_from_nothing_is_more_than_a_bound() -> None:
    noise = np.random.default_rng(3).normal(size=(N, SIZE))
    noise -= noise.mean(0)
    estimates = [over_run([measured(noise, 100, 30, seed=seed)], N) for seed in range(20)]
    bounds = [one for one in estimates if one is not None and one.is_bound]
    assert len(bounds) >= 16, "two errors are passed by chance now and then"
    assert min(one.value for one in bounds) > 100, "which the batch alone would say"
    for one in bounds:
        assert "more_than" in one.to_dict()
        json.dumps(one.to_dict(), allow_nan=False)


def test_a_gradient_of_the_whole_training_set_needs_no_correction_and_has_no_error() -> None:
    gradients = population()
    square = float(np.square(gradients.mean(0)).sum())
    scale = at_evaluation([measured(gradients, 100, 40)], LargeGradient(800, N, square, 0.0), N)
    assert scale is not None
    assert (scale.square, scale.square_error) == (pytest.approx(square), 0.0)
    assert scale.value == pytest.approx(trace_of(gradients) / square, rel=0.1)


def test_the_window_is_the_second_half_since_the_evaluation_before_but_twenty_at_least() -> None:
    blocks = [NoiseBlock(start, 20, 10, np.ones((50, 2), np.float32)) for start in (0, 1_000, 2_000)]
    gradients = [LargeGradient(at, 100, 1.0, 0.0) for at in (200, 1_000, 2_400, 3_000)]
    found = {gradient.iteration: scale for gradient, scale in scale_curve(blocks, gradients, 100)}
    assert {at: (scale.start, scale.end, scale.measured) for at, scale in found.items()} == {
        200: (0, 181, 10),
        1_000: (600, 981, 20),
        2_400: (1_700, 2_381, 35),
        3_000: (2_600, 2_981, 20),
    }


@pytest.mark.parametrize(
    ("start", "end", "left"), [(0, 1, [0]), (1, 40, [20]), (0, 100, [0, 20, 40, 60]), (61, 90, [])]
)
def test_a_block_is_cut_by_iterations(start: int, end: int, left: list[int]) -> None:
    block = NoiseBlock(0, 20, 10, np.arange(8, dtype=np.float32).reshape(4, 2))
    part = block.within(start, end)
    assert part.iterations.tolist() == left
    assert part.sums[:, 0].tolist() == [iteration / 10 for iteration in left]


def test_five_gradients_tell_the_error_of_their_mean_and_rather_too_large_a_one() -> None:
    random, errors, squares = np.random.default_rng(5), [], []
    for _ in range(300):
        parts = MEAN + random.normal(size=(5, SIZE))
        gram = parts @ parts.T
        errors.append(gram_error(gram, share=0.0))
        squares.append((gram.sum() - np.trace(gram)) / 20)
    assert 0.9 < np.sqrt(np.mean(np.square(errors))) / np.std(squares) < 1.6
    assert gram_error(gram, share=1.0) == 0


def test_gradients_without_a_common_direction_have_an_infinite_scale() -> None:
    assert NoiseScale(1, 2, small_square=2.0, large_square=1.0).value == math.inf
    assert math.isnan(NoiseScale(1, 2, small_square=math.nan, large_square=1.0).value)


def test_a_scale_has_the_digits_that_its_error_leaves() -> None:
    def said(trace: float, error: float) -> str:
        return str(noise_scale(ScaleEstimate(0, 600, 30, trace, 1.0, 0.01, error)))

    assert said(2_949.4, 1_013.0) == "2,900 ± 1,000"
    assert said(55.21, 5.1) == "55.2 ± 5.1"
    assert said(55.21, 0.0) == "55.21 ± 0.00"
