"""A row of a pack: its id, its checksum, its target and its sample, always of the same size.

A checksum covers the whole row, its id too. A row is read as words of 64 bits, ``w[0]`` its id and ``w[1]`` its
checksum, and with ``m[j] = splitmix64(j) | 1`` and all arithmetic modulo 2⁶⁴,

    checksum = m[1] + Σ m[j] · (w[j] ^ w[j] >> 32)    over all j but 1.

That is multilinear hashing (`epochal.data.packed.word_hash`); rows of zeros, which a disk likes to return, have a
checksum that is not zero.

Of a ragged part, a row holds where its values begin in the file of values beside it, ``at``, and their own checksum,
``values``: so a row's checksum covers the values too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int64, Shaped, UInt64

from epochal.data.packed.word_hash import mixed_sums, splitmix
from epochal.data.ragged import Ragged
from epochal.data.row_source import RowBuffer
from epochal.data.split import Split
from epochal.data.trees import Tree, labelled

Words: TypeAlias = UInt64[np.ndarray, "_ words"]

_WORD = 8
_CHECKSUM = 1  # which word of a row it is
_MULTIPLIER_OF_CHECKSUM = np.uint64(0x6E789E6AA1B965F5)  # splitmix64(1) | 1


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """The type of a row.

    Attributes:
        layout: a split of no samples, which shows types and shapes.
        dtype: as NumPy sees a row; whole words of 64 bits.
        multipliers: ``(words,)``, of the checksum; 0 where it stands itself.
        ragged: the parts of a sample whose values are elsewhere.
    """

    layout: Split
    dtype: np.dtype
    multipliers: UInt64[np.ndarray, " words"]
    ragged: Ragged = ()

    @classmethod
    def of(cls, layout: Split, ragged: Ragged = ()) -> Record:
        """Return the type of rows for samples and targets of these types and shapes."""
        names = ("id", "checksum", "at", "values") if ragged else ("id", "checksum")
        fields: list[tuple[str, np.dtype, tuple[int, ...]]] = [(name, np.dtype("<u8"), ()) for name in names]
        for name, array in _parts(layout.x, layout.y, layout.weight, ragged):
            fields.append((name, array.dtype.newbyteorder("<"), array.shape[1:]))

        # each field begins where its numbers are aligned
        offsets, end = [], 0
        for _, kind, shape in fields:
            end = -(-end // kind.itemsize) * kind.itemsize
            offsets.append(end)
            end += kind.itemsize * int(np.prod(shape, dtype=np.int64))
        size = -(-end // _WORD) * _WORD
        formats = [f"{shape}{kind.str}" if shape else kind.str for _, kind, shape in fields]
        dtype = np.dtype(
            {"names": [name for name, _, _ in fields], "formats": formats, "offsets": offsets, "itemsize": size}
        )
        return cls(layout, dtype, _multipliers(size // _WORD), ragged)

    def without_weight(self) -> Record:
        """Return the same type of rows, of which nobody reads the weights."""
        return replace(self, layout=replace(self.layout, weight=None))

    @property
    def bytes(self) -> int:
        """What a row takes, without the values of ragged parts."""
        return self.dtype.itemsize

    @property
    def bytes_read(self) -> int:
        """What a row takes where it is read, padded."""
        return self.bytes if not self.ragged else self.bytes + RowBuffer.of(self.layout, 1).nbytes

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

    def ragged_to_plain(self) -> list[dict[str, Any]]:
        """Return what the ragged parts are: names, the type of their values, and the shape of a padded row."""
        kinds = {part: self.layout.x[part.name] for part in self.ragged}
        return [
            {
                "part": part.name,
                "lengths": part.lengths,
                "type": kind.dtype.newbyteorder("<").str,
                "padded": list(kind.shape[1:]),
            }
            for part, kind in kinds.items()
        ]

    def rows_of(
        self,
        ids: Int64[np.ndarray, " n"],
        split: Split | RowBuffer,
        values: tuple[UInt64[np.ndarray, " n"], UInt64[np.ndarray, " n"]] | None = None,
    ) -> Words:
        """Return rows that hold these samples, with their checksums, as words.

        ``values``: of ragged parts, where they begin in the file of values, in bytes, and their checksums.
        """
        words = np.zeros((len(ids), self.words), np.uint64)
        rows = words.view(self.dtype)[:, 0]
        rows["id"] = ids
        if values is not None:
            rows["at"], rows["values"] = values
        weight = split.weight
        if "weight" in (self.dtype.names or ()) and weight is None:
            weight = np.ones(len(ids), np.float32)
        for name, array in _parts(split.x, split.y, weight, self.ragged):
            rows[name] = array
        words[:, _CHECKSUM] = self.checksums(words)
        return words

    def put(self, words: Words, into: RowBuffer) -> None:
        """Copy the rows' ids, samples and targets to where they are wanted, without the values of ragged parts."""
        rows = words.view(self.dtype)[:, 0]
        into.ids[:] = rows["id"]
        for name, array in _parts(into.x, into.y, into.weight, self.ragged):
            array[...] = rows[name]

    def checksums(self, words: Words, scratch: Words | None = None) -> UInt64[np.ndarray, " _"]:
        """Return what the rows' checksums have to be; ``scratch`` is room of the same shape."""
        sums: UInt64[np.ndarray, " _"] = mixed_sums(words, self.multipliers, scratch)
        sums += _MULTIPLIER_OF_CHECKSUM
        return sums

    def stored_checksums(self, words: Words) -> UInt64[np.ndarray, " _"]:
        """Return the checksums that stand in the rows."""
        return words[:, _CHECKSUM]


def _parts(
    x: Tree, y: Shaped[np.ndarray, "..."], weight: Shaped[np.ndarray, "..."] | None, ragged: Ragged
) -> list[tuple[str, Any]]:
    """Return the arrays of a split that lie in a row, with the names of their fields."""
    elsewhere = {part.name for part in ragged}
    fixed = {name: one for name, one in x.items() if name not in elsewhere} if ragged else x
    own = [] if weight is None else [("weight", weight)]
    return [("y", y), *own, *labelled(fixed, "x")]


def _multipliers(words: int) -> UInt64[np.ndarray, " words"]:
    multipliers = splitmix(np.arange(words, dtype=np.uint64)) | np.uint64(1)
    multipliers[_CHECKSUM] = 0
    return multipliers
