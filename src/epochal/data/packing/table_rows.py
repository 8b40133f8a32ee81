"""A table in a file that is larger than the memory as a data set: its columns in files, then its samples in another.

Every number comes out as `epochal.data.tables.from_table.from_table` makes it of the table in memory: the same code
looks at the columns, one at a time, and encodes rows, a block at a time.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from epochal.data.dataset import Dataset
from epochal.data.load_options import LoadOptions, as_file, as_share
from epochal.data.own_files import part_of
from epochal.data.packing.assembling import Samples, dataset_of
from epochal.data.packing.column_files import ColumnFile, NotNumbers
from epochal.data.packing.frame_blocks import read_frame_blocks
from epochal.data.packing.spool import Spool
from epochal.data.packing.text_blocks import TextColumns, read_text_blocks
from epochal.data.row_source import ArraySource
from epochal.data.split import Split
from epochal.data.splitting import as_fraction, split_rows
from epochal.data.storage import Progress
from epochal.data.tables import frame_reader
from epochal.data.tables.column_encoders import Encoder
from epochal.data.tables.encoding import TableEncoding
from epochal.data.tables.fitting import encoding_of, fit_column, fit_texts
from epochal.data.tables.from_table import (
    about_gone,
    check_roles,
    dropped_columns,
    same_columns,
    table_preprocessing,
    target_values,
    targets_of,
    with_known_targets,
)
from epochal.data.tables.table import Column, ColumnKind, Table
from epochal.data.tables.text_reader import typed_target
from epochal.data.tables.values import to_column
from epochal.data.targets import Meaning, read_targets
from epochal.errors import DataError

LARGE = 64 << 20
"""Bytes of a table's file from which on it is read in blocks."""

_ROWS = 1 << 14  # that are encoded together


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """The columns of a table in files.

    Attributes:
        name: of the table, for messages.
        files: the columns.
        has_header: whether they have names of their own.
        notes: what the user should know of how they were read.
    """

    name: str
    files: tuple[ColumnFile, ...]
    has_header: bool
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [one.name for one in self.files]

    @property
    def empty(self) -> Table:
        """The table without rows, for what is asked of its names."""
        columns = tuple(Column(one.name, "number", np.empty(0)) for one in self.files)
        return Table(self.name, columns, self.has_header)

    def table(self, names: Sequence[str], start: int = 0, stop: int | None = None) -> Table:
        """Read some columns of some rows as a table."""
        columns = tuple(one.column(start, stop) for one in self.files if one.name in names)
        return Table(self.name, columns, self.has_header, place=lambda row: f"row {start + row:,} (from 0)")


def is_streamed(path: Path) -> bool:
    """Return whether a table's file is large."""
    return path.is_file() and path.stat().st_size >= LARGE


def table_of_file(path: Path, options: LoadOptions, place: Path, progress: Progress | None) -> Dataset:
    """Return the data set of a table in a file, kept in files in ``place``. Raises `DataError` as `from_table` does."""
    columns = _read_columns(path, options, place, progress)
    others = {name: as_file(getattr(options, name)) for name in ("test", "validation")}
    rest = {name: part_of(one, options, columns.empty) for name, one in others.items() if one is not None}
    name = path.name.removesuffix(".gz")
    return _data_set(columns, options, rest, name[: name.rindex(".")] or name, place, progress)


def table_of_frames(
    frames: Iterable[Table],
    options: LoadOptions,
    place: Path,
    progress: Progress | None,
    *,
    name: str,
    rest: Mapping[str, Table],
) -> Dataset:
    """Return the data set of a table whose rows come in blocks; ``rest`` are its test and validation rows, if apart."""
    for split in rest:
        if getattr(options, split) is not None:
            raise DataError(f"the data bring their own {split} samples; leave out {split}={getattr(options, split)}")
    columns = _of_frames("the frame", frames, place, progress)
    return _data_set(columns, options, rest, name, place, progress)


def _data_set(
    columns: _Columns,
    options: LoadOptions,
    rest: Mapping[str, Table],
    name: str,
    place: Path,
    progress: Progress | None,
) -> Dataset:
    """Return the data set of columns in files and of other splits in memory."""
    said = options.of_table
    targets = said.targets(columns.names)
    columns.empty.check_names((*targets, *said.features, *said.drop, *said.categorical))
    check_roles(columns.empty, targets, said)

    notes = list(columns.notes)
    kept = _rows_with_targets(columns, targets, notes)
    rest = {key: with_known_targets(same_columns(one, columns.empty), targets, notes) for key, one in rest.items()}
    meaning = _meaning_of(columns, targets, kept, said.task, [targets_of(one, targets) for one in rest.values()])
    is_classes = meaning.classes is not None
    ys = meaning.ys
    if not is_classes:
        tables = (_taken(columns.table(targets), kept), *rest.values())
        ys = [target_values(y, one, targets) for y, one in zip(ys, tables, strict=True)]
        del tables

    # from here on, only the training rows decide
    labels = ys[0] if is_classes else np.zeros(len(kept), np.int32)
    held = {"test": options.held_out, "validation": as_share(options.validation)}
    shares = {
        key: as_fraction(one) for key, one in held.items() if key not in rest and (key, one) != ("validation", None)
    }
    train = split_rows(labels, shares.get("test"), shares.get("validation"), options.seed).train
    dropped = dropped_columns(columns.empty, targets, said)
    encoding = _fit(columns, kept, train, targets, said.categorical, dropped)
    del train
    samples = _encode(columns, encoding, kept, ys[0], place, progress)
    del kept, labels  # from here on, memory holds each row's target and its place in a split
    for (key, one), y in zip(rest.items(), ys[1:], strict=True):
        x = encoding.encode(one)
        held[key] = Samples(ArraySource(Split(x, np.zeros(len(x), np.uint8)), hashlib.sha256(x.data).hexdigest()), y)

    data = dataset_of(
        samples,
        name=name,
        **held,
        seed=options.seed,
        task=None if is_classes else "regression",
        class_names=meaning.classes,
        encoding=encoding,
        notes=(*notes, *filter(None, [meaning.note])),
    )
    return dataclasses.replace(data, preprocessing=table_preprocessing(data.preprocessing, encoding))


# --- columns ----------------------------------------------------------------------------------------------------------


def _read_columns(path: Path, options: LoadOptions, place: Path, progress: Progress | None) -> _Columns:
    """Write a table's columns to files; again, where a column of numbers turns out to be none."""
    texts: list[str] = []
    while True:
        try:
            if path.name.lower().endswith(frame_reader.SUFFIXES):
                if options.encoding or options.no_header:
                    raise DataError(
                        f"{path}: an encoding and a line of names are things of text tables, and this is none"
                    )
                frames = read_frame_blocks(path, options.of_table.categorical)
                return _of_frames(str(path), frames, place, progress)
            return _of_text(path, options, texts, place, progress)
        except NotNumbers as error:
            texts.append(error.name)


def _of_text(path: Path, options: LoadOptions, texts: list[str], place: Path, progress: Progress | None) -> _Columns:
    """Write the columns of a text to files, and let each become what its texts mean."""
    files: list[ColumnFile] = []
    block: TextColumns | None = None
    rows = 0
    for block in read_text_blocks(path, options, texts):
        read = [Column(name, _kind(one), one) for name, one in zip(block.form.names, block.columns, strict=True)]
        if not files:
            files = [ColumnFile(one.name, one.kind, place / f"column-{at}") for at, one in enumerate(read)]
        for file, column in zip(files, read, strict=True):
            file.add(column)
        rows += len(read[0].values)
        if progress is not None:
            progress("rows", rows, rows)
    if block is None or not rows:
        raise DataError(f"{path}: has a line of column names but no rows")

    used = []
    for file in files:
        _become_meant(file, path, block.kept, block.has_decimal_comma)
        # a column without name and values is a separator too many
        if not (file.name in block.form.unnamed and file.missing().all()):
            used.append(file)
    has_header, names = block.form.has_header, block.form.names
    notes = () if has_header else (f"{path.name}: no line of column names; they are called {names[0]} …",)
    return _Columns(str(path), tuple(used), has_header, notes)


def _kind(values: Any) -> ColumnKind:
    return "number" if values.dtype.kind == "f" else "text"


def _become_meant(file: ColumnFile, path: Path, kept: Sequence[str], comma: bool) -> None:
    """Let a column of texts become numbers, truth values or dates, if all of its texts are."""
    if file.kind != "text":
        return
    if file.name in kept:
        file.read_as = "decimal comma" if comma else ""
        return
    try:
        file.become(to_column(file.name, file.known(), decimal_comma=comma))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _of_frames(name: str, frames: Iterable[Table], place: Path, progress: Progress | None) -> _Columns:
    """Write the columns of a table that comes in blocks to files."""
    files: list[ColumnFile] = []
    rows = 0
    for table in frames:
        if not files:
            files = [
                ColumnFile(one.name, one.kind, place / f"column-{at}", one.read_as, one.whole)
                for at, one in enumerate(table.columns)
            ]
        for file, column in zip(files, table.columns, strict=True):
            try:
                file.add(column)
            except NotNumbers:
                raise DataError(f"{name}: column '{file.name}' holds {file.kind}s and other things") from None
        rows += len(table)
        if progress is not None:
            progress("rows", rows, rows)
    if not files:
        raise DataError(f"{name}: has no rows")
    return _Columns(name, tuple(files), has_header=True)


# --- targets and features ---------------------------------------------------------------------------------------------


def _rows_with_targets(columns: _Columns, targets: Sequence[str], notes: list[str]) -> Int64[np.ndarray, " kept"]:
    """Return the rows whose targets are known; that others are left out is said."""
    gone = np.any([one.missing() for one in columns.files if one.name in targets], axis=0)
    if gone.all():
        raise DataError(f"{columns.name}: column '{targets[0]}' has no value at all; name another target (--target)")
    if gone.any():
        notes.append(about_gone(gone, targets, columns.table(targets)))
    return np.flatnonzero(~gone)


def _meaning_of(
    columns: _Columns, targets: Sequence[str], kept: Int64[np.ndarray, " kept"], task: Any, rest: list[Any]
) -> Meaning:
    """Return what the targets mean, those of the other splits in ``rest`` too; of texts, as the different ones do."""
    file = next(one for one in columns.files if one.name == targets[0])
    if len(targets) == 1 and file.kind == "text":
        known = file.known()
        typed = typed_target(Column(file.name, "text", known, file.read_as))
        if typed.kind == "text" and task != "regression":
            meaning = read_targets([known[:-1].astype(str), *rest], task)
            return meaning._replace(ys=[meaning.ys[0][file.numbers()[kept]], *meaning.ys[1:]])
        if typed.kind != "text":
            file.become(typed)
    return read_targets([targets_of(_taken(columns.table(targets), kept), targets), *rest], task)


def _taken(table: Table, kept: Int64[np.ndarray, " kept"]) -> Table:
    """Return these rows of a table; itself where they are all of them, which would be a copy for nothing."""
    return table if len(kept) == len(table) else table.take(kept)


def _fit(
    columns: _Columns,
    kept: Int64[np.ndarray, " kept"],
    train: Int64[np.ndarray, " train"],
    targets: Sequence[str],
    categorical: Sequence[str],
    dropped: Sequence[str],
) -> TableEncoding:
    """Return how to encode the table, as its training rows say; one column is in memory at a time."""
    encoders, left_out = [], dict.fromkeys(dropped, "as asked")
    for file in columns.files:
        if file.name in targets or file.name in dropped:
            continue
        fitted = _fit_one(columns, file, kept, train, asked=file.name in categorical)
        if isinstance(fitted, str):
            left_out[file.name] = fitted
        else:
            encoders.append(fitted)
    return encoding_of(encoders, left_out, columns.name, targets, has_header=columns.has_header)


def _fit_one(
    columns: _Columns,
    file: ColumnFile,
    kept: Int64[np.ndarray, " kept"],
    train: Int64[np.ndarray, " train"],
    *,
    asked: bool,
) -> Encoder | str:
    """Return how to encode a column, or why it is left out; of a column of texts, only the different ones are read."""
    texts = file.texts_as_meant(asked=asked)
    if texts is not None:
        nothing = Table(columns.name, (), columns.has_header, place=lambda row: f"row {int(kept[row]):,} (from 0)")
        numbers = texts.numbers if len(kept) == len(texts.numbers) else texts.numbers[kept]
        return fit_texts(texts._replace(numbers=numbers), train, asked=asked, table=nothing)
    table = _taken(columns.table([file.name]), kept)
    return fit_column(table.columns[0], train, asked=asked, table=table)


def _encode(
    columns: _Columns,
    encoding: TableEncoding,
    kept: Int64[np.ndarray, " kept"],
    y: Any,
    place: Path,
    progress: Progress | None,
) -> Samples:
    """Write the samples of the rows that are kept to a file."""
    with Spool(place / "samples", len(kept)) as spool:
        for start, stop in _blocks(columns.files[0].rows):
            table = columns.table(encoding.names, start, stop)
            chosen = kept[np.searchsorted(kept, start) : np.searchsorted(kept, stop)] - start
            if len(chosen):
                spool.add(encoding.encode(table.take(chosen)))
            if progress is not None:
                progress("samples", spool.taken, len(kept))
    return Samples(spool.source(), y)


def _blocks(rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, _ROWS):
        yield start, min(start + _ROWS, rows)
