"""From a table to a data set: target and features, the split, and what is fitted on the training rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Shaped

from epochal.config.train_config import Task
from epochal.data.dataset import Dataset, Preprocessing
from epochal.data.split import Split
from epochal.data.splitting import Fold, as_fraction, default_preprocessing, scaling_of, split_rows
from epochal.data.tables.encoding import TableEncoding
from epochal.data.tables.fitting import fit_encoding
from epochal.data.tables.table import Column, Table
from epochal.data.tables.text_reader import typed_target
from epochal.data.targets import class_numbers, read_targets
from epochal.data.trees import frozen
from epochal.errors import DataError

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What the user says of a table.

    Attributes:
        target: the target column, or several.
        features: the columns to use; all others where empty.
        drop: columns to leave out.
        categorical: columns whose values are categories, even if they are numbers.
        task: what the targets are.
    """

    target: str | Sequence[str] | None = None
    features: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    task: Task | None = None

    def targets(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the target columns among the names of a table: those that are named, or the last."""
        if self.target is None:
            left = [name for name in names if name not in self.drop and name not in self.features]
            return (left[-1] if left else names[-1],)
        if not isinstance(self.target, str):
            return tuple(self.target)
        # a name may hold a comma; where none does, commas stand between several
        return (self.target,) if self.target in names or "," not in self.target else tuple(self.target.split(","))

    @property
    def kept_as_text(self) -> tuple[str, ...] | None:
        """The columns whose texts must be kept as they are; ``None`` for the last."""
        if self.target is None:
            return None if not (self.categorical or self.drop or self.features) else ()
        targets = [self.target, *self.target.split(",")] if isinstance(self.target, str) else self.target
        return (*targets, *self.categorical)


def from_table(
    table: Table,
    options: TableOptions,
    *,
    name: str,
    seed: int = 0,
    test: Table | float | Fraction | Fold | None = None,
    validation: Table | float | Fraction | None = None,
) -> Dataset:
    """Return the data set of a table.

    Args:
        table: all of it, or the training rows where ``test`` is a table.
        options: what the user says of its columns.
        name: of the data set.
        seed: of the split.
        test: the test rows, or their share. Default: 0.2.
        validation: the validation rows, or their share of the training rows. Default: none.

    Raises:
        DataError: for columns that do not exist, and values that cannot be taken, with row and column.
    """
    targets = options.targets(table.names)
    table.check_names((*targets, *options.features, *options.drop, *options.categorical))
    check_roles(table, targets, options)

    notes = list(table.notes)
    table = with_known_targets(table, targets, notes)
    rest = [one for one in (test, validation) if isinstance(one, Table)]
    rest = [with_known_targets(same_columns(one, table), targets, notes) for one in rest]

    meaning = read_targets([targets_of(one, targets) for one in (table, *rest)], options.task)
    is_classes = meaning.classes is not None
    train_y = meaning.ys[0] if is_classes else np.zeros(len(table), np.int32)
    train, held_out, validating = split_rows(
        train_y,
        None if isinstance(test, Table) else as_fraction(test),
        None if isinstance(validation, Table) or validation is None else as_fraction(validation),
        seed,
    )

    # from here on, only the training rows decide
    dropped = dropped_columns(table, targets, options)
    encoding = fit_encoding(table, train, targets=targets, categorical=options.categorical, dropped=dropped)
    samples = [encoding.encode(one) for one in (table, *rest)]
    ys = [
        y if is_classes else target_values(y, one, targets) for y, one in zip(meaning.ys, (table, *rest), strict=True)
    ]

    def part(rows: Int[np.ndarray, " rows"] | None, number: int) -> Split:
        x, y = (samples[0], ys[0]) if rows is not None else (samples[number], ys[number])
        return Split(frozen(x if rows is None else x[rows]), frozen(y if rows is None else y[rows]))

    split = part(train, 0)
    return Dataset(
        name,
        split,
        part(held_out, 1),
        table_preprocessing(default_preprocessing(split.x), encoding),
        meaning.classes,
        None if validation is None else part(validating, len(rest)),
        None if is_classes else scaling_of(split.y),
        encoding,
        (*notes, *filter(None, [meaning.note])),
    )


def new_samples(table: Table, encoding: TableEncoding) -> tuple[Shaped[np.ndarray, "n width"], list[str]]:
    """Return the samples of a new table, by the encoding of a training, and sentences about what differs.

    Raises `DataError` for a missing column, and for values that cannot be taken.
    """
    chosen, notes = encoding.match(table)
    return encoding.encode(chosen), [*notes, *encoding.unknown(chosen)]


def new_targets(
    table: Table, encoding: TableEncoding, class_names: Sequence[str] | None, shape: tuple[int, ...]
) -> Shaped[np.ndarray, "n *target"]:
    """Return the targets of a new table. Raises `DataError` where it has none, or others than training had."""
    absent = [name for name in encoding.targets if name not in table.names]
    if absent:
        raise DataError(f"{table.name}: has no target column '{absent[0]}' to compare predictions with")
    for name in encoding.targets:
        gone = table.column(name).missing
        if gone.any():
            raise DataError(f"{table.name}: {table.place(int(np.argmax(gone)))} has no '{name}' to compare with")
    y = targets_of(table, encoding.targets, texts=class_names is not None)
    if class_names is not None:
        return class_numbers(y, class_names)
    return target_values(y, table, encoding.targets).reshape(len(table), *shape)


def check_roles(table: Table, targets: Sequence[str], options: TableOptions) -> None:
    """Raise `DataError` where a column is named as two things, or nothing is left beside the target."""
    for name in targets:
        if name in options.drop or name in options.features:
            where = "--drop" if name in options.drop else "--features"
            raise DataError(f"{table.name}: column '{name}' is the target, and named with {where}; it can be one thing")
    if len(table.columns) <= len(targets):
        raise DataError(f"{table.name}: its columns are {', '.join(table.names)}; features and a target are needed")


def dropped_columns(table: Table, targets: Sequence[str], options: TableOptions) -> list[str]:
    """Return the columns that are left out because the user says so."""
    unused = [name for name in table.names if options.features and name not in (*options.features, *targets)]
    return [name for name in table.names if name in options.drop or name in unused]


def same_columns(other: Table, table: Table) -> Table:
    """Return another table with the columns of the first."""
    absent = [name for name in table.names if name not in other.names]
    if absent:
        raise DataError(f"{other.name}: has no column '{absent[0]}', which {table.name} has")
    return other.select(table.names)


def with_known_targets(table: Table, targets: Sequence[str], notes: list[str]) -> Table:
    """Return the rows whose targets are known; the others cannot train or test anything, which is said."""
    gone = np.any([table.column(name).missing for name in targets], axis=0)
    if not gone.any():
        return table
    if gone.all():
        raise DataError(f"{table.name}: column '{targets[0]}' has no value at all; name another target (--target)")
    notes.append(about_gone(gone, targets, table))
    return table.take(np.flatnonzero(~gone))


def about_gone(gone: Bool[np.ndarray, " n"], targets: Sequence[str], table: Table) -> str:
    """Return the sentence about rows without a target."""
    places = [table.place(int(row)) for row in np.flatnonzero(gone)[:_SHOWN]]
    more = " …" if gone.sum() > _SHOWN else ""
    what = "row has" if gone.sum() == 1 else "rows have"
    return f"{int(gone.sum()):,} {what} no '{targets[0]}' and cannot be used: {', '.join(places)}{more}"


def targets_of(table: Table, targets: Sequence[str], *, texts: bool = False) -> Shaped[np.ndarray, "n *target"]:
    """Return the targets as an array of texts, whole numbers or floats."""
    columns = [table.column(name) if texts else typed_target(table.column(name)) for name in targets]
    arrays = [_plain(column, table) for column in columns]
    if len(arrays) == 1:
        return arrays[0]
    for column, array in zip(columns, arrays, strict=True):
        if array.dtype.kind == "U":
            raise DataError(f"{table.name}: several targets must be numbers, but '{column.name}' holds texts")
    return np.stack([array.astype(np.float64) for array in arrays], axis=1)


def _plain(column: Column, table: Table) -> Shaped[np.ndarray, " n"]:
    if column.kind == "text":
        return column.values.astype(str)
    if column.kind == "date":
        raise DataError(f"{table.name}: the target '{column.name}' is a date; make it a number, such as days")
    if column.kind == "boolean":
        return np.where(column.values == 1, "true", "false")
    return column.values.astype(np.int64) if column.whole else column.values


def target_values(y: Any, table: Table, targets: Sequence[str]) -> Shaped[np.ndarray, "n *target"]:
    """Return a regression's targets as float32. Raises `DataError` for texts and what is not finite, with the row."""
    if y.dtype.kind == "U":
        raise DataError(f"{table.name}: the target '{targets[0]}' holds texts such as '{y[0]:.40}', and no numbers")
    with np.errstate(over="ignore"):
        short = y.astype(np.float32)
    good = np.isfinite(short).reshape(len(short), -1).all(axis=1)
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(f"{table.name}: {table.place(row)}: target {y[row]} is not finite, or beyond 32-bit floats")
    values: Shaped[np.ndarray, "n *target"] = short
    return values


def table_preprocessing(default: Preprocessing, encoding: TableEncoding) -> Preprocessing:
    """Return shift and scale of the numbers that are quantities; zeros and ones stay as they are."""
    scaled = encoding.scaled
    return Preprocessing.of(np.where(scaled, default.shift, 0), np.where(scaled, default.scale, 1))
