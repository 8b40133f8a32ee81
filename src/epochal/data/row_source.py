"""Samples that are read when they are needed: a source of rows by number, and a split of a data set that has one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from epochal.data.split import Split
from epochal.data.trees import Tree, arrays_of, map_arrays
from epochal.errors import DataError

_MOST_IN_MEMORY = 1 << 30  # bytes


class RowBuffer(NamedTuple):
    """Where a source puts rows: arrays, or parts of larger ones, of as many rows as are asked for.

    Attributes:
        ids: which samples they are. A source that stores them with its rows writes those that it found there.
        x: samples in storage type; a tree of arrays for samples of several parts.
        y: targets.
        weight: how much each sample's loss counts; ``None`` where a source has no weights.
    """

    ids: Int64[np.ndarray, " n"]
    x: Tree
    y: Shaped[np.ndarray, "n *target"]
    weight: Float32[np.ndarray, " n"] | None = None

    @classmethod
    def of(cls, layout: Split, rows: int) -> RowBuffer:
        """Return an uninitialised buffer for so many rows of this layout."""

        def room(values: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
            return np.empty((rows, *values.shape[1:]), values.dtype)

        weight = None if layout.weight is None else room(layout.weight)
        return cls(np.empty(rows, np.int64), map_arrays(room, layout.x), room(layout.y), weight)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        arrays = (self.ids, *arrays_of(self.x), self.y, self.weight)
        return sum(array.nbytes for array in arrays if array is not None)

    def part(self, start: int, stop: int) -> RowBuffer:
        """Return the rows from ``start`` to ``stop``, not included, as a view."""

        def cut(values: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
            return values[start:stop]

        weight = None if self.weight is None else cut(self.weight)
        return RowBuffer(cut(self.ids), map_arrays(cut, self.x), cut(self.y), weight)


@runtime_checkable
class RowSource(Protocol):
    """N samples, each found by its number from 0 to N - 1; read by several threads at once."""

    @property
    def samples(self) -> int:
        """N, at least 1."""
        ...

    @property
    def layout(self) -> Split:
        """A split of no samples, which shows types and shapes."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what decides the samples' bytes."""
        ...

    @property
    def row_bytes(self) -> int:
        """What a sample takes where it is stored."""
        ...

    def hint(self, ids: Int64[np.ndarray, " n"]) -> None:
        """Say which rows are read soon, in no order, so that a disk can bring them; may do nothing."""
        ...

    def read(self, ids: Int64[np.ndarray, " n"], into: RowBuffer) -> None:
        """Read these rows, in their order, into a buffer of as many. Raises `DataError` for damaged or missing ones."""
        ...


@runtime_checkable
class PlacedSource(RowSource, Protocol):
    """A source whose rows are stored in another order: where they lie is found once for a whole window of them."""

    def places_of(self, ids: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Return the places of these rows."""
        ...

    def hint_places(self, places: Int64[np.ndarray, " n"]) -> bool:
        """Say as `hint` does which places are read soon; return whether they can be read without waiting for a disk."""
        ...

    def read_places(self, places: Int64[np.ndarray, " n"], ids: Int64[np.ndarray, " n"], into: RowBuffer) -> None:
        """Read the rows at these places as `read` does; ``ids`` are those that they have to have."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class StoredSplit:
    """A split whose samples are read when they are needed."""

    source: RowSource

    def __len__(self) -> int:
        return self.source.samples

    @property
    def layout(self) -> Split:
        """A split of no samples, which shows types and shapes."""
        return self.source.layout

    def take(self, indices: Int64[np.ndarray, " taken"]) -> Split:
        """Read the samples at these indices, in their order."""
        buffer = RowBuffer.of(self.layout, len(indices))
        self.source.read(np.asarray(indices, np.int64), buffer)
        return Split(buffer.x, buffer.y, buffer.weight)

    @property
    def nbytes(self) -> int:
        """Bytes that its samples take where they are stored."""
        return len(self) * self.source.row_bytes

    @property
    def fits_in_memory(self) -> bool:
        """Whether all of its samples take at most a gibibyte."""
        return self._read_bytes <= _MOST_IN_MEMORY

    @property
    def _read_bytes(self) -> int:
        return max(self.nbytes, len(self) * RowBuffer.of(self.layout, 1).nbytes)

    def whole(self) -> Split:
        """Return the split with all of its samples in memory: raises `DataError` for more than a gibibyte."""
        if not self.fits_in_memory:
            raise DataError(
                f"this needs all {len(self):,} samples in memory, which take {self._read_bytes / 1e9:,.1f} GB; use "
                "fewer"
            )
        return self.take(np.arange(len(self)))

    def pieces(self, rows: int, of: range | None = None) -> Iterator[Split]:
        """Read all samples, or those of a range, in their order, so many at a time."""
        of = range(len(self)) if of is None else of
        for start in range(0, len(of), rows):
            yield self.take(np.array(of[start : start + rows]))


AnySplit: TypeAlias = Split | StoredSplit
"""Samples in memory, or where they are stored."""


@dataclass(frozen=True, slots=True, eq=False)
class ArraySource:
    """The samples of a split in memory as a source of rows."""

    split: Split
    fingerprint: str = ""

    @property
    def samples(self) -> int:
        """N."""
        return len(self.split)

    @property
    def layout(self) -> Split:
        """A split of no samples, which shows types and shapes."""
        return self.split.layout

    @property
    def row_bytes(self) -> int:
        """What a sample takes in memory."""
        return self.split.nbytes // max(1, len(self.split))

    def hint(self, ids: Int64[np.ndarray, " n"]) -> None:
        """Do nothing: all rows are in memory."""

    def read(self, ids: Int64[np.ndarray, " n"], into: RowBuffer) -> None:
        """Copy these rows into a buffer."""
        into.ids[:] = ids

        def copy(values: Shaped[np.ndarray, "..."], room: Shaped[np.ndarray, "..."]) -> None:
            np.take(values, ids, axis=0, out=room, mode="clip")

        map_arrays(copy, self.split.x, into.x)
        copy(self.split.y, into.y)
        if self.split.weight is not None and into.weight is not None:
            copy(self.split.weight, into.weight)
