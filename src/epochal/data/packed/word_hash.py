"""A multilinear hash of words of 64 bits: what the checksums of packs are made of.

All arithmetic is modulo 2⁶⁴. The multipliers are odd, so a flipped bit always changes the sum; the shift keeps two
flipped uppermost bits from cancelling out (Lemire and Kaser, "Strongly universal string hashing is fast", The Computer
Journal 57, 2014).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt64


def mixed_sums(
    words: UInt64[np.ndarray, "n words"],
    multipliers: UInt64[np.ndarray, " words"],
    scratch: UInt64[np.ndarray, "n words"] | None = None,
) -> UInt64[np.ndarray, " n"]:
    """Return ``Σ m[j] · (w[j] ^ w[j] >> 32)`` of each row; ``scratch`` is room of the words' shape."""
    mixed = np.right_shift(words, np.uint64(32), out=scratch)
    np.bitwise_xor(mixed, words, out=mixed)
    sums: UInt64[np.ndarray, " n"] = np.einsum("ij,j->i", mixed, multipliers)
    return sums


def splitmix(x: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """Return a bijective 64-bit hash (Steele, Lea and Flood's SplitMix64, OOPSLA 2014)."""
    x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: UInt64[np.ndarray, " n"] = x ^ (x >> np.uint64(31))
    return hashed
