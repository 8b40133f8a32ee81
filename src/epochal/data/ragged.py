"""Samples whose rows have different lengths, such as sequences: stored as they are, read padded with zeros.

A *ragged* part of a sample is an array whose first axis has another length in each row. Wherever rows are read, it is
padded to one length, and the row's own length is another part of the sample, int32: a model sees
``{"tokens": (batch, longest), "tokens_length": (batch,)}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Int32, Shaped

from epochal.data.row_source import RowSource
from epochal.data.trees import Tree

ALONE = "values"
"""The name of a ragged part that is all that a sample has; its lengths are called ``length``."""


class RaggedPart(NamedTuple):
    """A part of a sample, by name, whose rows have different lengths, and the part that holds these lengths."""

    name: str
    lengths: str

    @classmethod
    def of(cls, name: str) -> RaggedPart:
        """Return the part of this name.

        >>> RaggedPart.of("tokens"), RaggedPart.of("values")
        (RaggedPart(name='tokens', lengths='tokens_length'), RaggedPart(name='values', lengths='length'))
        """
        return cls(name, "length" if name == ALONE else f"{name}_length")


Ragged: TypeAlias = tuple[RaggedPart, ...]
"""The ragged parts of a sample, sorted by name."""


@runtime_checkable
class RaggedSource(RowSource, Protocol):
    """A source of which some parts are ragged; it reads them padded, and their lengths."""

    @property
    def ragged(self) -> Ragged:
        """These parts; empty where there are none after all."""
        ...


def ragged_parts(source: RowSource) -> Ragged:
    """Return the ragged parts of a source's samples."""
    return source.ragged if isinstance(source, RaggedSource) else ()


def padded_to(lengths: Mapping[str, int], x: Tree) -> Tree:
    """Return a layout of samples, which are no rows, with the ragged parts of these names of these lengths."""
    if not lengths:
        return x

    def longer(array: Shaped[np.ndarray, "0 ..."], length: int) -> Shaped[np.ndarray, "0 ..."]:
        return np.empty((0, length, *array.shape[2:]), array.dtype)

    return {name: longer(array, lengths[name]) if name in lengths else array for name, array in x.items()}


def lengths_of(x: Mapping[str, Shaped[np.ndarray, "..."]], part: RaggedPart) -> Int32[np.ndarray, " n"]:
    """Return how long each row of a part is."""
    lengths: Int32[np.ndarray, " n"] = x[part.lengths]
    return lengths
