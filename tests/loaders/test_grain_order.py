"""Epochal's order in Grain: with its threads, its batches, its epochs, and from the middle."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import pytest

from epochal import Order
from epochal.errors import OptionError
from epochal.loaders import by_order

N, B = 17_011, 1_000  # more than one block of indices


class Rows:
    """A source whose elements are their own numbers."""

    def __init__(self, samples: int = N) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> np.int64:
        return np.int64(index)


@pytest.fixture(scope="module")
def grain() -> Any:
    return pytest.importorskip("grain", reason="needs Grain")


def order(epoch: int) -> np.ndarray:
    return Order(N, 7).indices(epoch, 0, N)


def test_grains_own_shuffle_loses_a_sample_and_ours_does_not(grain: Any) -> None:
    samples = 65_537
    own = grain.MapDataset.source(Rows(samples)).shuffle(seed=7)
    assert len({int(own[place]) for place in range(samples)}) == samples - 1  # the negative control
    ours = by_order(Rows(samples), seed=7)
    assert len({int(ours[place]) for place in range(samples)}) == samples


def test_threads_read_every_epoch_in_its_order(grain: Any) -> None:
    batches = by_order(grain.MapDataset.source(Rows()), seed=7).batch(B, drop_remainder=False).repeat(2)
    reading = batches.to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=8))
    assert np.array_equal(np.concatenate(list(reading)), np.concatenate([order(0), order(1)]))


def test_threads_that_jump_about_read_what_is_there(grain: Any) -> None:
    ours, expected = by_order(Rows(), seed=7), np.concatenate([order(0), order(1)])
    places = np.random.default_rng(0).integers(0, 2 * N, 400)
    with ThreadPoolExecutor(8) as pool:
        assert np.array_equal(list(pool.map(lambda place: ours[int(place)], places)), expected[places])


@pytest.mark.parametrize("done", [1, 18, 30])
def test_it_continues_from_a_state(done: int, grain: Any) -> None:
    batches = by_order(Rows(), seed=7).batch(B, drop_remainder=False).repeat(2).to_iter_dataset()
    first, second = iter(batches), iter(batches)
    before = list(islice(first, done))
    second.set_state(first.get_state())
    assert np.array_equal(np.concatenate([*before, *second]), np.concatenate([order(0), order(1)]))


def test_a_slice_is_read_in_order(grain: Any) -> None:
    assert [int(one) for one in by_order(Rows(), seed=7)[10:20]] == list(order(0)[10:20])


def test_where_grain_is_missing_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(OptionError, match="pip install grain"):
        by_order(Rows())
