"""The order of an epoch: a bijection at every size, the same from NumPy and compiled, and as random as a shuffle."""

from __future__ import annotations

import itertools
import math
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from epochal.errors import OptionError, PlanError
from epochal.order import Grid, Order, _is_outside, _permute, compiled_keys, compiled_order

many_small_calls = pytest.mark.usefixtures("unchecked")  # checking each would take longer than the calls

# --- the same values for ever ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "epoch", "start", "values"),
    [
        (Order(10, seed=7), 0, 0, [5, 3, 9, 6, 0, 4, 7, 1, 2, 8]),
        (Order(60_000, seed=0), 1, 0, [35053, 28078, 49721, 20500]),
        (Order(60_000, seed=2**64 - 1), 2**64 - 1, 59_996, [27758, 37063, 15859, 37047]),
        (Order(10**13, seed=1), 2**33, 10**12, [7137389983333, 4970962494360, 1261810729264, 5007841948563]),
    ],
)
def test_orders_never_change(order: Order, epoch: int, start: int, values: list[int]) -> None:
    """A run that is resumed by a later version must go on in the order in which it began."""
    assert order.indices(epoch, start, start + len(values)).tolist() == values


# --- a bijection ----------------------------------------------------------------------------------------------------


def is_bijection(indices: np.ndarray) -> bool:
    """Whether the n indices are 0 to n - 1, each once."""
    inside = indices[(indices >= 0) & (indices < indices.size)]
    return inside.size == indices.size and bool((np.bincount(inside, minlength=indices.size) == 1).all())


@many_small_calls
def test_every_small_number_of_samples() -> None:
    failed = [n for n in range(1, 1_501) if not is_bijection(Order(n, seed=n).indices(n % 5, 0, n))]
    assert failed == []


NOTORIOUS = [4_096, 4_097, 60_000, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145]


@pytest.mark.parametrize("n", [*NOTORIOUS, 1_000_003, 2**20 + 1])
def test_sizes_at_which_shuffles_have_failed(n: int) -> None:
    """65,537 and 262,145 are one more than a power of four, where known shuffles skip a record."""
    assert is_bijection(Order(n, seed=3).indices(2, 0, n))


def test_a_bijection_is_told_from_what_is_none() -> None:
    """The control: draws with replacement, a value too large, a value left out."""
    assert is_bijection(np.array([2, 0, 1]))
    assert not is_bijection(np.random.default_rng(0).integers(0, 1_000, 1_000))
    assert not is_bijection(np.array([0, 1, 3]))
    assert not is_bijection(np.array([0, 1, 1]))
    assert not is_bijection(np.array([0, 1, -1]))


BEYOND = [2**31 - 1, 2**32 - 1, 2**32, 2**32 + 1, 2**33 + 1, 2**40 - 1, 2**40, 2**40 + 1, 10**13, 2**62 - 1, 2**62]


@pytest.mark.parametrize("n", BEYOND)
def test_huge_numbers_of_samples_are_undone_exactly(n: int) -> None:
    """No window of 2⁶² positions proves a bijection, but an inverse does: a map that can be undone repeats nothing.

    The inverse is written here anew, on Python's integers, so it also shows that no 32-bit step overflows.
    """
    order = Order(n, seed=11)
    for start in (0, n // 3, n - 300):
        indices = order.indices(4, start, start + 300)
        assert indices.min() >= 0
        assert indices.max() < n
        assert np.unique(indices).size == 300
        assert [position_of(order, 4, index) for index in indices.tolist()] == list(range(start, start + 300))


@given(st.integers(1, 2**62), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.data())
@settings(max_examples=60)
def test_any_position_of_any_order_is_undone(n: int, seed: int, epoch: int, data: st.DataObject) -> None:
    order = Order(n, seed)
    position = data.draw(st.integers(0, n - 1))
    (index,) = order.indices(epoch, position, position + 1).tolist()
    assert position_of(order, epoch, index) == position


@given(st.integers(1, 2**62), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.data())
@settings(max_examples=60)
def test_positions_are_the_inverse_of_indices(n: int, seed: int, epoch: int, data: st.DataObject) -> None:
    order = Order(n, seed)
    numbers = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=20)), np.int64)
    assert order.positions(epoch, order.indices_at(epoch, numbers)).tolist() == numbers.tolist()
    assert order.indices_at(epoch, order.positions(epoch, numbers)).tolist() == numbers.tolist()
    assert order.positions(epoch, numbers).tolist() == [position_of(order, epoch, index) for index in numbers.tolist()]


@many_small_calls
@pytest.mark.parametrize("n", [*range(1, 40), *NOTORIOUS])
def test_positions_of_a_whole_epoch(n: int) -> None:
    order = Order(n, seed=9)
    drawn = order.indices(1, 0, n)
    assert np.array_equal(order.positions(1, drawn), np.arange(n))
    assert np.array_equal(order.indices_at(1, np.arange(n)), drawn)
    assert np.array_equal(order.positions(1, np.arange(n)), np.argsort(drawn))


def test_another_epoch_undoes_nothing() -> None:
    """The control: only the same keys lead back."""
    order = Order(1_000, seed=9)
    back = order.positions(2, order.indices(1, 0, 1_000))
    assert is_bijection(back)
    assert (back == np.arange(1_000)).sum() < 10


def position_of(order: Order, epoch: int, index: int) -> int:
    """Go backwards through the network, round by round, until a place inside range(N)."""
    keys = order.keys(epoch).tolist()
    grid = order.rows * order.columns
    assert order.samples <= grid < order.samples + order.rows, "the grid holds all samples and little else"
    while True:
        left, right = divmod(index, order.columns)
        for i, key in reversed(list(enumerate(keys))):
            if i % 2 == 0:
                left = (left - (mixed(right ^ key) * order.rows >> 32)) % order.rows
            else:
                right = (right - (mixed(left ^ key) * order.columns >> 32)) % order.columns
        index = left * order.columns + right
        if index < order.samples:
            return index


def mixed(x: int) -> int:
    """The 32-bit hash of the rounds, on Python's integers."""
    x = (x ^ x >> 16) * 0x7FEB352D & 0xFFFFFFFF
    x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


# --- a pure function of seed, epoch and N ---------------------------------------------------------------------------


@given(st.integers(1, 3_000), st.integers(0, 2**64 - 1), st.integers(0, 2**40), st.data())
def test_parts_of_an_epoch_are_parts_of_one_order(n: int, seed: int, epoch: int, data: st.DataObject) -> None:
    """So the order depends neither on the batch size nor on where a run was resumed."""
    order = Order(n, seed)
    whole = order.indices(epoch, 0, n)
    start, stop = sorted((data.draw(st.integers(0, n)), data.draw(st.integers(0, n))))
    assert order.indices(epoch, start, stop).tolist() == whole[start:stop].tolist()


@pytest.mark.parametrize("batch_size", [1, 7, 100, 333])
def test_batches_of_any_size_follow_one_order(batch_size: int) -> None:
    order = Order(333, seed=5)
    batches = [order.indices(9, start, min(start + batch_size, 333)) for start in range(0, 333, batch_size)]
    assert np.concatenate(batches).tolist() == order.indices(9, 0, 333).tolist()


def test_every_seed_and_epoch_has_an_order_of_its_own() -> None:
    """All 64 bits of both count, and neither their sum nor their exchange is another name for the same order."""
    numbers = [0, 1, 2, 3, 2**32, 2**32 + 1, 2**63, 2**64 - 1]
    orders = {
        tuple(Order(60, seed).indices(epoch, 0, 60).tolist()) for seed, epoch in itertools.product(numbers, repeat=2)
    }
    assert len(orders) == len(numbers) ** 2


def compiled(order: Order, epochs: range, positions: np.ndarray) -> np.ndarray:
    """The compiled loop's indices at some positions of some epochs, ``(epochs, positions)``."""
    keys = np.stack([order.keys(epoch) for epoch in epochs])
    of_epoch = jax.vmap(lambda keys, positions: order.compiled_indices(keys, positions), in_axes=(0, None))
    return np.asarray(jax.jit(of_epoch)(keys, positions.astype(np.uint32)))


@pytest.mark.parametrize("n", [1, 2, 10, 4_096, 4_097, 60_000, 65_537, 2**31, 2**32 - 1])
def test_compiled_loop_and_numpy_agree(n: int) -> None:
    order = Order(n, seed=2**63 + 1)
    windows = [np.arange(start, min(start + 500, n)) for start in {0, n // 2, max(0, n - 500)}]
    positions = np.concatenate(windows)
    epochs = range(3)
    expected = [np.concatenate([order.indices(epoch, int(w[0]), int(w[-1]) + 1) for w in windows]) for epoch in epochs]
    assert compiled(order, epochs, positions).astype(np.int64).tolist() == np.stack(expected).tolist()


def test_one_compilation_serves_all_epochs_and_seeds() -> None:
    traced = []

    def indices(keys: jax.Array, positions: jax.Array) -> jax.Array:
        traced.append(1)
        return Order(50).compiled_indices(keys, positions)

    function, positions = jax.jit(indices), jnp.arange(50, dtype=jnp.uint32)
    for seed, epoch in itertools.product((0, 1, 2**40), (0, 1, 2**40)):
        order = Order(50, seed)
        assert function(order.keys(epoch), positions).tolist() == order.indices(epoch, 0, 50).tolist()
    assert len(traced) == 1


# --- N as an argument -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program() -> Callable[[Order, int], np.ndarray]:
    """The whole order of an epoch, from programs whose N, seed and epoch are arguments: one for each size of a pad."""

    @partial(jax.jit, static_argnums=(0, 1))
    def indices(size: int, rounds: int, grid: Grid, seed: tuple[Any, Any], epoch: Any) -> jax.Array:
        positions = jnp.arange(size, dtype=jnp.uint32)
        keys = compiled_keys(rounds, seed, epoch)
        return compiled_order(grid, keys, jnp.where(positions < grid.samples, positions, 0))

    def whole(order: Order, epoch: int) -> np.ndarray:
        words = (np.uint32(order.seed & 0xFFFFFFFF), np.uint32(order.seed >> 32))
        size = 1 << max(10, (order.samples - 1).bit_length())
        grid = Grid(*map(np.uint32, order.grid))
        return np.asarray(indices(size, order.rounds, grid, words, np.uint32(epoch)))[: order.samples].astype(np.int64)

    whole.programs = indices._cache_size  # type: ignore[attr-defined]
    return whole


@many_small_calls
def test_a_program_with_n_as_an_argument_draws_the_same_order(program: Any) -> None:
    before = program.programs()
    for n in range(1, 1_025):
        order = Order(n, seed=n * 2**30)
        np.testing.assert_array_equal(program(order, n % 7), order.indices(n % 7, 0, n), err_msg=str(n))
    assert program.programs() == before + 1, "one compilation for all of them"


@pytest.mark.parametrize("n", [4_095, *NOTORIOUS, 1_000_003])
def test_n_as_an_argument_at_sizes_where_shuffles_have_failed(program: Any, n: int) -> None:
    order = Order(n, seed=2**64 - 1)
    drawn = program(order, 2**32 - 1)
    np.testing.assert_array_equal(drawn, order.indices(2**32 - 1, 0, n))
    assert is_bijection(drawn)


@given(st.integers(1, 5_000), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_n_seed_and_epoch_as_arguments(program: Any, n: int, seed: int, epoch: int) -> None:
    order = Order(n, seed)
    np.testing.assert_array_equal(program(order, epoch), order.indices(epoch, 0, n))


def test_another_n_is_another_order(program: Any) -> None:
    """The control: the comparison would see a grid of one sample less."""
    assert not np.array_equal(program(Order(1_000), 0)[:999], Order(999).indices(0, 0, 999))


# --- O(1) -----------------------------------------------------------------------------------------------------------


def peak_bytes(function: Callable[[], object]) -> int:
    """The most memory that the function holds at once."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_distant_position_needs_no_more_memory_than_a_near_one() -> None:
    order = Order(10**13, seed=1)
    near = peak_bytes(lambda: order.indices(0, 10, 1_010))
    far = peak_bytes(lambda: order.indices(0, 10**12, 10**12 + 1_000))
    assert far < 1.5 * near < 1_000_000
    assert peak_bytes(lambda: np.random.default_rng(0).permutation(10**6)) > 1_000_000, "the control: a stored order"


def test_a_distant_position_costs_no_more_time_than_a_near_one() -> None:
    order = Order(10**13, seed=1)

    def seconds(start: int) -> float:
        before = time.perf_counter()
        order.indices(0, start, start + 1_000)
        return time.perf_counter() - before

    pairs = [(seconds(10), seconds(10**12)) for _ in range(31)]  # in turns, so that a busy machine slows both
    assert statistics.median(far / near for near, far in pairs) < 2


# --- as random as a shuffle -----------------------------------------------------------------------------------------
#
# Each statistic returns a p-value for many permutations, (draws, n). Epochal's order must stay above ACCEPTED, with
# seeds that are fixed, so that no run of these tests fails by chance; each wrong shuffle must fall below REJECTED in
# the statistic that is meant to see its fault.

ACCEPTED, REJECTED = 1e-3, 1e-9


def p_of_permutations(drawn: np.ndarray) -> float:
    """Every one of the n! permutations is as frequent as any other (chi-square)."""
    n = drawn.shape[1]
    rank = np.zeros(len(drawn), np.int64)
    for i in range(n):  # Lehmer's code: how many of the later values are smaller
        rank = rank * (n - i) + (drawn[:, i + 1 :] < drawn[:, i : i + 1]).sum(axis=1)
    counts = np.bincount(rank, minlength=math.factorial(n))
    return float(stats.chisquare(counts).pvalue)


def p_of_places(drawn: np.ndarray) -> float:
    """Every value is as frequent at any place (chi-square with (n-1)² degrees of freedom)."""
    draws, n = drawn.shape
    counts = np.zeros((n, n))
    np.add.at(counts, (np.arange(n), drawn), 1)
    statistic = ((counts - draws / n) ** 2).sum() * (n - 1) / draws
    return float(stats.chi2.sf(statistic, (n - 1) ** 2))


def p_of_neighbours(drawn: np.ndarray) -> float:
    """Every pair of values is as frequent at two neighbouring places (chi-square, one pair a permutation)."""
    draws, n = drawn.shape
    place = np.arange(draws) % (n - 1)
    first, second = drawn[np.arange(draws), place], drawn[np.arange(draws), place + 1]
    counts = np.bincount(first * n + second, minlength=n * n).reshape(n, n)
    distinct = ~np.eye(n, dtype=bool)
    if counts[~distinct].any():
        return 0.0
    return float(stats.chisquare(counts[distinct]).pvalue)


def p_of_fixed_points(drawn: np.ndarray) -> float:
    """As many values stay at their own place as in all n! permutations: none, 1, 2, 3, or more (chi-square)."""
    draws, n = drawn.shape
    found = np.bincount(np.minimum((drawn == np.arange(n)).sum(axis=1), 4), minlength=5)
    share = np.array([stats.poisson.pmf(k, 1) for k in range(4)])  # exact to 1/n!
    return float(stats.chisquare(found, draws * np.append(share, 1 - share.sum())).pvalue)


def p_of_parity(drawn: np.ndarray) -> float:
    """Half of the permutations are even (binomial)."""
    n = drawn.shape[1]
    swaps = sum((drawn[:, i + 1 :] < drawn[:, i : i + 1]).sum(axis=1) for i in range(n))
    return float(stats.binomtest(int((swaps % 2).sum()), len(drawn)).pvalue)


def p_of_independence(one: np.ndarray, other: np.ndarray) -> float:
    """Two streams neither follow each other (rank correlation) nor agree or differ more often than by chance."""
    draws, n = one.shape
    deviations = (one - (n - 1) / 2) * (other - (n - 1) / 2)
    correlation = deviations.sum(axis=1) / (n * (n * n - 1) / 12)
    z = correlation.sum() * math.sqrt((n - 1) / draws)
    relative = np.take_along_axis(np.argsort(one, axis=1), other, axis=1)  # how to get from one to the other
    return min(2 * float(stats.norm.sf(abs(z))), p_of_fixed_points(relative), p_of_neighbours(relative))


def p_of_bins(values: np.ndarray, n: int) -> float:
    """Values are spread evenly over range(n): 64 bins (chi-square)."""
    return float(stats.chisquare(np.bincount((values / n * 64).astype(int), minlength=64)).pvalue)


def draw(order: Order, epochs: range) -> np.ndarray:
    """The whole orders of many epochs, ``(epochs, n)``: `Order.indices` for all of them at once, which is faster."""
    keys = np.stack([order.keys(epoch) for epoch in epochs], axis=1)[:, :, None]
    position = np.broadcast_to(np.arange(order.samples, dtype=np.uint32), (len(epochs), order.samples))
    left, right = _permute(np, order.grid, keys, position // order.columns, position % order.columns)
    while (outside := _is_outside(order.grid, left, right)).any():
        again = _permute(np, order.grid, keys, left, right)
        left, right = np.where(outside, again[0], left), np.where(outside, again[1], right)
    return (left * order.columns + right).astype(np.int64)


def test_many_epochs_are_drawn_as_the_order_gives_them() -> None:
    order = Order(51, seed=8)
    assert [row.tolist() for row in draw(order, range(20))] == [order.indices(e, 0, 51).tolist() for e in range(20)]


class TwoRounds(Order):
    """Wrong: a network too shallow to mix."""

    rounds = 2


class OddGrid(Order):
    """Wrong: √N rows, not rounded up to an even number.

    With rows and columns both odd, each round moves the values along cycles of odd lengths, an even permutation; so
    is their product, and the odd half of all orders never occurs.
    """

    @property
    def rows(self) -> int:
        return math.isqrt(self.samples - 1) + 1


class SeedPlusEpoch(Order):
    """Wrong: seed 0's epoch 1 is seed 1's epoch 0."""

    def keys(self, epoch: int) -> np.ndarray:
        return Order(self.samples, self.seed + epoch).keys(0)


def affine(n: int, draws: int) -> np.ndarray:
    """Wrong: ``a · position + b`` modulo n, a bijection with few degrees of freedom."""
    rng = np.random.default_rng(1)
    factors = np.array([a for a in range(1, n) if math.gcd(a, n) == 1])
    return (rng.choice(factors, (draws, 1)) * np.arange(n) + rng.integers(0, n, (draws, 1))) % n


def rotation(n: int, draws: int) -> np.ndarray:
    """Wrong: starts elsewhere in the same sequence."""
    return (np.arange(n) + np.random.default_rng(2).integers(0, n, (draws, 1))) % n


def with_replacement(n: int, draws: int) -> np.ndarray:
    """Wrong: draws each sample anew, so that an epoch misses a third of them."""
    return np.random.default_rng(3).integers(0, n, (draws, n))


def same_every_epoch(n: int, draws: int) -> np.ndarray:
    """Wrong: shuffles once."""
    return np.tile(np.random.default_rng(4).permutation(n), (draws, 1))


def buffered(n: int, draws: int) -> np.ndarray:
    """Wrong: shuffles within a small window that slides over the data."""
    return np.argsort(np.arange(n) + np.random.default_rng(5).uniform(0, n / 4, (draws, n)), axis=1)


def careless_swaps(n: int, draws: int) -> np.ndarray:
    """Wrong: swaps each place with any other, not with a later one (n^n is no multiple of n!)."""
    rng, drawn = np.random.default_rng(6), np.tile(np.arange(n), (draws, 1))
    rows = np.arange(draws)
    for i in range(n):
        j = rng.integers(0, n, draws)
        drawn[rows, i], drawn[rows, j] = drawn[rows, j], drawn[rows, i].copy()
    return drawn


def one_cycle(n: int, draws: int) -> np.ndarray:
    """Wrong: Sattolo's algorithm, in which no value stays at its place."""
    rng, drawn = np.random.default_rng(7), np.tile(np.arange(n), (draws, 1))
    rows = np.arange(draws)
    for i in range(n - 1, 0, -1):
        j = rng.integers(0, i, draws)
        drawn[rows, i], drawn[rows, j] = drawn[rows, j], drawn[rows, i].copy()
    return drawn


@many_small_calls
@pytest.mark.parametrize(("n", "draws"), [(2, 4_000), (3, 6_000), (4, 6_000), (5, 12_000), (6, 14_400), (7, 20_160)])
def test_all_permutations_are_equally_frequent(n: int, draws: int) -> None:
    assert p_of_permutations(draw(Order(n, seed=1), range(draws))) > ACCEPTED


@many_small_calls
def test_values_are_equally_frequent_at_every_place() -> None:
    assert p_of_places(drawn_50()) > ACCEPTED


@many_small_calls
def test_as_many_values_stay_at_their_place_as_by_chance() -> None:
    assert p_of_fixed_points(drawn_50()) > ACCEPTED


@many_small_calls
def test_neighbours_do_not_follow_each_other() -> None:
    assert p_of_neighbours(draw(Order(20, seed=1), range(7_600))) > ACCEPTED


@many_small_calls
@pytest.mark.parametrize("n", [9, 25, 49])
def test_half_of_all_orders_are_odd_permutations(n: int) -> None:
    """Squares of odd numbers, where a grid of √N by √N could make only even ones (see `OddGrid`)."""
    assert p_of_parity(draw(Order(n, seed=1), range(2_000))) > ACCEPTED


@many_small_calls
def test_epochs_are_independent_streams() -> None:
    drawn = drawn_50()
    assert p_of_independence(drawn[:-1], drawn[1:]) > ACCEPTED


@many_small_calls
def test_next_epoch_of_a_seed_is_not_this_epoch_of_the_next_seed() -> None:
    assert p_of_independence(drawn_50()[1:], draw(Order(50, seed=2), range(4_999))) > ACCEPTED


LARGE = [4_097, 10_007, 60_000, 2**33 + 1, 2**62]


def steps(order: Order, stride: int) -> np.ndarray:
    """How far apart the values at two positions are, ``stride`` apart, for windows of many epochs."""
    start, n = order.samples // 2, order.samples
    windows = [
        order.indices(epoch, start + stride, start + stride + 500) - order.indices(epoch, start, start + 500)
        for epoch in range(30)
    ]
    return np.concatenate(windows) % n


@many_small_calls
@pytest.mark.parametrize("n", LARGE)
def test_large_orders_spread_values_and_steps_evenly(n: int) -> None:
    """Large orders have fewer rounds: the values of windows, and the steps to the next place in row and column."""
    order = Order(n, seed=1)
    values = np.concatenate([order.indices(epoch, n // 2, n // 2 + 500) for epoch in range(30)])
    assert p_of_bins(values, n) > ACCEPTED
    assert p_of_bins(steps(order, 1), n) > ACCEPTED
    assert p_of_bins(steps(order, order.columns), n) > ACCEPTED


@cache
def drawn_50() -> np.ndarray:
    return draw(Order(50, seed=1), range(5_000))


@many_small_calls
@pytest.mark.parametrize(
    ("statistic", "wrong"),
    [
        (p_of_permutations, lambda: affine(6, 14_400)),
        (p_of_permutations, lambda: rotation(6, 14_400)),
        (p_of_permutations, lambda: careless_swaps(6, 14_400)),
        (p_of_permutations, lambda: same_every_epoch(6, 14_400)),
        (p_of_permutations, lambda: one_cycle(6, 14_400)),
        (p_of_permutations, lambda: draw(TwoRounds(6, 1), range(14_400))),
        (p_of_places, lambda: same_every_epoch(50, 5_000)),
        (p_of_places, lambda: careless_swaps(50, 5_000)),
        (p_of_places, lambda: buffered(50, 5_000)),
        (p_of_fixed_points, lambda: one_cycle(50, 5_000)),
        (p_of_fixed_points, lambda: rotation(50, 5_000)),
        (p_of_neighbours, lambda: affine(20, 7_600)),
        (p_of_neighbours, lambda: rotation(20, 7_600)),
        (p_of_neighbours, lambda: with_replacement(20, 7_600)),
        (p_of_neighbours, lambda: buffered(20, 7_600)),
        (p_of_neighbours, lambda: draw(TwoRounds(20, 1), range(7_600))),
        (p_of_parity, lambda: draw(OddGrid(9, 1), range(2_000))),
        (p_of_parity, lambda: draw(OddGrid(25, 1), range(2_000))),
        (p_of_parity, lambda: draw(OddGrid(49, 1), range(2_000))),
    ],
)
def test_wrong_shuffles_are_rejected(statistic: Callable[[np.ndarray], float], wrong: Callable[[], np.ndarray]) -> None:
    assert statistic(wrong()) < REJECTED


@many_small_calls
def test_dependent_streams_are_rejected() -> None:
    assert p_of_independence(drawn_50()[1:], drawn_50()[1:]) < REJECTED
    seed, next_seed = SeedPlusEpoch(50, seed=1), SeedPlusEpoch(50, seed=2)
    assert p_of_independence(draw(seed, range(1, 500)), draw(next_seed, range(499))) < REJECTED
    once_more_rotated = np.stack([np.roll(drawn_50()[0], epoch) for epoch in range(500)])
    assert p_of_independence(once_more_rotated[:-1], once_more_rotated[1:]) < REJECTED


@many_small_calls
@pytest.mark.parametrize("n", LARGE)
def test_a_shallow_network_is_rejected_at_large_sizes(n: int) -> None:
    """Two rounds leave places of one column as many rows apart as they were."""
    order = TwoRounds(n, seed=1)
    assert p_of_bins(steps(order, order.columns), n) < REJECTED


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"samples": 0}, PlanError, r"an order needs 1 to 2\*\*62 samples, got 0"),
        ({"samples": 2**62 + 1}, PlanError, r"an order needs 1 to 2\*\*62 samples, got 4611686018427387905"),
        ({"samples": 10.0}, OptionError, "samples must be a whole number, got 10.0"),
        ({"seed": -1}, OptionError, r"seed must be 0 to 2\*\*64 - 1, got -1"),
        ({"seed": 2**64}, OptionError, r"seed must be 0 to 2\*\*64 - 1, got 18446744073709551616"),
        ({"seed": 1.5}, OptionError, "seed must be a whole number, got 1.5"),
    ],
)
def test_orders_that_cannot_be_are_refused(arguments: dict[str, int], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Order(**{"samples": 10, **arguments})


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 2), (0, 11), (11, 11)])
def test_positions_outside_an_epoch_are_refused(start: int, stop: int) -> None:
    with pytest.raises(PlanError, match=f"positions {start} to {stop} are not within the epoch's 0 to 10"):
        Order(10).indices(0, start, stop)


@pytest.mark.parametrize("number", [-1, 10, 2**62])
def test_numbers_outside_an_order_are_refused(number: int) -> None:
    numbers = np.array([3, number, 4])
    with pytest.raises(PlanError, match=f"{number} is not within the order's 0 to 9"):
        Order(10).indices_at(0, numbers)
    with pytest.raises(PlanError, match=f"{number} is not within the order's 0 to 9"):
        Order(10).positions(0, numbers)


@pytest.mark.parametrize("epoch", [-1, 2**64])
def test_epochs_without_a_key_are_refused(epoch: int) -> None:
    with pytest.raises(PlanError, match=r"epoch must be 0 to 2\*\*64 - 1"):
        Order(10).indices(epoch, 0, 1)


def test_no_positions_are_no_samples() -> None:
    assert Order(10).indices(3, 10, 10).tolist() == []
