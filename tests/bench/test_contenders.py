"""The benchmark's contenders do the same arithmetic, and its bookkeeping counts what it should."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from epochal.data import Dataset, from_arrays

BENCH = Path(__file__).resolve().parents[2] / "bench"
pytestmark = pytest.mark.skipif(not (BENCH / "work.py").exists(), reason="the benchmark is not part of the package")


@pytest.fixture(scope="module", autouse=True)
def bench_modules():
    """Let the benchmark's files import each other, as they do when they are run."""
    sys.path.insert(0, str(BENCH))
    yield
    sys.path.remove(str(BENCH))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Two hundred images whose class is the block of rows that is lit."""
    random = np.random.default_rng(0)
    y = random.integers(0, 10, 300).astype(np.int32)
    x = random.integers(0, 60, (300, 28, 28), dtype=np.uint8)
    for image, label in zip(x, y, strict=True):
        image[2 * label : 2 * label + 3] = 255
    return from_arrays(x[:200], y[:200], test=(x[200:], y[200:]))


@pytest.fixture
def contender(dataset):
    """A function that makes a fresh contender, or skips where its package is missing."""
    made = []

    def make(name: str, **changes):
        made.append(build(name, dataset, **changes))
        return made[-1]

    yield make
    for one in made:
        if hasattr(one, "close"):
            one.close()


def build(name: str, dataset: Dataset, **changes):
    contenders = importlib.import_module("contenders")
    work = importlib.import_module("work")
    problem = importlib.import_module("problem")
    module, class_name = contenders.CONTENDERS[name].split(".")
    try:
        module = importlib.import_module(f"contenders.{module}")
    except ImportError as error:
        pytest.skip(f"{error.name} is not installed")
    settings = {"model": "mlp", "batch_size": 20, "optimizer": "sgd", "lr": 0.1, "updates": 60, **changes}
    return getattr(module, class_name)(problem.Problem(work.Work(**settings), dataset), "cpu")


NAMES = (
    "Epochal", "JAX loop by hand", "NumPy", "scikit-learn", "PyTorch, DataLoader", "PyTorch, indexing",
    "Keras on JAX", "Lightning", "skorch",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_contender_learns_a_tiny_problem_in_the_iterations_that_it_was_told(name, contender, dataset):
    one = contender(name)
    before = 0.1  # what guessing among ten classes gives
    done = one.train(60)
    assert done.iterations == 60
    assert done.seconds > 0
    accuracy = (one.predict(dataset.preprocessing(dataset.test.x)) == dataset.test.y).mean()
    assert accuracy > before + 0.5


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_numpy_and_the_hand_written_loop_take_the_same_steps(optimizer, contender):
    """Full batches have no order: from equal weights, five updates by both must end alike."""
    settings = {"optimizer": optimizer, "batch_size": "N", "lr": 0.05}
    by_hand, by_loop = (contender(name, **settings) for name in ("NumPy", "JAX loop by hand"))
    by_hand.params = [np.array(p) for p in by_loop.carry[0]]
    by_hand.train(5)
    by_loop.train(5)
    for ours, theirs in zip(by_hand.params, by_loop.carry[0], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_other_optimizers_would_not_have_passed_as_the_same(contender):
    sgd, momentum = (
        contender("JAX loop by hand", optimizer=name, batch_size="N", lr=0.05) for name in ("sgd", "momentum")
    )
    sgd.train(5)
    momentum.train(5)
    assert np.abs(np.asarray(sgd.carry[0][0]) - np.asarray(momentum.carry[0][0])).max() > 2e-3


def test_epochal_is_measured_in_one_training_that_goes_on(contender):
    one = contender("Epochal")
    one.train(10)
    first, second = one.train(10), one.train(10)
    assert first.iterations >= 10
    assert second.iterations >= 10


def test_every_row_with_a_target_is_in_the_quick_measurement():
    work = importlib.import_module("work")
    assert set(work.Effort.quick().works) == set(work.TARGETS) <= set(work.Effort.full().works)
    assert work.Effort.quick().repetitions >= 5


def test_a_machine_that_does_nothing_else_is_quiet():
    busy = importlib.import_module("quiet").Busy
    before, later = busy(machine=100.0, process=10.0), busy(machine=102.0, process=12.0)
    assert before.others(later, seconds=1.0, processors=2) == 0
    assert before.others(busy(machine=102.0, process=11.0), seconds=1.0, processors=2) == 0.5


def test_a_row_ends_where_half_of_its_ratios_spread_little() -> None:
    """A disturbed contender is not waited for, and a moment that is slow for all is no spread."""
    from measure import OURS, Row, is_settled

    def rows(*times: list[float]) -> list[Row]:
        return [Row(OURS if number == 0 else f"other {number}", times=one) for number, one in enumerate(times)]

    ours = [1.0, 3.0, 1.1, 1.0]
    steady, wild = [2.0, 6.1, 2.2, 2.1], [2.0, 5.0, 9.0, 1.0]
    assert is_settled(rows(ours, steady, steady, wild))
    assert not is_settled(rows(ours, wild, wild, steady))
    assert not is_settled(rows(ours))
