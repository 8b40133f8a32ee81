"""The proof that an epoch used each sample exactly once: a count and an order-independent hash of sample ids.

Each id, a whole number of up to 64 bits, has a 64-bit hash, made of two 32-bit ones; an epoch's hash is their sum
modulo 2³² each, so the order does not matter and parts of an epoch add up. The compiled loop sums over the ids of the
rows that it really used; the expected values are computed apart from it, on the host. A sample left out, used twice,
or swapped for another changes the sum, and goes unnoticed with probability 2⁻⁶⁴.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt32

from epochal.order import EpochOrder

_BLOCK = 1 << 20
_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Audit:
    """How many samples were used, and the hash of which: starts empty, adds up.

    >>> Audit.of_indices(np.arange(3)) + Audit.of_indices(np.array([4, 3])) == Audit.of_indices(np.arange(5))
    True
    """

    samples: int = 0
    low: int = 0
    high: int = 0

    @classmethod
    def of_indices(cls, indices: Integer[np.ndarray, " n"]) -> Audit:
        """Return the audit of these sample ids (whole numbers from 0 to below 2⁶⁴)."""
        low, high = id_hashes(*words_of(indices))
        return cls(indices.size, int(low.sum(dtype=np.uint64)) & _WORD, int(high.sum(dtype=np.uint64)) & _WORD)

    def __add__(self, other: object) -> Audit:
        if not isinstance(other, Audit):
            return NotImplemented
        return Audit(self.samples + other.samples, (self.low + other.low) & _WORD, (self.high + other.high) & _WORD)

    def __sub__(self, other: object) -> Audit:
        if not isinstance(other, Audit):
            return NotImplemented
        return Audit(self.samples - other.samples, (self.low - other.low) & _WORD, (self.high - other.high) & _WORD)

    @property
    def hash(self) -> str:
        """The hash as 16 hexadecimal digits."""
        return f"{self.high:08x}{self.low:08x}"


def words_of(ids: Integer[np.ndarray, " n"]) -> tuple[UInt32[np.ndarray, " n"], UInt32[np.ndarray, " n"]]:
    """Return the lower and the upper 32 bits of each id."""
    whole = ids.astype(np.uint64)
    return whole.astype(np.uint32), (whole >> np.uint64(32)).astype(np.uint32)


def id_hashes(low: Any, high: Any | None = None) -> tuple[Any, Any]:
    """Return two hashes of each id, ``uint32`` in and out, for NumPy and the compiled loop alike.

    Both are bijective mixings with constants of their own (MurmurHash3's finalizer by A. Appleby, 2011, and its
    variant by P. Evensen, 2018), and no two ids have both in common.

    Args:
        low: the lower 32 bits of the ids.
        high: the upper 32 bits; ``None`` where all of them are 0.
    """
    one, other = low, low
    if high is not None:
        # the upper word enters both in different ways: from the two sums, upper and lower word follow
        noise = high * np.uint32(0x9E3779B1)
        noise = noise ^ (noise >> np.uint32(15))
        one, other = low ^ noise, low ^ noise ^ high
    one = (one ^ (one >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    one = (one ^ (one >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    other = (other + np.uint32(0x9E3779B9)) * np.uint32(0xD35A2D97)
    other = (other ^ (other >> np.uint32(15))) * np.uint32(0xAF251AF3)
    return one ^ (one >> np.uint32(16)), other ^ (other >> np.uint32(16))


@dataclass(slots=True)
class ExpectedAudit:
    """What any part of an epoch must have used, from the order alone and apart from the compiled loop.

    Nothing is computed before it is asked for, so that a training of 10¹² samples begins at once; what an epoch must
    have used takes 17 ns a sample, a small part of what training on it took.
    """

    order: EpochOrder
    _everything: Audit | None = field(default=None, init=False, repr=False)

    @property
    def everything(self) -> Audit:
        """Of a whole epoch: the sum over all samples, in blocks of constant memory."""
        if self._everything is None:
            total = Audit()
            for start in range(0, self.order.samples, _BLOCK):
                total += Audit.of_indices(np.arange(start, min(start + _BLOCK, self.order.samples), dtype=np.uint64))
            self._everything = total
        return self._everything

    def after(self, epoch: int, used: int) -> Audit:
        """Return the audit of the first ``used`` positions of an epoch, all N of them or fewer."""
        if used == self.order.samples:
            return self.everything
        if used > self.order.samples // 2:
            return self.everything - self._of_positions(epoch, used, self.order.samples)
        return self._of_positions(epoch, 0, used)

    def _of_positions(self, epoch: int, first: int, end: int) -> Audit:
        total = Audit()
        for start in range(first, end, _BLOCK):
            total += Audit.of_indices(self.order.indices(epoch, start, min(start + _BLOCK, end)))
        return total
