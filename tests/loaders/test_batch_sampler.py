"""The batch sampler by itself: order, positions, ranks. No loader is needed for it, and no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import chain, islice
from typing import Any

import numpy as np
import pytest

from epochal import Order, Plan, Position
from epochal.errors import OptionError, PlanError
from epochal.loaders import BatchSampler


def flat(batches: Any) -> list[int]:
    return list(chain.from_iterable(batches))


@pytest.mark.parametrize(
    ("samples", "batch_size"), [(1, 1), (10, 3), (37, 37), (4_097, 1), (65_537, 100), (40_000, 33_333)]
)
def test_an_epoch_is_the_order_in_batches(samples: int, batch_size: int) -> None:
    sampler = BatchSampler(samples, batch_size, seed=7)
    for epoch in range(2):
        batches = list(sampler)
        assert len(batches) == len(sampler) == Plan(samples, batch_size).batches_per_epoch
        assert {len(batch) for batch in batches[:-1]} <= {batch_size}
        assert np.array_equal(flat(batches), Order(samples, 7).indices(epoch, 0, samples))
    assert sampler.position == Position(2 * len(sampler), 2, 0)


def test_a_smaller_last_batch_can_be_dropped() -> None:
    sampler = BatchSampler(10, 4, last="drop")
    assert [len(batch) for batch in sampler] == [4, 4]
    assert sampler.drop_last
    assert sampler.position == Position(2, 1, 0)


@pytest.mark.parametrize("slices", ["strided", "contiguous"])
@pytest.mark.parametrize(("samples", "batch_size", "ranks"), [(65_537, 100, 4), (23, 7, 2), (23, 23, 5), (30, 3, 3)])
def test_the_ranks_slices_are_the_batch(samples: int, batch_size: int, ranks: int, slices: Any) -> None:
    batch_size = batch_size if Plan(samples, batch_size).last_batch_size >= ranks else batch_size + 1
    whole = list(BatchSampler(samples, batch_size, seed=3))
    parts = [list(BatchSampler(samples, batch_size, seed=3, rank=r, ranks=ranks, slices=slices)) for r in range(ranks)]
    for batch, *rest in zip(whole, *parts, strict=True):
        assert sorted(flat(rest)) == sorted(batch)
        sizes = {len(part) for part in rest}
        assert max(sizes) - min(sizes) <= 1


def test_a_batch_that_leaves_a_rank_without_samples_is_refused(unchecked: None) -> None:
    with pytest.raises(PlanError, match="a batch of 1 leaves nothing for some of 2 ranks"):
        BatchSampler(65_537, 128, ranks=2)
    BatchSampler(65_537, 128, ranks=2, last="drop")
    with pytest.raises(PlanError, match="take a larger one"):
        BatchSampler(100, 2, ranks=4)
    with pytest.raises(OptionError, match="rank 4 is none of the 4 ranks"):
        BatchSampler(100, 10, rank=4, ranks=4)
    with pytest.raises(OptionError, match="slices must be"):
        BatchSampler(100, 10, slices="spiral")  # type: ignore[arg-type]


@pytest.mark.parametrize("done", [0, 1, 163, 164, 655, 656, 657, 1_000])
def test_it_continues_after_any_batch(done: int) -> None:
    first = BatchSampler(65_537, 100, seed=7)
    before: list[list[int]] = []
    while len(before) < done:
        before += islice(iter(first), done - len(before))
    state = json.loads(json.dumps(first.state_dict()))

    second, third = BatchSampler(65_537, 100, seed=7), BatchSampler(65_537, 100, seed=7)
    second.load_state_dict(state)
    third.seek(done)
    assert first.position == second.position == third.position == Plan(65_537, 100).position(iteration=done)
    rest = list(second)
    assert rest == list(third)
    whole = BatchSampler(65_537, 100, seed=7)
    assert (before + rest)[-656:] == [list(whole), list(whole)][done // 656][: len(rest) + done][-656:]


def test_the_position_is_in_place_before_the_last_batch_is_handed_out() -> None:
    sampler = BatchSampler(10, 4)
    batches = iter(sampler)
    for _ in range(3):
        next(batches)
    assert sampler.position == Position(3, 1, 0)


def test_a_broken_off_epoch_is_followed_by_the_next() -> None:
    sampler = BatchSampler(100, 10, seed=1)
    list(islice(iter(sampler), 3))
    assert flat(sampler) == list(Order(100, 1).indices(1, 0, 100))


def test_an_iterator_that_nobody_advances_changes_nothing() -> None:
    sampler = BatchSampler(100, 10, seed=1)
    sampler.seek(4)
    iter(sampler)
    assert flat(sampler) == list(Order(100, 1).indices(0, 40, 100))


def test_the_epoch_can_be_set() -> None:
    sampler = BatchSampler(100, 10, seed=1)
    for epoch in (3, 3, 0):
        sampler.set_epoch(epoch)
        assert flat(sampler) == list(Order(100, 1).indices(epoch, 0, 100))


def test_to_set_the_epoch_that_was_loaded_keeps_the_place_in_it() -> None:
    sampler = BatchSampler(100, 10, seed=1)
    sampler.seek(14)
    sampler.set_epoch(1)
    assert flat(sampler) == list(Order(100, 1).indices(1, 40, 100))


def test_the_order_goes_on_under_another_batch_size_and_other_ranks() -> None:
    first = BatchSampler(100, 10, seed=1)
    list(islice(iter(first), 3))
    seconds = [BatchSampler(100, 28, seed=1, rank=rank, ranks=2) for rank in range(2)]
    for second in seconds:
        second.load_state_dict(first.state_dict())
    assert sorted(flat(seconds[0]) + flat(seconds[1])) == sorted(Order(100, 1).indices(0, 30, 100))


def test_a_rest_without_a_whole_batch_is_passed_over_where_such_rests_are_dropped() -> None:
    sampler = BatchSampler(100, 40, last="drop")
    sampler.load_state_dict({**sampler.state_dict(), "iteration": 9, "offset": 90})
    assert flat(sampler) == list(Order(100, 0).indices(1, 0, 80))


def test_a_state_of_another_order_is_refused() -> None:
    state = BatchSampler(100, 10, seed=1).state_dict()
    with pytest.raises(OptionError, match="seed 1, and this sampler has 2"):
        BatchSampler(100, 10, seed=2).load_state_dict(state)
    with pytest.raises(OptionError, match="samples 100, and this sampler has 99"):
        BatchSampler(99, 10, seed=1).load_state_dict(state)


def test_a_place_in_the_middle_of_a_very_long_epoch_is_reached_at_once() -> None:
    sampler = BatchSampler(10**12, 100, seed=1)
    sampler.seek(5 * 10**9)
    assert next(iter(sampler)) == list(Order(10**12, 1).indices(0, 5 * 10**11, 5 * 10**11 + 100))


def test_no_other_library_is_imported() -> None:
    code = "import sys; from epochal.loaders import BatchSampler; list(BatchSampler(10, 4)); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert {"torch", "grain", "jax"}.isdisjoint(loaded)
