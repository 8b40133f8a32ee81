"""Rows on the disk where other code expects arrays: read in blocks, changed as they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from epochal.data.row_source import RowBuffer, RowSource
from epochal.data.some_rows import Chosen
from epochal.data.split import Split
from epochal.data.trees import Tree, labelled, map_arrays

Change: TypeAlias = Callable[[Tree], Tree]
"""From raw samples to samples in storage type, row by row."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredArray:
    """One array of some rows of a source, which is read where it is cut: enough to be looked through in blocks.

    Attributes:
        source: of the rows.
        rows: which of them, in this order.
        label: which array of a sample of several parts, as `epochal.data.trees.labelled` says.
        change: what is done to the samples that are read.
    """

    source: RowSource
    rows: Int64[np.ndarray, " n"]
    label: str
    change: Change

    @property
    def dtype(self) -> Any:
        """The type of its values."""
        return self[0:0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, the rows first."""
        return (len(self.rows), *self[0:0].shape[1:])

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of its values."""
        return prod(self.shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> Shaped[np.ndarray, "..."]:
        chosen = self.rows[part]
        raw = _read(self.source, chosen) if len(chosen) else self.source.layout.x
        values: Shaped[np.ndarray, "..."] = dict(labelled(self.change(raw)))[self.label]
        return values


def stored_arrays(source: RowSource, rows: Int64[np.ndarray, " n"], change: Change) -> Tree:
    """Return the samples at these rows as a tree of arrays that are read when they are cut."""
    layout = change(source.layout.x)
    labels = iter([label for label, _ in labelled(layout)])
    # in the order of `labelled`, which is that of sorted names, as all trees here are
    return map_arrays(lambda _: StoredArray(source, rows, next(labels), change), layout)


@dataclass(frozen=True, slots=True, eq=False)
class ChosenRows(Chosen):
    """Some rows of a source, changed, with targets from memory: a split of a data set.

    Attributes:
        source: of the samples; its targets are not used.
        y: the split's targets.
        change: from a raw sample to a stored one.
        fingerprint: SHA-256 of what decides the bytes.
        weight: the split's weights, if there are any.
    """

    y: Shaped[np.ndarray, "n *target"]
    change: Change
    fingerprint: str
    weight: Float32[np.ndarray, " n"] | None = None

    @property
    def layout(self) -> Split:
        """A split of no samples, which shows types and shapes."""
        weight = None if self.weight is None else self.weight[:0]
        return Split(self.change(self.source.layout.x), self.y[:0], weight)

    def read(self, ids: Int64[np.ndarray, " n"], into: RowBuffer) -> None:
        """Read these rows. Raises `DataError` for damaged or missing ones."""
        into.ids[:] = ids
        samples = self.change(_read(self.source, self.rows[ids]))

        def put(values: Any, room: Any) -> None:
            room[...] = values

        map_arrays(put, samples, into.x)
        into.y[...] = self.y[ids]
        if into.weight is not None:
            into.weight[...] = 1 if self.weight is None else self.weight[ids]


def _read(source: RowSource, rows: Int64[np.ndarray, " n"]) -> Tree:
    buffer = RowBuffer.of(source.layout, len(rows))
    source.read(rows, buffer)
    return buffer.x
