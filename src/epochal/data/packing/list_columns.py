"""Parquet and Arrow files with columns of lists, such as the tokens of a text in each row."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Shaped

from epochal.data.dataset import Dataset
from epochal.data.load_options import LoadOptions, as_file
from epochal.data.packing.assembling import dataset_of
from epochal.data.packing.frame_blocks import read_batches, read_schema
from epochal.data.packing.picture_rows import held_out
from epochal.data.packing.python_rows import spool_splits
from epochal.data.storage import Progress
from epochal.data.tables import frame_reader
from epochal.errors import DataError, unknown_name

Column: TypeAlias = Any
"""An array of PyArrow."""


def has_lists(path: Path, options: LoadOptions) -> bool:
    """Return whether a file is Parquet or Arrow, and a column that is used holds a list in each row."""
    if not path.name.lower().endswith(frame_reader.SUFFIXES) or not path.is_file() or find_spec("pyarrow") is None:
        return False
    said = options.of_table
    return any(
        _is_list(field.type) and field.name not in said.drop and (not said.features or field.name in said.features)
        for field in read_schema(path)
    )


def lists_of_file(
    path: Path, options: LoadOptions, place: Path, length: int | None, progress: Progress | None
) -> Dataset:
    """Return the data set of a file with columns of lists, kept in files in ``place``.

    A sample is the column of lists, or where there are more columns beside the target, a dictionary of them: lists and
    numbers. Raises `DataError` for columns of other things, and what `spool_splits` raises.
    """
    if options.no_header or options.encoding or options.categorical:
        raise DataError(f"{path}: has columns of lists; give no encoding, line of names or categories with them")
    files = {"train": path}
    for name in ("test", "validation"):
        other = as_file(getattr(options, name))
        if other is not None:
            files[name] = other
    names = _names(path, options)
    splits = {name: _rows(file, *names) for name, file in files.items()}
    samples = spool_splits(splits, place, length=length, progress=progress)

    rest: dict[str, Any] = {name: None if name in files else getattr(options, name) for name in ("test", "validation")}
    held = held_out(samples, dataclasses.replace(options, **rest), str(path))
    return dataset_of(samples["train"], name=path.stem, seed=options.seed, task=options.task, **held)


def _names(path: Path, options: LoadOptions) -> tuple[list[str], str]:
    """Return the names of the columns of samples, and of the target."""
    schema = read_schema(path)
    names = list(schema.names)
    said = options.of_table
    targets = said.targets(names)
    for name in (*targets, *said.features, *said.drop):
        if name not in names:
            raise DataError(f"{path}: {unknown_name('column', name, names)}")
    if len(targets) > 1:
        raise DataError(f"{path}: has columns of lists, with which one target goes, and not {', '.join(targets)}")
    used = [name for name in said.features or names if name not in said.drop and name != targets[0]]
    for name in used:
        kind = schema.field(name).type
        if not _is_list(kind) and not _is_number(kind):
            raise DataError(
                f"{path}: column '{name}' holds {kind}; beside lists, numbers and truth values are taken: leave it out "
                f"(--drop '{name}'), or name it as the target (--target)"
            )
    return used, targets[0]


def _rows(path: Path, names: list[str], target: str) -> Iterator[tuple[Any, Any]]:
    """Yield the samples and targets of a file's rows."""
    start = 0
    for batch in read_batches(path):
        for name in (*names, target):
            if name not in batch.schema.names:
                raise DataError(f"{path}: {unknown_name('column', name, list(batch.schema.names))}")
        columns = {name: _values(batch.column(name), path, name, start) for name in names}
        ys = _targets(batch.column(target), path, target, start)
        for row, y in enumerate(ys):
            parts = {name: column(row) for name, column in columns.items()}
            yield parts[names[0]] if len(names) == 1 else parts, y
        start += len(batch)


def _values(column: Column, path: Path, name: str, start: int) -> Any:
    """Return a function that gives a column's value in a row: an array."""
    if column.null_count:
        row = start + _first_null(column)
        raise DataError(f"{path}: column '{name}' has no value in row {row:,} (from 0); fill it or leave it out")
    if not _is_list(column.type):
        numbers = column.to_numpy(zero_copy_only=False)
        return lambda row: numbers[row]
    flat = column.flatten()
    if flat.null_count:
        raise DataError(
            f"{path}: column '{name}' holds lists with missing values, near row {start:,} (from 0); fill or remove them"
        )
    if _is_list(flat.type) or not _is_number(flat.type):
        raise DataError(f"{path}: column '{name}' holds lists of {flat.type}; lists of numbers are taken")
    values: Shaped[np.ndarray, " values"] = flat.to_numpy(zero_copy_only=False)
    import pyarrow.compute as pc

    sizes = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return lambda row: values[ends[row] : ends[row + 1]]


def _targets(column: Column, path: Path, name: str, start: int) -> list[Any]:
    """Return the targets of some rows."""
    if column.null_count:
        raise DataError(
            f"{path}: column '{name}' has no value in row {start + _first_null(column):,} (from 0); fill or remove it"
        )
    if _is_list(column.type):
        raise DataError(f"{path}: column '{name}' holds lists, which are no target; name another one (--target)")
    return list(column.to_pylist())


def _first_null(column: Column) -> int:
    return int(np.argmax(np.asarray(column.is_null())))


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))
