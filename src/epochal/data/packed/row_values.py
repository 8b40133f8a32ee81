"""The values of rows that have different lengths, as words of 64 bits that follow each other without gaps.

A row's values are those of its ragged parts in the order of their names, each part filled up with zeros to whole words.
Their checksum is that of a row (`epochal.data.packed.record`), with multipliers of their own: word j of part k, both
from 0, has ``splitmix64(k · 2³² + j + 2⁶³) | 1``. So it does not depend on how far a pack pads its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from epochal.data.packed.word_hash import mixed_sums, splitmix
from epochal.data.ragged import Ragged, RaggedPart, lengths_of

_WORD = 8
_OF_VALUES = 1 << 63
_OF_PART = 32  # bits


class RowValues(NamedTuple):
    """The values of some rows.

    Attributes:
        words: of all rows, one after the other.
        sizes: how many of them each row has.
        checksums: of each row's.
    """

    words: UInt64[np.ndarray, " words"]
    sizes: Int64[np.ndarray, " n"]
    checksums: UInt64[np.ndarray, " n"]


def values_of(x: Mapping[str, Any], ragged: Ragged) -> RowValues:
    """Return the values of rows that are padded with zeros."""
    tables = [_as_words(x[part.name]) for part in ragged]
    own = _own(x, ragged, [table.shape[1] for table in tables])
    table = np.concatenate(tables, axis=1)
    return RowValues(table[own], own.sum(axis=1), _checksums(tables))


def put_values(words: UInt64[np.ndarray, " words"], into: Mapping[str, Any], ragged: Ragged) -> Any:
    """Write rows' values, padded with zeros, to where their lengths stand; return their checksums."""
    widths = [_words_of(part, into) for part in ragged]
    own = _own(into, ragged, widths)
    table = np.zeros(own.shape, np.uint64)
    table[own] = words

    tables = np.split(table, np.cumsum(widths)[:-1], axis=1)
    for part, own_table in zip(ragged, tables, strict=True):
        room = into[part.name]
        plain = np.ascontiguousarray(own_table).view(np.uint8)[:, : _bytes_of(room)]
        room[...] = np.ascontiguousarray(plain).view(room.dtype).reshape(room.shape)
    return _checksums(tables)


def sizes_of(x: Mapping[str, Any], ragged: Ragged) -> Int64[np.ndarray, " n"]:
    """Return how many words the values of each row take."""
    sizes = [-(-lengths_of(x, part).astype(np.int64) * _item_bytes(x[part.name]) // _WORD) for part in ragged]
    total: Int64[np.ndarray, " n"] = np.sum(sizes, axis=0)
    return total


def _own(x: Mapping[str, Any], ragged: Ragged, widths: list[int]) -> Bool[np.ndarray, "n words"]:
    """Return which words of padded rows are a row's own."""
    columns = [np.arange(width) < sizes_of(x, (part,))[:, None] for part, width in zip(ragged, widths, strict=True)]
    return np.concatenate(columns, axis=1)


def _as_words(rows: Any) -> UInt64[np.ndarray, "n words"]:
    """Return the rows of an array as whole words."""
    plain = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    rest = -plain.shape[1] % _WORD
    if rest:
        plain = np.concatenate([plain, np.zeros((len(rows), rest), np.uint8)], axis=1)
    return plain.view(np.uint64)


def _checksums(tables: list[UInt64[np.ndarray, "n _"]]) -> UInt64[np.ndarray, " n"]:
    sums = np.zeros(len(tables[0]), np.uint64)
    for number, table in enumerate(tables):
        places = np.arange(table.shape[1], dtype=np.uint64) + np.uint64(_OF_VALUES + (number << _OF_PART))
        sums += mixed_sums(table, splitmix(places) | np.uint64(1))
    return sums


def _words_of(part: RaggedPart, x: Mapping[str, Any]) -> int:
    return -(-_bytes_of(x[part.name]) // _WORD)


def _bytes_of(rows: Any) -> int:
    return int(prod(rows.shape[1:])) * int(rows.dtype.itemsize)


def _item_bytes(rows: Any) -> int:
    return int(prod(rows.shape[2:])) * int(rows.dtype.itemsize)
