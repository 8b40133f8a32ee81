"""The law of updates by batch size: it recovers what points were made from, says how sure it is, and can be wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from epochal.study.batch_size.curve import LEAST_SIZES, Curve, fit_curve
from epochal.study.batch_size.law import log_steps
from measured_sizes import MEASURED

SIZES = (1, 4, 16, 64, 256, 1024, 4096)


def steps_of(
    critical: float, *, s_min: float = 200.0, alpha: float = 1.0, sizes: Sequence[int] = SIZES, seeds: int = 2,
    noise: float = 0.0, seed: int = 0,
) -> dict[int, list[float]]:  # fmt: skip
    """Return the updates of a known law, each training with its noise."""
    draw = np.random.default_rng(seed)
    law = {size: s_min * (1 + (critical / size) ** alpha) ** (1 / alpha) for size in sizes}
    return {size: list(value * np.exp(noise * draw.normal(size=seeds))) for size, value in law.items()}


def fitted(steps: Mapping[int, Sequence[float]]) -> Curve:
    curve = fit_curve({size: list(map(float, some)) for size, some in steps.items()})
    assert curve is not None
    return curve


@settings(max_examples=10, deadline=None)
@given(st.floats(8.0, 1500.0), st.floats(0.8, 3.0), st.floats(20.0, 5000.0))
def test_points_without_noise_give_back_the_law_that_they_were_made_from(
    critical: float, alpha: float, s_min: float
) -> None:
    curve = fitted(steps_of(critical, alpha=alpha, s_min=s_min))
    assert curve.critical == pytest.approx(critical, rel=0.02)
    assert curve.alpha == pytest.approx(alpha, rel=0.05)
    assert curve.s_min == pytest.approx(s_min, rel=0.02)
    assert curve.e_min == pytest.approx(s_min * critical, rel=0.02)
    assert curve.residual < 0.01


def test_at_an_exponent_of_one_it_is_the_hyperbola() -> None:
    curve = fitted(steps_of(64.0))
    sizes = np.array([2.0, 30.0, 500.0])
    steps = curve.steps(sizes)
    product = (steps / curve.s_min - 1) * (steps * sizes / curve.e_min - 1)
    np.testing.assert_allclose(product, 1.0, rtol=0.01)


def recovered(curves: Sequence[Curve], critical: float) -> int:
    return sum(curve.critical_low <= critical <= curve.critical_high for curve in curves)


def test_the_interval_holds_the_truth_nine_times_in_ten() -> None:
    # single trainings of 10 % noise, as measured ones have; negative control: another law's size is in none of them
    curves = [fitted(steps_of(90.0, noise=0.1, seed=seed)) for seed in range(12)]
    assert recovered(curves, 90.0) >= 9
    assert recovered(curves, 4 * 90.0) == 0
    widths = [curve.critical_high / curve.critical_low for curve in curves]
    assert 1.2 < float(np.median(widths)) < 2.5  # neither nothing nor everything


def test_noisier_trainings_have_a_wider_interval() -> None:
    calm, wild = (fitted(steps_of(90.0, noise=noise, seeds=3, seed=5)) for noise in (0.0, 0.5))
    assert wild.critical_high / wild.critical_low > 1.3 * calm.critical_high / calm.critical_low


def test_one_size_that_went_wrong_moves_the_knee_little() -> None:
    steps = steps_of(90.0)
    steps[16] = [3 * value for value in steps[16]]
    curve = fitted(steps)
    assert curve.residual_at == 16
    assert curve.residual == pytest.approx(np.log(3), abs=0.25)
    assert curve.critical == pytest.approx(90.0, rel=0.35)


def test_without_a_knee_among_the_sizes_its_place_is_only_a_bound() -> None:
    scaling = fitted(steps_of(1e6))
    flat = fitted(steps_of(1e-3))
    assert not scaling.has_knee
    assert scaling.critical >= max(SIZES)
    assert not flat.has_knee
    assert flat.critical <= min(SIZES)
    assert fitted(steps_of(90.0)).has_knee


def test_fewer_than_five_sizes_say_nothing() -> None:
    steps = steps_of(90.0)
    few = dict(list(steps.items())[: LEAST_SIZES - 1])
    assert fit_curve(few) is None
    assert fit_curve({**few, 1024: [], 4096: []}) is None  # sizes that never reached the target
    assert fit_curve(dict(list(steps.items())[:LEAST_SIZES])) is not None


def test_the_same_points_in_any_order_have_the_same_interval() -> None:
    steps = steps_of(90.0, noise=0.1)
    assert fitted(steps) == fitted(dict(reversed(steps.items())))


def test_the_band_holds_the_curve_and_is_widest_outside_the_points() -> None:
    curve = fitted(steps_of(90.0, noise=0.1))
    sizes = np.array([1.0, 90.0, 4096.0, 1e6])
    low, high = curve.band(sizes)
    assert (low <= curve.steps(sizes)).all()
    assert (curve.steps(sizes) <= high).all()


@pytest.mark.parametrize(
    ("name", "critical", "alpha", "residual"),
    [
        ("sgd, 10,000 samples", (58, 114), (2.5, 8.0), 0.13),
        ("momentum, 10,000 samples", (278, 493), (1.0, 1.6), 0.14),
        ("sgd, 60,000 samples", (97, 181), (1.4, 2.2), 0.21),
        ("adam, 10,000 samples", (268, 629), (0.9, 1.3), 0.13),
        ("sgd, digits", (22, 46), (0.7, 1.2), 0.16),
    ],
)
def test_measured_points_have_the_knees_that_were_read_from_them(
    name: str, critical: tuple[int, int], alpha: tuple[float, float], residual: float
) -> None:
    curve = fitted(MEASURED[name])
    assert critical[0] < curve.critical < critical[1]
    assert curve.critical_low > critical[0] / 1.3
    assert curve.critical_high < critical[1] * 1.5
    assert alpha[0] <= curve.alpha <= alpha[1]
    assert curve.residual == pytest.approx(residual, abs=0.02)


@pytest.mark.parametrize("name", MEASURED)
def test_it_is_the_least_squares_of_a_general_solver(name: str) -> None:
    logs = np.log(np.array(list(MEASURED[name]), float))
    means = np.array([np.log(some).mean() for some in MEASURED[name].values()])
    found = least_squares(
        lambda law: log_steps(law, logs) - means, [means.min(), 4.0, 0.0], loss="soft_l1", f_scale=0.1, xtol=1e-12
    )
    curve = fitted(MEASURED[name])
    np.testing.assert_allclose([curve.s_min, curve.critical, curve.alpha], np.exp(found.x), rtol=1e-3)


def test_momentum_scales_further_than_plain_steps() -> None:
    plain, momentum = (fitted(MEASURED[f"{name}, 10,000 samples"]) for name in ("sgd", "momentum"))
    assert momentum.critical / plain.critical > 2.5
    assert momentum.critical_low > plain.critical_high
