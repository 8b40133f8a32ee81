"""The curve that one training predicts: exact where the theory is, and nothing for other optimizers."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from epochal.errors import OptionError
from epochal.gradient_noise import Sharpness
from epochal.study.batch_size.predicted import WITHIN, Prediction, checkpoints, predict, refuse_quick


def scales(*values: float) -> list[Sharpness]:
    return [Sharpness(value, value / 10, 1.0) for value in values]


def test_the_pilots_own_size_needs_what_it_needed() -> None:
    prediction = predict(64, 319.0, scales(22.2, 88.2, 152.4, 107.5, 115.6))
    assert prediction.steps_of(64) == pytest.approx(319.0)
    assert prediction.critical == pytest.approx(82.2, abs=0.1)
    assert prediction.steps_of(1) == pytest.approx(prediction.s_min + prediction.e_min)
    assert (prediction.critical_low, prediction.critical_high) == (
        prediction.critical / WITHIN,
        prediction.critical * 2,
    )


@pytest.mark.parametrize("batch_size", [1, 4, 64, 1_024, 60_000])
def test_a_scale_that_never_changes_is_the_critical_size_whoever_measured_it(batch_size: int) -> None:
    """S(B) = 200·(1 + 90/B), seen by pilots of any size."""
    prediction = predict(batch_size, 200 * (1 + 90 / batch_size), scales(*[90.0] * 5))
    assert (prediction.s_min, prediction.critical) == (pytest.approx(200), pytest.approx(90))
    sizes = np.array([1, 16, 256, 4_096])
    assert [prediction.steps_of(int(size)) for size in sizes] == pytest.approx(200 * (1 + 90 / sizes))


def test_places_that_tell_nothing_count_for_nothing() -> None:
    bent = [*scales(50.0, 50.0), Sharpness(3.0, 1.0, -0.5), Sharpness(-3.0, 1.0, 0.5)]
    assert predict(32, 100.0, bent).critical == pytest.approx(50)
    assert bent[2].value == math.inf
    assert bent[3].value == 0
    with pytest.raises(OptionError, match="cannot be predicted: at no place of the pilot run"):
        predict(32, 100.0, bent[2:])


def test_it_is_written_and_read() -> None:
    prediction = predict(64, 319.0, [*scales(22.2, 88.2), Sharpness(1.0, 0.1, -1.0)])
    values = json.loads(json.dumps(prediction.to_dict(), allow_nan=False))
    assert Prediction.from_dict(values) == prediction
    assert values["scales"][0]["error"] == pytest.approx(2.22)


def test_five_places_in_the_middles_of_equal_parts() -> None:
    assert checkpoints(1_000.0) == (100, 300, 500, 700, 900)
    assert len(checkpoints(1.4)) >= 1


def test_only_plain_descent_is_predicted() -> None:
    refuse_quick("sgd")
    for optimizer in ("momentum", "adam"):
        with pytest.raises(OptionError, match=f"knows nothing of what {optimizer} makes of them"):
            refuse_quick(optimizer)
