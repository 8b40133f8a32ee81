"""Random numbers that are bit-identical on every machine and with every NumPy: a pure function of a key.

NumPy promises no stable stream from its generators across versions; this one is ten lines of integer arithmetic.
Source: Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014 (SplitMix64).
"""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Float64, Int64, UInt64


def bits(count: int, *key: int | str) -> UInt64[np.ndarray, " count"]:
    """Return ``count`` random 64-bit words for this key, such as ``(seed, "split")``."""
    start = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little")
    word = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def signed_units(count: int, *key: int | str) -> Float64[np.ndarray, " count"]:
    """Return ``count`` numbers, uniform in [-1, 1), each an exact multiple of 2⁻²³."""
    return (bits(count, *key) >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0


def permutation(count: int, *key: int | str) -> Int64[np.ndarray, " count"]:
    """Return the integers in [0, count) in random order."""
    return np.argsort(bits(count, *key), kind="stable")
