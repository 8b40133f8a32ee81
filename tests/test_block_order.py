"""The order of blocks: a bijection for all sizes, no corner of it worse shuffled than another, found in O(1)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from epochal.block_order import BlockOrder, BlockSize, Window, stored_order
from epochal.errors import OptionError, PlanError
from epochal.order import Order

many_small_calls = pytest.mark.usefixtures("unchecked")
SIZES = [(1, 1), (1, 64), (2, 3), (3, 2), (7, 4), (16, 8), (334, 64), (1_000, 1), (5_000, 2)]
"""(K, G): blocks of one row, windows of one block, and blocks that are larger than some of the sets below."""


# --- the same values for ever -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "epoch", "start", "places", "indices"),
    [
        (BlockOrder(10, 7, 2, 2), 0, 0, [0, 6, 1, 7, 9, 2, 3, 8, 5, 4], [6, 0, 1, 4, 7, 3, 8, 5, 9, 2]),
        (BlockOrder(60_000, 0, 334, 64), 1, 30_000, [23522, 38522, 2176, 8493], [57032, 55723, 57343, 3537]),
        (
            BlockOrder(10**13, 2**64 - 1, 334, 64),
            2**33,
            10**12,
            [6894417874042, 1377209130721, 3708745057303, 9884873058308],
            [5215222835780, 9045248481768, 4536860614256, 2264351804893],
        ),
    ],
)
def test_orders_never_change(order: BlockOrder, epoch: int, start: int, places: list[int], indices: list[int]) -> None:
    """A run that is resumed by a later version must go on in the order in which it began."""
    assert order.places(epoch, start, start + len(places)).tolist() == places
    assert order.indices(epoch, start, start + len(places)).tolist() == indices


# --- a bijection ------------------------------------------------------------------------------------------------------


def is_bijection(numbers: np.ndarray) -> bool:
    """Whether the n numbers are 0 to n - 1, each once."""
    return np.array_equal(np.sort(numbers), np.arange(numbers.size))


def failures(most: int, sizes: Callable[[int], list[tuple[int, int]]]) -> list[tuple[int, int, int]]:
    """The (N, K, G) at which an epoch is no bijection, up to ``most`` samples."""
    return [
        (n, *size)
        for n in range(1, most + 1)
        for size in sizes(n)
        if not is_bijection(BlockOrder(n, n * 2**50, *size).places(n % 3, 0, n))
    ]


def sizes_in_turn(n: int) -> list[tuple[int, int]]:
    """Every size for the smallest sets; then those whose windows have many rows, as many windows take long."""
    coarse = [size for size in SIZES if size[0] * size[1] >= 1_000]
    return SIZES if n <= 60 else [coarse[n % len(coarse)]]


@many_small_calls
def test_every_small_number_of_samples() -> None:
    assert failures(2_000, sizes_in_turn) == []


@pytest.mark.slow
@many_small_calls
def test_every_number_of_samples_up_to_5_000() -> None:
    assert failures(5_000, lambda n: [size for size in SIZES if n <= 200 or size[0] * size[1] >= 28]) == []


@pytest.mark.parametrize("n", [65_537, 262_145, 1_000_003])
def test_large_sets(n: int) -> None:
    order = BlockOrder(n, 5, 334, 64)
    assert is_bijection(order.places(2, 0, n))
    assert is_bijection(order.indices(2, 0, n))


def test_a_bijection_is_told_from_what_is_none() -> None:
    """The control: two epochs' halves, whose blocks overlap; a row twice; a row too many."""
    order = BlockOrder(1_000, 5, 7, 4)
    assert not is_bijection(np.concatenate([order.places(0, 0, 500), order.places(1, 500, 1_000)]))
    assert not is_bijection(np.array([0, 1, 1]))
    assert not is_bijection(np.array([0, 1, 3]))


@given(
    st.integers(1, 3_000), st.integers(0, 2**64 - 1), st.integers(20, 400), st.integers(1, 9), st.integers(0, 2**40),
    st.data(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_parts_of_an_epoch_are_parts_of_one_order(
    n: int, seed: int, rows: int, blocks: int, epoch: int, data: st.DataObject
) -> None:
    """So the order depends neither on the batch size nor on where a run was resumed."""
    order = BlockOrder(n, seed, rows, blocks)
    whole = order.places(epoch, 0, n)
    assert is_bijection(whole)
    start, stop = sorted((data.draw(st.integers(0, n)), data.draw(st.integers(0, n))))
    assert order.places(epoch, start, stop).tolist() == whole[start:stop].tolist()


HUGE = [2**32 + 1, 10**12, 10**13 + 7, 2**62]


@pytest.mark.parametrize("n", HUGE)
def test_windows_of_a_huge_set_hold_whole_blocks_once(n: int) -> None:
    """Two neighbouring windows: each of whole blocks, none of them in both; the samples are those stored there."""
    order = BlockOrder(n, 3, 334, 64)
    one = order.window(5, n // 2)
    other = order.window(5, one.stop)
    drawn = [order.places(5, window.start, window.stop) for window in (one, other)]
    for window, places in zip((one, other), drawn, strict=True):
        blocks, counts = np.unique(places // 334, return_counts=True)
        assert (counts == 334).all()
        assert len(blocks) == window.blocks
        assert 0 <= places.min() <= places.max() < n
    assert not np.intersect1d(*drawn).size
    assert np.array_equal(stored_order(n).positions(0, order.indices(5, one.start, one.stop)), drawn[0])


# --- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "rows", "blocks"), [(1, 5, 2), (100, 7, 4), (10_000, 16, 8), (6_500, 100, 64)])
def test_windows_follow_each_other_and_differ_by_a_block(n: int, rows: int, blocks: int) -> None:
    """No window of a single block at an epoch's end, whose rows would meet no others."""
    order = BlockOrder(n, 1, rows, blocks)
    windows, position = [], 0
    while position < n:
        windows.append(order.window(3, position))
        assert order.window(3, windows[-1].stop - 1) == windows[-1]
        assert windows[-1].start == position
        position = windows[-1].stop
    assert [window.number for window in windows] == list(range(order.windows))
    assert max(window.blocks for window in windows) - min(window.blocks for window in windows) <= 1
    lengths = sorted(window.stop - window.start - window.blocks * rows for window in windows)
    assert lengths == [0] * (order.windows - 1) + [n % rows], "the rest is in one of them"


@many_small_calls
def test_rest_is_in_any_window_alike() -> None:
    order = BlockOrder(10 * 64 + 5, 1, 10, 8)
    found = [order._window_with_rest(epoch).number for epoch in range(4_000)]
    assert stats.chisquare(np.bincount(found, minlength=8)).pvalue > ACCEPTED
    assert stats.chisquare(np.bincount([7] * 4_000, minlength=8)).pvalue < REJECTED, "the control: always the last"


def blocks_in_windows(order: BlockOrder, epoch: int) -> list[frozenset[int]]:
    """The blocks that are together in each window of an epoch."""
    position, together = 0, []
    while position < order.samples:
        window = order.window(epoch, position)
        together.append(frozenset((order.places(epoch, position, window.stop) // order.block_rows).tolist()))
        position = window.stop
    return together


class SameBlocks(BlockOrder):
    """Wrong: every epoch puts the same blocks together."""

    def _places(self, epoch: int, window: Window, start: int, stop: int) -> np.ndarray:
        return BlockOrder._places(self, 0, window, start, stop)


def test_other_blocks_are_together_in_each_epoch() -> None:
    order, wrong = BlockOrder(3_200, 1, 10, 8), SameBlocks(3_200, 1, 10, 8)
    epochs = [set(blocks_in_windows(order, epoch)) for epoch in range(5)]
    assert len(set.union(*epochs)) == 5 * order.windows
    assert len(set(blocks_in_windows(wrong, 0)) | set(blocks_in_windows(wrong, 1))) == order.windows, "the control"


def test_every_seed_and_epoch_has_an_order_of_its_own() -> None:
    """All 64 bits of both count, and seed 0's epoch 1 is not seed 1's epoch 0."""
    numbers = [0, 1, 2, 2**32, 2**63, 2**64 - 1]
    orders = {tuple(BlockOrder(60, seed, 5, 4).places(epoch, 0, 60).tolist()) for seed in numbers for epoch in numbers}
    assert len(orders) == len(numbers) ** 2


# --- as random as two levels can be -----------------------------------------------------------------------------------
#
# As in test_order: each statistic returns a p-value, the order must stay above ACCEPTED with fixed seeds, and wrong
# versions must fall below REJECTED.

ACCEPTED, REJECTED = 1e-3, 1e-9
DRAWS = 1_500


@cache
def drawn(kind: type[BlockOrder] = BlockOrder) -> np.ndarray:
    """Many epochs of 26 samples in 6 blocks of 4, 3 a window, and 2 more rows, ``(draws, 26)``."""
    order = kind(26, 1, 4, 3)
    return np.stack([order.places(epoch, 0, 26) for epoch in range(DRAWS)])


def p_of_places(epochs: np.ndarray) -> float:
    """Every row, also of the rest, is in the first half of half of the epochs (binomial, the largest of 26)."""
    counts = np.bincount(epochs[:, :13].ravel(), minlength=26)
    z = np.abs(counts - len(epochs) / 2) / np.sqrt(len(epochs) / 4)
    return float(min(1.0, 26 * 2 * stats.norm.sf(z.max())))


def p_of_ranks(epochs: np.ndarray) -> float:
    """Every row of block 0 is as frequent at any place among the rows of its window (chi-square)."""
    place = np.argsort(epochs, axis=1)[:, :4] % 12
    without_rest = np.sort(epochs[:, :12], axis=1)[:, -1] < 24
    first = (np.argsort(epochs, axis=1)[:, 0] < 12) & without_rest
    return float(stats.chisquare(np.bincount(place[first].ravel(), minlength=12)).pvalue)


def p_of_neighbours(epochs: np.ndarray) -> float:
    """A row is followed by any other row of its block alike, and by rows of any other block alike (chi-square)."""
    first, second = epochs[:, 5], epochs[:, 6]
    inside = first // 4 == second // 4
    same = (second - first)[inside & (first < 24)] % 4
    other = ((second // 4 - first // 4) % 6)[~inside & (first < 24) & (second < 24)]
    p_values = [
        stats.chisquare(np.bincount(same, minlength=4)[1:]).pvalue,
        stats.chisquare(np.bincount(other, minlength=6)[1:]).pvalue,
        # two rows of a window of 12 are of one block in 3 of 11 cases
        stats.binomtest(int((inside & (first < 24) & (second < 24)).sum()), len(first), share_of_one_block()).pvalue,
    ]
    return float(min(p_values))


def share_of_one_block() -> float:
    """How often the rows at two positions of the first window are of one block, with the rest in half of the epochs."""
    return 0.5 * 3 / 11 + 0.5 * (12 / 14) * (3 / 13)


def p_of_independence(epochs: np.ndarray, others: np.ndarray) -> float:
    """The ranks of two streams do not follow each other."""
    n = epochs.shape[1]
    deviations = (epochs - (n - 1) / 2) * (others - (n - 1) / 2)
    correlation = deviations.sum(axis=1) / (n * (n * n - 1) / 12)
    spread = correlation.std() / np.sqrt(len(epochs))
    return float(2 * stats.norm.sf(abs(correlation.mean()) / max(spread, 1e-12)))


class BlocksInTurn(BlockOrder):
    """Wrong: shuffles blocks, and leaves the rows of each in their order."""

    def _places(self, epoch: int, window: Window, start: int, stop: int) -> np.ndarray:
        whole = BlockOrder._places(self, epoch, window, window.start, window.stop)
        blocks = list(dict.fromkeys((whole // self.block_rows).tolist()))
        in_turn = np.concatenate([np.sort(whole[whole // self.block_rows == block]) for block in blocks])
        return in_turn[start - window.start : stop - window.start]


class RestAtTheEnd(BlockOrder):
    """Wrong: the rows that fill no block are always in the last window."""

    def _window_with_rest(self, epoch: int) -> Window:
        each = self.blocks // self.windows
        start = (self.windows - 1) * each
        return Window(self.windows - 1, start * self.block_rows, self.samples, start, each)


class SeedPlusEpoch(BlockOrder):
    """Wrong: seed 0's epoch 1 is seed 1's epoch 0."""

    def places(self, epoch: int, start: int, stop: int) -> np.ndarray:
        return BlockOrder(self.samples, self.seed + epoch, self.block_rows, self.window_blocks).places(0, start, stop)


@many_small_calls
@pytest.mark.parametrize("statistic", [p_of_places, p_of_ranks, p_of_neighbours])
def test_places_and_neighbours_are_drawn_evenly(statistic: Callable[[np.ndarray], float]) -> None:
    assert statistic(drawn()) > ACCEPTED


@many_small_calls
@pytest.mark.parametrize(
    ("statistic", "wrong"),
    [
        (p_of_places, SameBlocks),
        (p_of_places, RestAtTheEnd),
        (p_of_ranks, SameBlocks),
        (p_of_neighbours, BlocksInTurn),
        (p_of_neighbours, SameBlocks),
    ],
)
def test_wrong_orders_are_rejected(statistic: Callable[[np.ndarray], float], wrong: type[BlockOrder]) -> None:
    assert statistic(drawn(wrong)) < REJECTED


@many_small_calls
def test_epochs_and_seeds_are_independent_streams() -> None:
    next_seed = BlockOrder(26, 2, 4, 3)
    of_next = np.stack([next_seed.places(epoch, 0, 26) for epoch in range(500)])
    assert p_of_independence(drawn()[:-1], drawn()[1:]) > ACCEPTED
    assert p_of_independence(drawn()[1:501], of_next) > ACCEPTED

    wrong, next_wrong = SeedPlusEpoch(26, 1, 4, 3), SeedPlusEpoch(26, 2, 4, 3)
    one = np.stack([wrong.places(epoch + 1, 0, 26) for epoch in range(100)])
    other = np.stack([next_wrong.places(epoch, 0, 26) for epoch in range(100)])
    assert p_of_independence(one, other) < REJECTED, "the control"


# --- O(1) -------------------------------------------------------------------------------------------------------------


def test_a_distant_position_costs_no_more_time_than_a_near_one() -> None:
    order = BlockOrder(10**13, 1, 334, 64)

    def seconds(start: int) -> float:
        before = time.perf_counter()
        order.indices(0, start, start + 1_000)
        return time.perf_counter() - before

    pairs = [(seconds(10), seconds(10**12)) for _ in range(31)]  # in turns, so that a busy machine slows both
    assert statistics.median(far / near for near, far in pairs) < 2


def test_a_window_costs_little_a_row() -> None:
    """Per row, two levels cost no more than a few times one: nothing is computed anew for each row."""
    blocks, exact = BlockOrder(10**7, 1, 334, 64), Order(10**7, 1)

    def seconds(order: BlockOrder | Order) -> float:
        before = time.process_time()
        order.indices(0, 10**6, 10**6 + 21_376)
        return time.process_time() - before

    pairs = [(seconds(exact), seconds(blocks)) for _ in range(15)]
    assert statistics.median(two / one for one, two in pairs) < 6


# --- how large blocks are, and what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(("row_bytes", "text"), [(784, "334x64"), (1, "262144x64"), (10**6, "1x64"), (0, "262144x64")])
def test_blocks_hold_256_kib(row_bytes: int, text: str) -> None:
    size = BlockSize.for_rows(row_bytes)
    assert str(size) == text
    assert BlockSize.parse(text) == size


@pytest.mark.parametrize("text", ["", "334", "334x", "0x64", "334x0", "-1x2", "3x4x5", "³x4", "a x b", "1.5x2"])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(OptionError, match="must be rows x blocks of a window, such as 334x64, got"):
        BlockSize.parse(text)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"samples": 0}, PlanError, r"an order needs 1 to 2\*\*62 samples, got 0"),
        ({"seed": -1}, OptionError, r"seed must be 0 to 2\*\*64 - 1, got -1"),
        ({"block_rows": 0}, OptionError, "block_rows must be at least 1, got 0"),
        ({"window_blocks": 1.5}, OptionError, "window_blocks must be a whole number, got 1.5"),
    ],
)
def test_orders_that_cannot_be_are_refused(arguments: dict[str, int], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        BlockOrder(**{"samples": 10, **arguments})


def test_positions_outside_an_epoch_are_refused() -> None:
    with pytest.raises(PlanError, match="positions 3 to 11 are not within the epoch's 0 to 10"):
        BlockOrder(10).places(0, 3, 11)
    with pytest.raises(PlanError, match="10 is not within the order's 0 to 9"):
        BlockOrder(10).window(0, 10)


def test_no_positions_are_no_samples() -> None:
    assert BlockOrder(10).indices(3, 10, 10).tolist() == []
