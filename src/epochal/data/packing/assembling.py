"""From samples on the disk to a data set: what `epochal.data.from_arrays` does in memory, with the same bits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from epochal.config.train_config import Task
from epochal.data.arrays import check_resolution, has_channels_first, to_float32
from epochal.data.dataset import Dataset, Preprocessing
from epochal.data.encodings import Encoding
from epochal.data.packing.stored_rows import Change, ChosenRows, stored_arrays
from epochal.data.ragged import ragged_parts
from epochal.data.row_source import RowSource, StoredSplit
from epochal.data.splitting import as_fraction, default_preprocessing, scaling_of, split_rows
from epochal.data.targets import read_targets
from epochal.data.trees import Tree, arrays_of, is_several, map_arrays, shape_of, type_of
from epochal.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples on the disk with their targets in memory.

    Attributes:
        source: the samples as they came, finite numbers; the source's own targets are not used.
        y: ``(n,)`` or ``(n, k)`` integers, floats, truth values or texts.
        notes: what the user should know of the samples.
    """

    source: RowSource
    y: Shaped[np.ndarray, "n *target"]
    notes: tuple[str, ...] = ()


def dataset_of(
    train: Samples,
    *,
    name: str,
    test: Samples | Any = None,
    validation: Samples | Any = None,
    seed: int = 0,
    task: Task | None = None,
    class_names: Sequence[str] | None = None,
    change: Change | None = None,
    encoding: Encoding | None = None,
    notes: Sequence[str] = (),
) -> Dataset:
    """Return the data set of samples on the disk: the same rows, bits and preprocessing as of the arrays in memory.

    Args:
        train: all samples, or the training samples where ``test`` is samples too.
        name: of the data set.
        test: the test samples, or their share. Default: 0.2.
        validation: likewise, of what is left. Default: none.
        seed: of that choice.
        task: overrides what the targets look like.
        class_names: of the classes 0, 1, …
        change: what is done first to samples as they came, such as taking one of three equal colours.
        encoding: how a row of a table or a picture became a sample.
        notes: what the user should know.

    Raises:
        DataError: for what cannot be trained with.
    """
    splits = {"": train, "test ": test, "validation ": validation}
    given = {which: one for which, one in splits.items() if isinstance(one, Samples)}
    _check_alike(given)
    store, said = _into_storage(train.source.layout.x, change)
    for which, one in given.items():
        _check_resolution(one, change, f"{which}x")

    whiches = [f"{which}y" for which in given]
    meaning = read_targets([one.y for one in given.values()], task, class_names, whiches)
    ys = dict(zip(given, meaning.ys, strict=True))
    if meaning.classes is None:
        ys = {which: to_float32(y, f"{which}y") for which, y in ys.items()}

    labels = ys[""] if meaning.classes is not None else np.zeros(len(train.y), np.int32)
    rows = split_rows(
        labels,
        None if isinstance(test, Samples) else as_fraction(test),
        None if isinstance(validation, Samples) or validation is None else as_fraction(validation, "validation"),
        seed,
    )

    def part(which: str, chosen: Any) -> StoredSplit:
        origin, y = (given[which], ys[which]) if which in given else (train, ys[""])
        taken = np.arange(len(y)) if chosen is None else chosen
        digest = hashlib.sha256(f"{origin.source.fingerprint} {type_of(store(origin.source.layout.x))}".encode())
        digest.update(np.ascontiguousarray(taken).data)
        digest.update(np.ascontiguousarray(y[taken]).data)
        return StoredSplit(ChosenRows(origin.source, taken, y[taken], store, digest.hexdigest()))

    own = part("", rows.train)
    assert isinstance(own.source, ChosenRows)
    return Dataset(
        name,
        own,
        part("test ", rows.test),
        _preprocessing_of(train.source, rows.train, store),
        meaning.classes,
        None if validation is None else part("validation ", rows.validation),
        None if meaning.classes is not None else scaling_of(own.source.y),
        encoding,
        (*notes, *train.notes, *said, *filter(None, [meaning.note])),
    )


def _preprocessing_of(source: RowSource, rows: Any, store: Change) -> Preprocessing:
    """Return the default preprocessing; ragged parts stay as they are, so that what they are padded with stays 0."""
    x = stored_arrays(source, rows, store)
    for part in ragged_parts(source):
        x[part.name] = np.empty((0, 1), np.bool_)
    return default_preprocessing(x)


def _into_storage(layout: Tree, change: Change | None) -> tuple[Change, list[str]]:
    """Return what makes stored samples of raw ones, and sentences about it."""
    first = layout if change is None else change(layout)
    if is_several(first):
        return (lambda x: map_arrays(_as_given, x if change is None else change(x))), []
    moves = has_channels_first(first.shape)
    notes = []
    if moves:
        notes.append(f"x: channels come first; they are put last: {np.moveaxis(first, 1, -1).shape[1:]}")

    def store(x: Any) -> Any:
        array = x if change is None else change(x)
        array = np.moveaxis(array, 1, -1) if moves else array
        return array if array.dtype == np.uint8 else array.astype(np.float32)

    return store, notes


def _as_given(array: Any) -> Any:
    """Return a part of samples in storage type: bytes and truth values as they are, whole numbers as int32."""
    if array.dtype in (np.uint8, np.bool_):
        return array
    return array.astype(np.int32 if array.dtype.kind in "iu" else np.float32)


def _as_they_are(x: Tree) -> Tree:
    return x


def _check_resolution(samples: Samples, change: Change | None, which: str) -> None:
    """Refuse values that 32-bit floats would round to a handful of steps."""
    rows = np.arange(len(samples.y))
    raw = stored_arrays(samples.source, rows, change or _as_they_are)
    if is_several(raw) or raw.dtype.itemsize <= 2 or raw.dtype.kind == "b" or raw.dtype == np.float32:
        return
    short = stored_arrays(samples.source, rows, lambda x: (change or _as_they_are)(x).astype(np.float32))
    check_resolution(raw, short, which)


def _check_alike(given: dict[str, Samples]) -> None:
    for which, one in given.items():
        if one.source.samples != len(one.y):
            raise DataError(
                f"{which}x has {one.source.samples:,} samples but {which}y has {len(one.y):,}; each needs one"
            )
        shape, known = shape_of(one.source.layout.x), shape_of(given[""].source.layout.x)
        if shape != known:
            raise DataError(f"{which}samples have shape {shape}, training samples {known}; they must agree")
        pairs = zip(arrays_of(one.source.layout.x), arrays_of(given[""].source.layout.x), strict=True)
        for array, other in pairs:
            if array.dtype != other.dtype:
                raise DataError(f"{which}samples are {array.dtype}, training samples {other.dtype}; store both alike")


def check_numbers(x: Tree, first: int) -> Tree:
    """Return the next samples as arrays of finite numbers. Raises `DataError` for others, with the row."""

    def check(array: Any) -> Any:
        if array.dtype.kind not in "biuf":
            raise DataError(
                f"row {first:,} (from 0) holds {array.dtype} such as {str(array.flat[0]) if array.size else ''!s:.40}; "
                "samples are numbers: give a decode function that makes them so"
            )
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                good = np.isfinite(array.astype(np.float32)).reshape(len(array), -1).all(axis=1)
            if not good.all():
                row = int(np.argmin(good))
                raise DataError(
                    f"row {first + row:,} (from 0) holds a value that is missing or beyond 32-bit floats; fix or "
                    "remove that row"
                )
        return array

    return map_arrays(check, x)
