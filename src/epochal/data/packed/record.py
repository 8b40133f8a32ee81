"""A row of a pack: its id, its checksum, its target and its sample, always of the same size.

A checksum covers the whole row, its id too. A row is read as words of 64 bits, ``w[0]`` its id and ``w[1]`` its
checksum, and with ``m[j] = splitmix64(j) | 1`` and all arithmetic modulo 2⁶⁴,

    checksum = m[1] + Σ m[j] · (w[j] ^ w[j] >> 32)    over all j but 1.

That is multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is fast", The Computer Journal 57,
2014). The multipliers are odd, so a flipped bit always changes the sum; the shift keeps two flipped uppermost bits from
cancelling out; and rows of zeros, which a disk likes to return, have a checksum that is not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int64, Shaped, UInt64

from epochal.data.row_source import RowBuffer
from epochal.data.split import Split
from epochal.data.trees import Tree, labelled

Words: TypeAlias = UInt64[np.ndarray, "_ words"]

_WORD = 8
_CHECKSUM = 1  # which word of a row it is


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """The type of a row.

    Attributes:
        layout: a split of no samples, which shows types and shapes.
        dtype: as NumPy sees a row; whole words of 64 bits.
        multipliers: ``(words,)``, of the checksum; 0 where it stands itself.
    """

    layout: Split
    dtype: np.dtype
    multipliers: UInt64[np.ndarray, " words"]

    @classmethod
    def of(cls, layout: Split) -> Record:
        """Return the type of rows for samples and targets of these types and shapes."""
        fields: list[tuple[str, np.dtype, tuple[int, ...]]] = [
            ("id", np.dtype("<u8"), ()),
            ("checksum", np.dtype("<u8"), ()),
        ]
        for name, array in _parts(layout.x, layout.y, layout.weight):
            fields.append((name, array.dtype.newbyteorder("<"), array.shape[1:]))

        # each field begins where its numbers are aligned
        offsets, end = [], 0
        for _, kind, shape in fields:
            end = -(-end // kind.itemsize) * kind.itemsize
            offsets.append(end)
            end += kind.itemsize * int(np.prod(shape, dtype=np.int64))
        size = -(-end // _WORD) * _WORD
        formats = [f"{shape}{kind.str}" if shape else kind.str for _, kind, shape in fields]
        names = [name for name, _, _ in fields]
        dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})
        return cls(layout, dtype, _multipliers(size // _WORD))

    def without_weight(self) -> Record:
        """Return the same type of rows, of which nobody reads the weights."""
        return replace(self, layout=replace(self.layout, weight=None))

    @property
    def bytes(self) -> int:
        """What a row takes."""
        return self.dtype.itemsize

    @property
    def words(self) -> int:
        """How many words of 64 bits a row has."""
        return self.dtype.itemsize // _WORD

    def to_plain(self) -> dict[str, Any]:
        """Return the type as `numpy.dtype` takes it: ``numpy.dtype(record.to_plain())`` is the type."""
        fields: Mapping[str, Any] = self.dtype.fields or {}
        names = list(self.dtype.names or ())
        kinds = [fields[name][0] for name in names]
        return {
            "names": names,
            "formats": [f"{kind.shape}{kind.base.str}" if kind.shape else kind.str for kind in kinds],
            "offsets": [fields[name][1] for name in names],
            "itemsize": self.dtype.itemsize,
        }

    def rows_of(self, ids: Int64[np.ndarray, " n"], split: Split | RowBuffer) -> Words:
        """Return rows that hold these samples, with their checksums, as words."""
        words = np.zeros((len(ids), self.words), np.uint64)
        rows = words.view(self.dtype)[:, 0]
        rows["id"] = ids
        weight = split.weight
        if "weight" in (self.dtype.names or ()) and weight is None:
            weight = np.ones(len(ids), np.float32)
        for name, array in _parts(split.x, split.y, weight):
            rows[name] = array
        words[:, _CHECKSUM] = self.checksums(words)
        return words

    def put(self, words: Words, into: RowBuffer) -> None:
        """Copy the rows' ids, samples and targets to where they are wanted."""
        rows = words.view(self.dtype)[:, 0]
        into.ids[:] = rows["id"]
        for name, array in _parts(into.x, into.y, into.weight):
            array[...] = rows[name]

    def checksums(self, words: Words, scratch: Words | None = None) -> UInt64[np.ndarray, " _"]:
        """Return what the rows' checksums have to be; ``scratch`` is room of the same shape."""
        mixed = np.right_shift(words, np.uint64(32), out=scratch)
        np.bitwise_xor(mixed, words, out=mixed)
        sums: UInt64[np.ndarray, " _"] = np.einsum("ij,j->i", mixed, self.multipliers)
        sums += _splitmix(np.arange(_CHECKSUM, _CHECKSUM + 1, dtype=np.uint64)) | np.uint64(1)
        return sums

    def stored_checksums(self, words: Words) -> UInt64[np.ndarray, " _"]:
        """Return the checksums that stand in the rows."""
        return words[:, _CHECKSUM]


def _parts(x: Tree, y: Shaped[np.ndarray, "..."], weight: Shaped[np.ndarray, "..."] | None) -> list[tuple[str, Any]]:
    """Return the arrays of a split with the names of their fields."""
    own = [] if weight is None else [("weight", weight)]
    return [("y", y), *own, *labelled(x, "x")]


def _multipliers(words: int) -> UInt64[np.ndarray, " words"]:
    multipliers = _splitmix(np.arange(words, dtype=np.uint64)) | np.uint64(1)
    multipliers[_CHECKSUM] = 0
    return multipliers


def _splitmix(x: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """Return a bijective 64-bit hash (Steele, Lea and Flood's SplitMix64, OOPSLA 2014)."""
    x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: UInt64[np.ndarray, " n"] = x ^ (x >> np.uint64(31))
    return hashed
