"""A split of a data set: samples and their targets, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import Float32, Int, Shaped

from epochal.data.trees import Tree, arrays_of, take


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Samples and their targets, row by row.

    Attributes:
        x: ``(n, *sample_shape)`` in storage type: uint8 or float32; for a model of one's own also int32 and bool, and
            dictionaries or tuples of such arrays.
        y: ``(n,)`` int32 class numbers from 0, or ``(n,)`` or ``(n, k)`` float32 values.
        weight: ``(n,)`` float32, how much each sample's loss counts in training; ``None``: all alike.
    """

    x: Tree
    y: Shaped[np.ndarray, " n *target"]
    weight: Float32[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def layout(self) -> Split:
        """The split without its samples, which shows types and shapes."""
        return self.take(np.arange(0))

    @property
    def nbytes(self) -> int:
        """Bytes that its arrays take."""
        arrays = (*arrays_of(self.x), self.y, self.weight)
        return sum(array.nbytes for array in arrays if array is not None)

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample and its targets, also where there is none."""
        return sum(prod(array.shape[1:]) * array.itemsize for array in (*arrays_of(self.x), self.y))

    def whole(self) -> Split:
        """Return the split with all of its samples in memory: itself."""
        return self

    def take(self, indices: Int[np.ndarray, " taken"]) -> Split:
        """Return the samples at these indices, in their order."""
        return Split(take(self.x, indices), self.y[indices], None if self.weight is None else self.weight[indices])
