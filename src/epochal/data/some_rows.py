"""Some rows of a source as a source: a share of a set that is larger than the memory, such as a fold of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped

from epochal.data.ragged import Ragged, ragged_parts
from epochal.data.row_source import PlacedSource, RowBuffer, RowSource, StoredSplit
from epochal.data.split import Split
from epochal.errors import DataError

_AT_ONCE = 4 << 20  # bytes


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Which rows of a source there are, numbered from 0 on; what is read of them is said by those who build on it.

    Attributes:
        source: of the rows.
        rows: which of them, in this order.
    """

    source: RowSource
    rows: Int64[np.ndarray, " n"]

    @property
    def samples(self) -> int:
        """N."""
        return len(self.rows)

    @property
    def row_bytes(self) -> int:
        """What a sample takes where it is stored."""
        return self.source.row_bytes

    @property
    def ragged(self) -> Ragged:
        """The ragged parts of a sample."""
        return ragged_parts(self.source)

    def hint(self, ids: Int64[np.ndarray, " n"]) -> None:
        """Say which rows are read soon."""
        self.source.hint(self.rows[ids])


@dataclass(frozen=True, slots=True, eq=False)
class SomeRows(Chosen):
    """Some rows of a source, as they are there."""

    @property
    def layout(self) -> Split:
        """A split of no samples, which shows types and shapes."""
        return self.source.layout

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what decides the samples' bytes."""
        digest = hashlib.sha256(self.source.fingerprint.encode())
        digest.update(np.ascontiguousarray(self.rows).data)
        return digest.hexdigest()

    def read(self, ids: Int64[np.ndarray, " n"], into: RowBuffer) -> None:
        """Read these rows; raises what the source raises."""
        self.source.read(self.rows[ids], into)
        self._renumber(ids, into)

    def _renumber(self, ids: Int64[np.ndarray, " n"], into: RowBuffer) -> None:
        """Write the rows' numbers here in the place of those there, once they are known to be the wanted ones."""
        if not np.array_equal(into.ids, self.rows[ids]):
            raise DataError("the source returned other rows than it was asked for")
        into.ids[:] = ids


@dataclass(frozen=True, slots=True, eq=False)
class SomePlacedRows(SomeRows):
    """Some rows of a source that says where its rows lie."""

    source: PlacedSource

    def places_of(self, ids: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Return the places of these rows."""
        return self.source.places_of(self.rows[ids])

    def hint_places(self, places: Int64[np.ndarray, " n"]) -> bool:
        """Say which places are read soon; return whether they can be read without waiting for a disk."""
        return self.source.hint_places(places)

    def read_places(self, places: Int64[np.ndarray, " n"], ids: Int64[np.ndarray, " n"], into: RowBuffer) -> None:
        """Read the rows at these places; raises what the source raises."""
        self.source.read_places(places, self.rows[ids], into)
        self._renumber(ids, into)


def some_of(split: StoredSplit, rows: Int64[np.ndarray, " n"]) -> StoredSplit:
    """Return some rows of a split, which stay where they are stored."""
    source: Any = split.source
    return StoredSplit((SomePlacedRows if isinstance(source, PlacedSource) else SomeRows)(source, rows))


def targets_of(split: StoredSplit) -> Shaped[np.ndarray, "n *target"]:
    """Return all targets of a split, for which all of its rows are read once, in the order in which they lie."""
    source, ids = split.source, np.arange(len(split))
    if isinstance(source, PlacedSource):
        ids = np.argsort(source.places_of(ids))
    y: Shaped[np.ndarray, "n *target"] = np.empty((len(split), *split.layout.y.shape[1:]), split.layout.y.dtype)
    step = max(1, _AT_ONCE // RowBuffer.of(split.layout, 1).nbytes)
    for start in range(0, len(ids), step):
        some = ids[start : start + step]
        y[some] = split.take(some).y
    return y
