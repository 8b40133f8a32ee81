"""The lessons in full, with the numbers that they are known by: minutes each."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from epochal.study import lesson
from epochal.study.lessons.ladder import MODELS

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def real_data(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST, from where it is."""
    monkeypatch.setenv("EPOCHAL_DATA", str(mnist.parent))


def test_reshuffling_is_21_times_nearer_and_follows_its_law() -> None:
    numbers = lesson("reshuffling").numbers
    assert numbers["times_nearer"] >= 10
    assert 3 <= numbers["halving_reshuffled"] <= 5
    assert 1.5 <= numbers["halving_replacement"] <= 2.5


def test_the_growing_batch_ends_where_the_falling_rate_does() -> None:
    numbers = lesson("growth").numbers
    assert (numbers["updates_growth"], numbers["updates_decay"]) == (4_722, 10_800)
    assert numbers["apart"] <= 0.03
    assert numbers["train_loss_decay"] == pytest.approx(0.0191, rel=0.1)


def test_the_gap_and_its_cure() -> None:
    numbers = lesson("gap").numbers
    assert numbers["accuracy_large"] < numbers["accuracy_root"] <= numbers["accuracy_small"] - 0.01
    assert numbers["accuracy_longer"] >= numbers["accuracy_small"] - 0.002
    assert math.isnan(numbers["accuracy_linear"])  # did not train


def test_the_ladder_has_the_order_of_1998() -> None:
    numbers = lesson("ladder").numbers
    errors = [numbers[f"error_{model}"] for model in MODELS]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx(0.076, abs=0.008)
    assert errors[-1] <= 0.0125


def test_rates_follow_the_batch_linearly_for_sgd_and_by_its_root_for_adam() -> None:
    numbers = lesson("rates").numbers
    assert numbers["rate_sgd_64"] / numbers["rate_sgd_1"] >= 16
    assert numbers["rate_sgd_1024"] / numbers["rate_sgd_256"] <= 2
    assert 8 <= numbers["rate_adam_256"] / numbers["rate_adam_1"] <= 32
