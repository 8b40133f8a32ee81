"""How an estimator sees its numbers: shifted and scaled to mean 0 and deviation 1, or as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Float64, Shaped

from epochal.data.splitting import blocks

Columns: TypeAlias = Float64[np.ndarray, " columns"]

_CONSTANT = 10 * np.finfo(np.float64).eps  # relative: below that, a deviation is made of rounding


@dataclass(frozen=True, slots=True)
class Scaling:
    """Each column's shift and scale: ``(x - shift) / scale``.

    Attributes:
        shift: each column's weighted mean.
        scale: each column's weighted deviation; 1 where it is constant.
    """

    shift: Columns
    scale: Columns

    @classmethod
    def none(cls, columns: int) -> Scaling:
        """Return the scaling that leaves numbers as they are."""
        return cls(np.zeros(columns), np.ones(columns))

    @classmethod
    def of(cls, x: Shaped[np.ndarray, "n columns"], weight: Float64[np.ndarray, " n"] | None = None) -> Scaling:
        """Return the scaling by the rows of a table; a row of weight 2 counts as two rows."""
        total = len(x) if weight is None else weight.sum()

        def sums(squared_from: Columns | None) -> Columns:
            result = np.zeros(x.shape[1])
            for start, block in blocks(x):
                values = block.astype(np.float64) if squared_from is None else np.square(block - squared_from)
                result += values.sum(axis=0) if weight is None else weight[start : start + len(block)] @ values
            return result

        mean = sums(None) / total
        deviation = np.sqrt(sums(mean) / total)
        varies = deviation > _CONSTANT * np.maximum(np.abs(mean), np.finfo(np.float64).tiny)
        return cls(mean, np.where(varies, deviation, 1.0))

    def apply(self, x: Shaped[np.ndarray, "n columns"], rows: int | None = None) -> Float32[np.ndarray, "rows columns"]:
        """Return a table's numbers as the model sees them, computed in double precision, block by block.

        ``rows`` is how many rows to return, at least n; those beyond n are zeros.
        """
        scaled = np.empty((len(x) if rows is None else rows, x.shape[1]), np.float32)
        scaled[len(x) :] = 0
        for start, block in blocks(x):
            np.divide(block - self.shift, self.scale, out=scaled[start : start + len(block)], casting="same_kind")
        return scaled

    def undo(self, values: Float32[np.ndarray, "n columns"]) -> Float64[np.ndarray, "n columns"]:
        """Return a model's outputs in the units of the table that was scaled."""
        restored: Float64[np.ndarray, "n columns"] = values.astype(np.float64) * self.scale + self.shift
        return restored
