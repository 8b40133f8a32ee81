"""The order in which an epoch visits its samples: a keyed bijection on range(N).

An epoch's order is a pure function of (seed, epoch, N). No permutation is stored: the sample at any position is
computed in O(1) time and memory, so a run can start at sample 10¹² as cheaply as at 0.

How: positions are written as two digits, ``position = left * columns + right``, and go through a generalized
Feistel network (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002): each round adds a hash
of one digit to the other, which can always be undone. The grid of digits is slightly larger than N; a result
outside range(N) goes through the network again until it falls inside ("cycle walking"), which keeps the map a
bijection. The number of rows is even, because with odd rows and columns every round is an even permutation and half
of all orders would never occur; small N get more rounds, as small domains mix slowly (Mitchell et al.,
"Bandwidth-Optimal Random Shuffling for GPUs", ACM TOPC 2022).

All arithmetic is on 32-bit unsigned integers, and one formula serves NumPy and the compiled loop. There, seed, epoch
and even N can be arguments (`compiled_keys`, `compiled_order`), so that one program serves them all.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from epochal.errors import OptionError, PlanError

if TYPE_CHECKING:
    import jax

Words: TypeAlias = Any  # an array of uint32, NumPy's or JAX's
Keys: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint32]]
Indices: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
Numbers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.integer[Any]]]

Number: TypeAlias = Any  # a whole number, or a scalar of uint32 in a compiled function
Permute: TypeAlias = Callable[[Any, Any], tuple[Any, Any]]

_MOST_SAMPLES = 2**62
_SMALL = 4096
_ROUNDS_SMALL, _ROUNDS = 24, 12
_PURPOSE = np.uint32(0x6F726465)  # keeps the order's keys apart from any other use of the seed


@runtime_checkable
class EpochOrder(Protocol):
    """What any order of samples offers: `Order`, and others that visit them in another one (`BlockOrder`)."""

    @property
    def samples(self) -> int:
        """N."""
        ...

    def keys(self, epoch: int) -> Keys:
        """Return round keys of the epoch, uint32."""
        ...

    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        """Return the sample indices at positions ``start`` to ``stop`` (not included) of that epoch."""
        ...


class Grid(NamedTuple):
    """The grid of digits: N, and the values of the left and the right digit; numbers, or scalars of a program."""

    samples: Number
    rows: Number
    columns: Number


@dataclass(frozen=True, slots=True)
class Order:
    """The sequence in which each epoch visits ``samples`` samples.

    >>> Order(samples=10, seed=7).indices(epoch=0, start=2, stop=5)
    array([9, 6, 0])

    Arguments:
        samples: N, 1 to 2⁶².
        seed: 0 to 2⁶⁴ - 1. Streams of different (seed, epoch) are independent: seed 0's epoch 1 is not seed 1's
            epoch 0.

    Raises `PlanError` or `OptionError` for values outside these ranges.
    """

    samples: int
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("samples", "seed"):
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, operator.index(value))
            except TypeError:
                raise OptionError(f"{name} must be a whole number, got {value!r}") from None
        if not 1 <= self.samples <= _MOST_SAMPLES:
            raise PlanError(f"an order needs 1 to 2**62 samples, got {self.samples}")
        if not 0 <= self.seed < 2**64:
            raise OptionError(f"seed must be 0 to 2**64 - 1, got {self.seed}")

    @property
    def rounds(self) -> int:
        """Rounds of the network."""
        return _ROUNDS_SMALL if self.samples <= _SMALL else _ROUNDS

    @property
    def rows(self) -> int:
        """Values of the left digit: about √N, and even."""
        root = math.isqrt(self.samples - 1) + 1
        return root + root % 2

    @property
    def columns(self) -> int:
        """Values of the right digit; fewer than ``rows`` places of the grid lie outside range(N)."""
        return -(-self.samples // self.rows)

    @property
    def grid(self) -> Grid:
        """The grid of digits, as numbers."""
        return Grid(self.samples, self.rows, self.columns)

    def keys(self, epoch: int) -> Keys:
        """Return the epoch's round keys, ``(rounds,)`` uint32: a pure function of seed and epoch."""
        return round_keys(self.rounds, self.seed, epoch)

    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        """Return the sample indices at positions ``start`` to ``stop`` (not included) of that epoch, int64.

        Raises `PlanError` unless 0 ≤ start ≤ stop ≤ N.
        """
        if not 0 <= start <= stop <= self.samples:
            raise PlanError(f"positions {start} to {stop} are not within the epoch's 0 to {self.samples}")
        return self.under(self.keys(epoch), np.arange(start, stop, dtype=np.uint64))

    def under(self, keys: Keys, positions: Words) -> Indices:
        """Return the sample indices at ``positions`` (uint64, unchecked) under any round keys (`round_keys`)."""
        return self._send(keys, positions, _permute)

    def indices_at(self, epoch: int, positions: Numbers) -> Indices:
        """Return the sample indices at any positions of that epoch, int64, in the positions' order.

        Raises `PlanError` for a position outside 0 to N - 1.
        """
        return self._send(self.keys(epoch), self._checked(positions), _permute)

    def positions(self, epoch: int, indices: Numbers) -> Indices:
        """Return the positions at which that epoch visits these samples, int64: the inverse of `indices_at`.

        >>> Order(samples=10, seed=7).positions(epoch=0, indices=np.array([9, 6, 0]))
        array([2, 3, 4])

        Raises `PlanError` for a sample outside 0 to N - 1.
        """
        return self._send(self.keys(epoch), self._checked(indices), _permute_back)

    def _checked(self, numbers: Numbers) -> Words:
        """Return numbers of range(N) as the walk takes them."""
        if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < self.samples:
            outside = int(numbers[(numbers < 0) | (numbers >= self.samples)][0])
            raise PlanError(f"{outside} is not within the order's 0 to {self.samples - 1}")
        return numbers.astype(np.uint64)

    def _send(self, keys: Keys, numbers: Words, permute: Callable[..., tuple[Words, Words]]) -> Indices:
        """Send numbers (uint64) through the network, forwards or backwards, until all are inside range(N)."""
        grid, columns = self.grid, np.uint64(self.columns)
        left = numbers // columns
        right = (numbers - left * columns).astype(np.uint32)  # a remainder would divide once more
        left, right = permute(np, grid, keys, left.astype(np.uint32), right)

        while (outside := np.flatnonzero(_is_outside(grid, left, right))).size:
            left[outside], right[outside] = permute(np, grid, keys, left[outside], right[outside])
        index: Indices = (left.astype(np.uint64) * columns + right).astype(np.int64)
        return index

    def compiled_indices(self, keys: jax.Array | Keys, positions: jax.Array) -> jax.Array:
        """Return the sample indices at ``positions`` (uint32, any shape), inside a compiled function.

        The same values as `indices`, for N below 2³². ``keys`` are the epoch's, as an array argument of that
        function, so that one compilation serves all epochs and seeds.
        """
        import jax.numpy as jnp

        return _walk(self.grid, positions, lambda left, right: _permute(jnp, self.grid, keys, left, right))


def round_keys(rounds: int, seed: int, epoch: int, *names: int) -> Keys:
    """Return round keys, ``(rounds,)`` uint32: a pure function of seed, epoch and whatever ``names`` them further.

    Names are 0 to 2⁶⁴ - 1, as the epoch is; other names, and other numbers of them, give keys of other streams.
    Raises `PlanError` for an epoch outside that range.
    """
    if not 0 <= epoch < 2**64:
        raise PlanError(f"epoch must be 0 to 2**64 - 1, got {epoch}")
    halves = ((number & 0xFFFFFFFF, number >> 32) for number in (seed, epoch, *names))
    keys: Keys = _round_keys(np, rounds, [np.uint32(word) for pair in halves for word in pair])
    return keys


# --- inside a compiled function ---------------------------------------------------------------------------------------


def compiled_keys(rounds: int, seed: tuple[Number, Number], epoch: Number) -> jax.Array:
    """Return an epoch's round keys inside a compiled function: those of `Order.keys`, for an epoch below 2³².

    Args:
        rounds: `Order.rounds`.
        seed: its lower and its upper 32 bits, scalars of uint32.
        epoch: a scalar of uint32.
    """
    import jax.numpy as jnp

    keys: jax.Array = _round_keys(jnp, rounds, (*seed, epoch, jnp.uint32(0)))
    return keys


def compiled_order(grid: Grid, keys: jax.Array, positions: jax.Array) -> jax.Array:
    """Return the sample indices at ``positions`` (uint32, any shape), inside a compiled function; for whole epochs.

    The same values as `Order.indices`, for N below 2³². The grid's numbers are scalars of uint32: arguments of that
    function, so that one compilation serves all N that have the same number of rounds. The rounds are a loop, which is
    compiled in half the time, and faster for many positions (docs/performance.md).
    """
    import jax.numpy as jnp
    from jax import lax

    def two_rounds(i: jax.Array, digits: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        pair: tuple[jax.Array, jax.Array] = _permute(jnp, grid, keys.reshape(-1, 2)[i], *digits)
        return pair

    def permute(left: jax.Array, right: jax.Array) -> tuple[jax.Array, jax.Array]:
        digits: tuple[jax.Array, jax.Array] = lax.fori_loop(0, len(keys) // 2, two_rounds, (left, right))
        return digits

    return _walk(grid, positions, permute)


def _walk(grid: Grid, positions: jax.Array, permute: Permute) -> jax.Array:
    """Send positions through the network until all of them are inside range(N)."""
    import jax.numpy as jnp
    from jax import lax

    def unfinished(walk: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return jnp.any(walk[2])

    def once(walk: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        left, right, moving = walk
        new_left, new_right = permute(left, right)
        left, right = jnp.where(moving, new_left, left), jnp.where(moving, new_right, right)
        return left, right, _is_outside(grid, left, right)

    columns = _word(grid.columns)
    start = (positions // columns, positions % columns, jnp.ones(positions.shape, bool))
    left, right, _ = lax.while_loop(unfinished, once, start)
    index: jax.Array = left * columns + right
    return index


# --- the network, for NumPy and JAX -----------------------------------------------------------------------------------


def _round_keys(xp: Any, rounds: int, words: Sequence[Number]) -> Words:
    """Return the round keys that the words of seed and epoch make, ``(rounds,)``."""
    key = _mix(xp.arange(rounds, dtype=np.uint32) ^ _PURPOSE)
    for word in words:
        key = _mix(key ^ word)
    return key


def _permute(xp: Any, grid: Grid, keys: Words, left: Words, right: Words) -> tuple[Words, Words]:
    """Send the digits once through the network."""
    for i in range(len(keys)):
        if i % 2 == 0:
            left = _add(xp, left, _mix(right ^ keys[i]), grid.rows)
        else:
            right = _add(xp, right, _mix(left ^ keys[i]), grid.columns)
    return left, right


def _permute_back(xp: Any, grid: Grid, keys: Words, left: Words, right: Words) -> tuple[Words, Words]:
    """Undo `_permute`: the same rounds from the last to the first, each of which takes off what it added."""
    for i in reversed(range(len(keys))):
        if i % 2 == 0:
            left = _subtract(xp, left, _mix(right ^ keys[i]), grid.rows)
        else:
            right = _subtract(xp, right, _mix(left ^ keys[i]), grid.columns)
    return left, right


def _is_outside(grid: Grid, left: Words, right: Words) -> Words:
    last_left, end_right = _word(grid.samples // grid.columns), _word(grid.samples % grid.columns)
    return (left > last_left) | ((left == last_left) & (right >= end_right))


def _word(number: Number) -> Number:
    """Return a whole number as uint32; a scalar of a program is one already."""
    return np.uint32(number) if isinstance(number, int) else number


def _mix(x: Words) -> Words:
    """Return a bijective 32-bit hash (C. Wellons' lowbias32, 2018)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _add(xp: Any, digit: Words, noise: Words, size: Number) -> Words:
    """Return ``(digit + ⌊noise · size / 2³²⌋) mod size``; at most 2³¹ fits without overflow."""
    total = digit + _high_product(noise, size)
    return xp.minimum(total, total - _word(size))  # below ``size`` the subtraction wraps to a huge number


def _subtract(xp: Any, digit: Words, noise: Words, size: Number) -> Words:
    """Return ``(digit - ⌊noise · size / 2³²⌋) mod size``."""
    rest = digit - _high_product(noise, size)
    return xp.minimum(rest, rest + _word(size))  # below 0 it has wrapped to a huge number


def _high_product(x: Words, factor: Number) -> Words:
    """Return the upper 32 bits of the 64-bit product, by 16-bit halves."""
    low, high = _word(factor & 0xFFFF), _word(factor >> 16)
    x_low, x_high = x & np.uint32(0xFFFF), x >> np.uint32(16)
    middle = x_high * low + ((x_low * low) >> np.uint32(16))
    if isinstance(factor, int) and not high:  # the usual case, in fewer operations
        return middle >> np.uint32(16)
    carry = x_low * high + (middle & np.uint32(0xFFFF))
    return x_high * high + (middle >> np.uint32(16)) + (carry >> np.uint32(16))
