"""A history's tables as columns: for CSV, Parquet, pandas and Polars. The last two are optional packages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from epochal.csv_cells import csv_text
from epochal.errors import OptionError, RunError, brief, unknown_name
from epochal.gradient_noise import LargeGradient, NoiseBlock
from epochal.record.rows import EpochRow, EvaluationRow, EventRow, SessionRow

Columns: TypeAlias = Mapping[str, list[Any] | np.ndarray]


@runtime_checkable
class Recorded(Protocol):
    """What is turned into tables: a `epochal.record.history.History`."""

    @property
    def losses(self) -> np.ndarray:
        """Each iteration's."""

    @property
    def epochs(self) -> tuple[EpochRow, ...]:
        """A row for each."""

    @property
    def evaluations(self) -> tuple[EvaluationRow, ...]:
        """Of any split."""

    @property
    def sessions(self) -> tuple[SessionRow, ...]:
        """A row for each process."""

    @property
    def events(self) -> tuple[EventRow, ...]:
        """What happened."""

    @property
    def noise(self) -> tuple[NoiseBlock, ...]:
        """What was measured of the gradients' noise."""

    @property
    def gradients(self) -> tuple[LargeGradient, ...]:
        """Of many samples, at evaluations."""


TABLES = ("iterations", "epochs", "metrics", "sessions", "events", "noise", "gradients")
_ROWS: dict[str, type] = {
    "epochs": EpochRow,
    "sessions": SessionRow,
    "events": EventRow,
    "gradients": LargeGradient,
}


def columns_of(history: Recorded, table: str = "iterations") -> Columns:
    """Return a table of the history as columns of equal length.

    ``iterations`` has a row for each: its number and its epoch's, both from 1, and the mean loss of its batch before
    the update. The others are the history's own. Raises `OptionError` for an unknown table.
    """
    if table == "iterations":
        return _iterations(history)
    if table == "metrics":
        return _metrics(history)
    if table == "noise":
        return _noise(history)
    if table not in _ROWS:
        raise OptionError(unknown_name("table", table, TABLES))

    rows = getattr(history, table)
    columns = {item.name: [getattr(row, item.name) for row in rows] for item in fields(_ROWS[table])}
    if "detail" in columns:
        columns["detail"] = [json.dumps(detail, ensure_ascii=False) for detail in columns["detail"]]

    if table == "epochs":
        del columns["test"]
        names = dict.fromkeys(["loss", *(name for row in rows for name in row.test)])
        columns |= {f"test_{name}": [row.test.get(name) for row in rows] for name in names}
    return columns


def _metrics(history: Recorded) -> Columns:
    """Return a row for each value of each evaluation."""
    rows = [
        (one.iteration, one.split, metric, value, one.samples)
        for one in history.evaluations
        for metric, value in one.metrics.items()
    ]
    names = ("iteration", "split", "metric", "value", "samples")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _noise(history: Recorded) -> Columns:
    """Return a row for each measured iteration."""
    rows = [
        (block.first + number * block.every, block.samples, *map(float, sums))
        for block in history.noise
        for number, sums in enumerate(block.sums)
    ]
    names = ("iteration", "samples", "difference_square", "mean_square")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _iterations(history: Recorded) -> Columns:
    losses = history.losses
    ends = [row.end_iteration for row in history.epochs if row.complete]
    numbers = np.arange(1, losses.size + 1)
    return {"iteration": numbers, "epoch": np.searchsorted(ends, numbers) + 1, "loss": losses}


def to_pandas(history: Recorded, table: str = "iterations") -> Any:
    """Return a table as a `pandas.DataFrame`. Raises `OptionError` where pandas is not installed."""
    return _optional("pandas").DataFrame(columns_of(history, table))


def to_polars(history: Recorded, table: str = "iterations") -> Any:
    """Return a table as a `polars.DataFrame`. Raises `OptionError` where Polars is not installed."""
    return _optional("polars").DataFrame(columns_of(history, table), nan_to_null=False)


def csv_blocks(history: Recorded, table: str) -> Iterator[str]:
    """Return a table as CSV in blocks of lines, the names first.

    Losses have as many digits as tell them apart from any other.
    """
    columns = columns_of(history, table)
    rows = zip(*(_values(column) for column in columns.values()), strict=True)
    block: list[Any] = [tuple(columns)]
    while block:
        yield csv_text(block)
        block = list(islice(rows, 10_000))


def _values(column: Any) -> Any:
    """Return values that print shortest: a float32 does as itself, not as the float64 of the same value."""
    return map(str, column) if isinstance(column, np.ndarray) and column.dtype.kind == "f" else column


def write_parquet(history: Recorded, table: str, path: Path) -> None:
    """Write a table as a Parquet file. Raises `OptionError` where Polars is not installed, `RunError` for no file."""
    frame = to_polars(history, table)
    try:
        frame.write_parquet(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    except Exception as error:  # Polars has kinds of its own
        raise RunError(f"cannot write {path}: {brief(error)}") from error


def _optional(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError:
        raise OptionError(f"this needs the package {package}, which is not installed: pip install {package}") from None
