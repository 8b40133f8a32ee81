"""Rows that Python code gives one by one, such as a generator's: checked, and put together to batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from epochal.data.packing.assembling import Samples, check_numbers
from epochal.data.packing.spool import Spool, joined
from epochal.data.python_objects import as_plain
from epochal.data.storage import Progress
from epochal.data.trees import Tree, arrays_of, labelled, map_arrays
from epochal.errors import DataError

_BATCH = 4 << 20  # bytes
_MOST = 4096  # rows

_KINDS = {"U": "a text", "b": "a truth value", "i": "an integer", "u": "an integer", "f": "a number"}

Decode = Callable[[Any], Any]


def spool_rows(
    rows: Iterable[Any],
    path: Path,
    *,
    samples: int | None = None,
    decode: Decode | None = None,
    progress: Progress | None = None,
) -> Samples:
    """Keep rows in a temporary file, and return them as samples.

    Args:
        rows: pairs ``(x, y)``, or dictionaries ``{"x": …, "y": …}``; ``x`` may have several parts.
        path: of the file.
        samples: how many will come, where that is known.
        decode: makes such a pair of each row.
        progress: called with a title, the rows that are read, and the rows there are, if that is known.

    Raises:
        DataError: for a row that is no such pair, or differs from the first in shape or type, with its number.
    """
    targets: list[Any] = []
    with Spool(path, samples) as spool:
        for x, y in batches(rows, decode):
            spool.add(check_numbers(x, spool.taken))
            targets.append(y)
            if progress is not None:
                progress("rows", spool.taken, samples or spool.taken)
    if samples is not None and spool.taken != samples:
        raise DataError(f"the source gave {spool.taken:,} rows, and {samples:,} were announced; give the right number")
    return Samples(spool.source(), joined(targets))


def batches(rows: Iterable[Any], decode: Decode | None = None) -> Iterator[tuple[Tree, Any]]:
    """Yield rows put together, samples and targets. Raises `DataError` for an odd row, with its number."""
    numbered = ((number, *_pair(row, number, decode)) for number, row in enumerate(rows))
    first = next(numbered, None)
    if first is None:
        return
    known = first[1:]
    size = sum(array.nbytes for array in arrays_of(known[0]))
    most = max(1, min(_MOST, _BATCH // max(1, size)))

    xs: list[Tree] = []
    ys: list[Any] = []
    for number, x, y in chain([first], numbered):
        _check_alike(number, x, y, known)
        xs.append(x)
        ys.append(y)
        if len(xs) == most:
            yield _stacked(xs), np.stack(ys)
            xs, ys = [], []
    if xs:
        yield _stacked(xs), np.stack(ys)


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


def _check_alike(number: int, x: Tree, y: Any, known: tuple[Tree, Any]) -> None:
    """Raise `DataError` for a row that differs from the first in its parts, their shape or their kind."""
    wanted, given = (dict(labelled(one, "x")) for one in (known[0], x))
    if wanted.keys() != given.keys():
        raise DataError(
            f"row {number:,} (from 0) has the parts {', '.join(given)}, and row 0 has {', '.join(wanted)}; all rows "
            "need the same"
        )
    for label, array in {**given, "y": y}.items():
        first = known[1] if label == "y" else wanted[label]
        is_alike = array.dtype == first.dtype or (label == "y" and _kind(array) == _kind(first))
        if array.shape != first.shape or not is_alike:
            raise DataError(
                f"row {number:,} (from 0): {label} is {_shown(array)}, and row 0's is {_shown(first)}; make them "
                "alike, or give a decode function that cuts or pads them"
            )


def _kind(array: Any) -> str:
    return _KINDS.get(array.dtype.kind, str(array.dtype))


def _shown(array: Any) -> str:
    return _kind(array) if not array.shape else f"{array.dtype} of shape {array.shape}"


def _stacked(samples: list[Tree]) -> Tree:
    return map_arrays(lambda *arrays: np.stack(arrays), *samples)
