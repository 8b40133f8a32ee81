"""The proof that an epoch used each sample exactly once: a count and an order-independent hash of indices.

Each sample index has a 64-bit hash, made of two 32-bit ones; an epoch's hash is their sum modulo 2³² each, so the
order does not matter and parts of an epoch add up. The compiled loop sums over the indices that it really gathered;
the expected values are computed apart from it, on the host. A sample left out, used twice, or swapped for another
changes the sum, and goes unnoticed with probability 2⁻⁶⁴.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Integer

from epochal.order import Order

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
        """Return the audit of these sample indices (integers below 2³²)."""
        low, high = index_hashes(indices.astype(np.uint32))
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


def index_hashes(indices: Any) -> tuple[Any, Any]:
    """Return two hashes of each index, ``uint32`` in and out, for NumPy and the compiled loop alike.

    Both are bijective mixings with constants of their own (MurmurHash3's finalizer by A. Appleby, 2011, and its
    variant by P. Evensen, 2018).
    """
    low = (indices ^ (indices >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    low = (low ^ (low >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    high = (indices + np.uint32(0x9E3779B9)) * np.uint32(0xD35A2D97)
    high = (high ^ (high >> np.uint32(15))) * np.uint32(0xAF251AF3)
    return low ^ (low >> np.uint32(16)), high ^ (high >> np.uint32(16))


@dataclass(frozen=True, slots=True)
class ExpectedAudit:
    """What any part of an epoch must have used, from the order alone and apart from the compiled loop."""

    order: Order
    everything: Audit

    @classmethod
    def of(cls, order: Order) -> ExpectedAudit:
        """Sum over all samples once, in blocks of constant memory."""
        total = Audit()
        for start in range(0, order.samples, _BLOCK):
            total += Audit.of_indices(np.arange(start, min(start + _BLOCK, order.samples), dtype=np.uint64))
        return cls(order, total)

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
