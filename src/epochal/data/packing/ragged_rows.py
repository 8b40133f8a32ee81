"""Rows of different lengths put together: padded with zeros, in storage type, with their lengths beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int32, Shaped

from epochal.data.packing.spool import Spool
from epochal.data.ragged import ALONE, Ragged
from epochal.data.row_source import StoredSplit
from epochal.data.trees import Tree
from epochal.errors import DataError

_PIECE = 2048  # rows that are read again together


def with_lengths(
    rows: Sequence[Tree], ragged: Ragged, first: int, length: int | None
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return samples, each an array or a dictionary of arrays, put together with their ragged parts padded.

    Args:
        rows: the samples, alike in all but the lengths of ragged parts.
        ragged: these parts.
        first: the number of the first row, for messages.
        length: what is longer is cut to this length; ``None``: nothing is.

    Raises:
        DataError: for values that a model cannot take, with the row.
    """
    samples = [row if isinstance(row, Mapping) else {ALONE: row} for row in rows]
    together: dict[str, Shaped[np.ndarray, "..."]] = {}
    parts = {part.name: part for part in ragged}
    for name in samples[0]:
        arrays = [sample[name] for sample in samples]
        if name not in parts:
            together[name] = np.stack(arrays)
            continue
        if parts[name].lengths in samples[0]:
            raise DataError(
                f"x has a part '{parts[name].lengths}', which is what the lengths of '{name}' are called; rename it"
            )
        together[name], together[parts[name].lengths] = _padded(arrays, first, length)
    return dict(sorted(together.items()))


def widened(spool: Spool, ragged: Ragged, length: int | None) -> Spool:
    """Return a spool of the same samples with these parts ragged, which have one length in all rows that came."""
    other = Spool(spool.path.with_name(f"{spool.path.name}+"), spool.samples, ragged)
    other.lengths.cut.update(spool.lengths.cut)
    new = tuple(part for part in ragged if part not in spool.ragged)
    if spool.taken:
        with other:
            for piece in StoredSplit(spool.source()).pieces(_PIECE):
                parts = piece.x if isinstance(piece.x, Mapping) else {ALONE: piece.x}
                fixed = {part.name: _padded(list(parts[part.name]), other.taken, length) for part in new}
                if length is not None:
                    too_long = [part.name for part in new if parts[part.name].shape[1] > length]
                    other.lengths.cut.update(dict.fromkeys(too_long, len(piece)))
                added = {part.lengths: fixed[part.name][1] for part in new}
                own = {name: fixed[name][0] if name in fixed else array for name, array in parts.items()}
                other.add(dict(sorted({**own, **added}.items())))
    spool.remove()
    return other


def _padded(
    rows: Sequence[Shaped[np.ndarray, "..."]], first: int, length: int | None
) -> tuple[Shaped[np.ndarray, "n longest *value"], Int32[np.ndarray, " n"]]:
    """Return rows as one array with zeros behind the shorter ones, and their lengths."""
    own = [row if length is None else row[:length] for row in rows]
    lengths = np.array([len(row) for row in own], np.int32)
    ends = np.cumsum(lengths)

    # an empty list has a type of its own, which says nothing
    flat = _in_storage(np.concatenate([row for row in own if len(row)] or own[:1]), ends, first)
    longest = int(lengths.max())
    padded = np.zeros((len(rows), longest, *flat.shape[1:]), flat.dtype)
    padded[np.arange(longest) < lengths[:, None]] = flat
    return padded, lengths


def _in_storage(
    values: Shaped[np.ndarray, "values *value"], ends: Shaped[np.ndarray, " n"], first: int
) -> Shaped[np.ndarray, "values *value"]:
    """Return values as int32, float32 or bool. Raises `DataError` for those that are none, with the row."""
    if values.dtype.kind == "b":
        return values
    if values.dtype.kind not in "iuf":
        raise DataError(
            f"row {first:,} (from 0) holds {values.dtype} such as {str(values.flat[0])!s:.40}; "
            "samples are numbers: give a decode function that makes them so"
        )
    is_whole = values.dtype.kind in "iu"
    with np.errstate(over="ignore"):
        stored = values.astype(np.int32 if is_whole else np.float32)
        good = stored == values if is_whole else np.isfinite(stored)
    if not good.all():
        place = int(np.argmin(good.reshape(len(good), -1).all(axis=1)))
        row = first + int(np.searchsorted(ends, place, "right"))
        what = "32-bit integers" if is_whole else "32-bit floats"
        raise DataError(f"row {row:,} (from 0) holds a value that is missing or beyond {what}; fix or remove that row")
    return stored
