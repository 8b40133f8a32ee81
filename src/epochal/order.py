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

All arithmetic is on 32-bit unsigned integers, and one formula serves NumPy and the compiled loop.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from epochal.errors import OptionError, PlanError

if TYPE_CHECKING:
    import jax

Words: TypeAlias = Any  # an array of uint32, NumPy's or JAX's
Keys: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint32]]
Indices: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]

_MOST_SAMPLES = 2**62
_SMALL = 4096
_ROUNDS_SMALL, _ROUNDS = 24, 12
_PURPOSE = np.uint32(0x6F726465)  # keeps the order's keys apart from any other use of the seed


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

    def keys(self, epoch: int) -> Keys:
        """Return the epoch's round keys, ``(rounds,)`` uint32: a pure function of seed and epoch."""
        if not 0 <= epoch < 2**64:
            raise PlanError(f"epoch must be 0 to 2**64 - 1, got {epoch}")
        key: Keys = _mix(np.arange(self.rounds, dtype=np.uint32) ^ _PURPOSE)
        for number in (self.seed, epoch):
            for word in (number & 0xFFFFFFFF, number >> 32):
                key = _mix(key ^ np.uint32(word))
        return key

    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        """Return the sample indices at positions ``start`` to ``stop`` (not included) of that epoch, int64.

        Raises `PlanError` unless 0 ≤ start ≤ stop ≤ N.
        """
        if not 0 <= start <= stop <= self.samples:
            raise PlanError(f"positions {start} to {stop} are not within the epoch's 0 to {self.samples}")
        position = np.arange(start, stop, dtype=np.uint64)
        columns = np.uint64(self.columns)
        left, right = (position // columns).astype(np.uint32), (position % columns).astype(np.uint32)
        keys = self.keys(epoch)
        left, right = self._permute(np, keys, left, right)
        while (outside := self._is_outside(left, right)).any():
            left[outside], right[outside] = self._permute(np, keys, left[outside], right[outside])
        index: Indices = (left.astype(np.uint64) * columns + right).astype(np.int64)
        return index

    def compiled_indices(self, keys: jax.Array | Keys, positions: jax.Array) -> jax.Array:
        """Return the sample indices at ``positions`` (uint32, any shape), inside a compiled function.

        The same values as `indices`, for N below 2³². ``keys`` are the epoch's, as an array argument of that
        function, so that one compilation serves all epochs and seeds.
        """
        import jax.numpy as jnp
        from jax import lax

        def unfinished(walk: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
            return jnp.any(walk[2])

        def once(walk: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            left, right, moving = walk
            new_left, new_right = self._permute(jnp, keys, left, right)
            left, right = jnp.where(moving, new_left, left), jnp.where(moving, new_right, right)
            return left, right, self._is_outside(left, right)

        columns = jnp.uint32(self.columns)
        start = (positions // columns, positions % columns, jnp.ones(positions.shape, bool))
        left, right, _ = lax.while_loop(unfinished, once, start)
        index: jax.Array = left * columns + right
        return index

    def _permute(self, xp: Any, keys: Words, left: Words, right: Words) -> tuple[Words, Words]:
        """Send the digits once through the network."""
        for i in range(self.rounds):
            if i % 2 == 0:
                left = _add(xp, left, _mix(right ^ keys[i]), self.rows)
            else:
                right = _add(xp, right, _mix(left ^ keys[i]), self.columns)
        return left, right

    def _is_outside(self, left: Words, right: Words) -> Words:
        last_left, end_right = divmod(self.samples, self.columns)
        return (left > np.uint32(last_left)) | ((left == np.uint32(last_left)) & (right >= np.uint32(end_right)))


def _mix(x: Words) -> Words:
    """Return a bijective 32-bit hash (C. Wellons' lowbias32, 2018)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _add(xp: Any, digit: Words, noise: Words, size: int) -> Words:
    """Return ``(digit + ⌊noise · size / 2³²⌋) mod size``; at most 2³¹ fits without overflow."""
    total = digit + _high_product(noise, size)
    return xp.minimum(total, total - np.uint32(size))  # below ``size`` the subtraction wraps to a huge number


def _high_product(x: Words, factor: int) -> Words:
    """Return the upper 32 bits of the 64-bit product, by 16-bit halves."""
    low, high = np.uint32(factor & 0xFFFF), np.uint32(factor >> 16)
    x_low, x_high = x & np.uint32(0xFFFF), x >> np.uint32(16)
    middle = x_high * low + ((x_low * low) >> np.uint32(16))
    if not high:
        return middle >> np.uint32(16)
    carry = x_low * high + (middle & np.uint32(0xFFFF))
    return x_high * high + (middle >> np.uint32(16)) + (carry >> np.uint32(16))
