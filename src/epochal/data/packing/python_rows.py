"""Rows that Python code gives one by one, such as a generator's: checked, and put together to batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from epochal.data.packing.assembling import Samples, check_numbers
from epochal.data.packing.ragged_rows import widened, with_lengths
from epochal.data.packing.spool import Spool, joined
from epochal.data.python_objects import as_plain
from epochal.data.ragged import ALONE, Ragged, RaggedPart
from epochal.data.storage import Progress
from epochal.data.trees import Tree, arrays_of, labelled, map_arrays
from epochal.errors import DataError

_BATCH = 4 << 20  # bytes
_MOST = 4096  # rows
_MOST_AXES = 2  # of an array that may be a sequence: pictures of different heights are none

_KINDS = {"U": "a text", "b": "a truth value", "i": "an integer", "u": "an integer", "f": "a number"}

Decode = Callable[[Any], Any]


class Batch(NamedTuple):
    """Rows put together.

    Attributes:
        x: their samples.
        y: their targets.
        ragged: the parts of the samples that are padded.
        cut: how many rows of each such part were longer than they may be.
    """

    x: Tree
    y: Any
    ragged: Ragged
    cut: Mapping[str, int]


class Spooled(NamedTuple):
    """Rows in a temporary file, and their targets."""

    spool: Spool
    y: Any


def spool_splits(
    splits: Mapping[str, Iterable[Any]],
    place: Path,
    *,
    samples: Mapping[str, int | None] | None = None,
    decode: Decode | None = None,
    length: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Samples]:
    """Keep the rows of splits in temporary files, and return them as samples.

    Args:
        splits: of each split, pairs ``(x, y)``, or dictionaries ``{"x": …, "y": …}``; ``x`` may have several parts. Its
            arrays may have another length in each row: then they come back padded, alike in all splits, with their
            lengths.
        place: the folder of the files.
        samples: how many rows come in each split, where that is known.
        decode: makes such a pair of each row.
        length: the length to which such arrays are padded, or cut. Default: the longest.
        progress: called with a title, the rows that are read, and the rows there are, if that is known.

    Raises:
        DataError: for a row that is no such pair, or differs from the first in shape or type, with its number.
    """
    counts = samples or {}
    spooled: dict[str, Spooled] = {}
    ragged: Ragged = ()
    for name, rows in splits.items():
        one = _spool_rows(rows, Spool(place / name, counts.get(name), ragged), decode, length, progress)
        spooled[name], ragged = one, one.spool.ragged
    if length is not None and not ragged:
        raise DataError(f"length={length} is for rows of different lengths, and these have one length; leave it out")

    spools = {
        name: one.spool if one.spool.ragged == ragged else widened(one.spool, ragged, length)
        for name, one in spooled.items()
    }
    padded = {
        part.name: length or max(spool.lengths.longest.get(part.name, 1) for spool in spools.values())
        for part in ragged
    }
    return {
        name: Samples(spool.source(padded), spooled[name].y, spool.lengths.notes(padded))
        for name, spool in spools.items()
    }


def _spool_rows(
    rows: Iterable[Any], spool: Spool, decode: Decode | None, length: int | None, progress: Progress | None
) -> Spooled:
    """Keep the rows of a split; its ragged parts are those of the splits before, and more where its rows say so."""
    targets: list[Any] = []
    for ragged, some in groupby(batches(rows, decode, spool.ragged, length), lambda batch: batch.ragged):
        if ragged != spool.ragged:
            spool = widened(spool, ragged, length)
        with spool:
            for batch in some:
                spool.add(check_numbers(batch.x, spool.taken))
                targets.append(batch.y)
                spool.lengths.cut.update(batch.cut)
                if progress is not None:
                    progress("rows", spool.taken, spool.samples or spool.taken)
    if spool.samples is not None and spool.taken != spool.samples:
        raise DataError(
            f"the source gave {spool.taken:,} rows, and {spool.samples:,} were announced; give the right number"
        )
    return Spooled(spool, joined(targets) if targets else np.empty(0))


def batches(
    rows: Iterable[Any], decode: Decode | None = None, ragged: Ragged = (), length: int | None = None
) -> Iterator[Batch]:
    """Yield rows put together. Raises `DataError` for an odd row, with its number."""
    known: tuple[Tree, Any] | None = None
    xs: list[Tree] = []
    ys: list[Any] = []
    largest = 0
    for number, row in enumerate(rows):
        x, y = _pair(row, number, decode)
        known = (x, y) if known is None else known
        own = _with(ragged, _differing(number, x, y, known))
        size = max(largest, sum(array.nbytes for array in arrays_of(x)))
        if xs and (own != ragged or len(xs) == _MOST or (len(xs) + 1) * size > _BATCH):
            yield _batch(xs, ys, ragged, number - len(xs), length)
            xs, ys, size = [], [], sum(array.nbytes for array in arrays_of(x))
        ragged, largest = own, size
        xs.append(x)
        ys.append(y)
    if xs:
        yield _batch(xs, ys, ragged, number + 1 - len(xs), length)


def _batch(xs: list[Tree], ys: list[Any], ragged: Ragged, first: int, length: int | None) -> Batch:
    if not ragged:
        return Batch(map_arrays(lambda *arrays: np.stack(arrays), *xs), np.stack(ys), (), {})
    cut = {part.name: _longer(xs, part, length) for part in ragged} if length is not None else {}
    return Batch(with_lengths(xs, ragged, first, length), np.stack(ys), ragged, cut)


def _longer(xs: list[Tree], part: RaggedPart, length: int) -> int:
    """Return how many rows of a part are longer than they may be."""
    return sum(len(x[part.name] if isinstance(x, Mapping) else x) > length for x in xs)


def _with(ragged: Ragged, names: set[str]) -> Ragged:
    """Return ragged parts, and those of more names."""
    return tuple(sorted({*ragged, *map(RaggedPart.of, names)})) if names else ragged


def _pair(row: Any, number: int, decode: Decode | None) -> tuple[Tree, Any]:
    """Return a row as a sample and its target, in arrays."""
    if decode is not None:
        try:
            row = decode(row)
        except DataError:
            raise
        except Exception as error:  # a user's function raises anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
            raise DataError(f"row {number:,} (from 0): the decode function failed ({reason})") from error
    if isinstance(row, Mapping) and {"x", "y"} <= row.keys():
        row = (row["x"], row["y"])
    if not isinstance(row, (tuple, list)) or len(row) != 2:
        what = f"{type(row).__name__} {' '.join(repr(row).split()):.40}"
        raise DataError(f"row {number:,} (from 0) is no pair (x, y), but {what}; give pairs, or a decode function")
    return _array(as_plain(row[0])), np.asarray(as_plain(row[1]))


def _array(x: Any) -> Tree:
    """Return a sample as arrays, the parts of a dictionary sorted by name; a plain number as a row of one."""
    if isinstance(x, Mapping):
        return {str(name): _part(x[name]) for name in sorted(x, key=str)}
    if isinstance(x, tuple) and any(np.ndim(one) > 0 for one in x):
        return tuple(map(_part, x))
    return np.atleast_1d(np.asarray(x))


def _part(x: Any) -> Tree:
    return _array(x) if isinstance(x, (Mapping, tuple)) else np.asarray(x)


def _differing(number: int, x: Tree, y: Any, known: tuple[Tree, Any]) -> set[str]:
    """Return the names of the parts of which a row has more or fewer values than the first row.

    Raises `DataError` for a row that differs from the first in its parts, their shape or their kind otherwise.
    """
    wanted, given = (dict(labelled(one, "x")) for one in (known[0], x))
    if wanted.keys() != given.keys():
        raise DataError(
            f"row {number:,} (from 0) has the parts {', '.join(given)}, and row 0 has {', '.join(wanted)}; all rows "
            "need the same"
        )
    names = set()
    for label, array in {**given, "y": y}.items():
        first = known[1] if label == "y" else wanted[label]
        is_alike = array.dtype == first.dtype or (label == "y" and _kind(array) == _kind(first))
        if is_alike and array.shape == first.shape:
            continue
        name = _name_of_sequence(label, x)
        if name is None or not _may_be_longer(array, first):
            raise DataError(
                f"row {number:,} (from 0): {label} is {_shown(array)}, and row 0's is {_shown(first)}; make them "
                "alike, or give a decode function that cuts or pads them"
            )
        names.add(name)
    return names


def _name_of_sequence(label: str, x: Tree) -> str | None:
    """Return the name under which a part that has a label may be ragged; ``None`` if it may not."""
    if label == "x":
        return ALONE
    return next((name for name in x if label == f"x[{name!r}]"), None) if isinstance(x, Mapping) else None


def _may_be_longer(array: Any, first: Any) -> bool:
    """Return whether two arrays are sequences of different lengths, of the same things."""
    if array.ndim != first.ndim:
        return bool(array.ndim == 1 and not array.size)  # an empty list
    is_alike = array.dtype == first.dtype or not array.size or not first.size
    return bool(is_alike and 1 <= array.ndim <= _MOST_AXES and array.shape[1:] == first.shape[1:])


def _kind(array: Any) -> str:
    return _KINDS.get(array.dtype.kind, str(array.dtype))


def _shown(array: Any) -> str:
    return _kind(array) if not array.shape else f"{array.dtype} of shape {array.shape}"
