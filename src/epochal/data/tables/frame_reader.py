"""Data frames of any library, through narwhals, and the files that hold one: Parquet and Arrow (Feather)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from numbers import Number as AnyNumber
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped

from epochal.data.npy_arrays import SMALL
from epochal.data.quiet_errors import errors_silenced
from epochal.data.tables.table import CATEGORY, Column, Table
from epochal.data.tables.values import as_text
from epochal.errors import DataError, brief
from epochal.files import open_regular

SUFFIXES = (".parquet", ".pq", ".feather", ".arrow", ".ipc")

_CELL, _HIGHEST_RATIO = 8, 1_000  # bytes of a value, and how far a Parquet file packs the same one again and again
_LIBRARIES = ("pandas", "polars", "pyarrow", "duckdb", "_duckdb", "modin", "cudf", "narwhals", "ibis", "dask")


def is_frame(value: Any) -> bool:
    """Return whether a value is a data frame of a library that narwhals knows; none is imported for that."""
    kind = type(value)
    named = kind.__module__.partition(".")[0] in _LIBRARIES
    return named and (hasattr(kind, "columns") or hasattr(kind, "column_names"))


def read_frame_file(path: Path, *, as_text_columns: Sequence[str] = ()) -> Table:
    """Return the table in a Parquet or Arrow file.

    Raises `DataError` where it is damaged, or neither Polars nor PyArrow is installed.
    """
    is_parquet = path.suffix.lower() in (".parquet", ".pq")

    def refusal(why: str) -> DataError:
        return DataError(f"{path}: damaged, or no {'Parquet' if is_parquet else 'Arrow'} file ({why})")

    with library_errors(refusal):
        with open_regular(path) as file:
            # a Parquet file may say numbers of values at which Polars ends the process; PyArrow refuses them
            installed = {name for name in ("polars", "pyarrow") if find_spec(name) is not None}
            if not installed:
                raise DataError(f"{path}: Parquet and Arrow files need Polars: pip install 'epochal[tables]'")
            if "polars" not in installed or (is_parquet and "pyarrow" in installed):
                frame = _with_arrow(file, is_parquet=is_parquet)
            else:
                frame = _with_polars(file, is_parquet=is_parquet)
        return read_frame(frame, str(path), as_text_columns=as_text_columns)


@contextmanager
def library_errors(refusal: Callable[[str], DataError]) -> Iterator[None]:
    """Turn whatever another library raises into the error that this makes of its words.

    What Polars calls a panic is no `Exception`, and writes lines of its own to standard error, which go nowhere here.
    """
    try:
        with errors_silenced:
            yield
    except DataError:
        raise
    except BaseException as error:  # every library has its own kinds
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise refusal(brief(error)) from error


def _with_polars(file: IO[bytes], *, is_parquet: bool) -> Any:
    import polars as pl

    if not is_parquet:
        return _read_arrow(file)
    rows, columns = pl.scan_parquet(file).select(pl.len()).collect().item(), len(pl.read_parquet_schema(file))
    _refuse_swollen(rows, columns, file)
    file.seek(0)
    return pl.read_parquet(file)


def _with_arrow(file: IO[bytes], *, is_parquet: bool) -> Any:
    from pyarrow import feather, parquet

    if not is_parquet:
        return feather.read_table(file)
    about = parquet.ParquetFile(file).metadata
    _refuse_swollen(about.num_rows, about.num_columns, file)
    file.seek(0)
    return parquet.read_table(file)


def _refuse_swollen(rows: int, columns: int, file: IO[bytes]) -> None:
    """Raise `DataError` for a table of far more values than its file explains: one value, said a billion times."""
    size = file.seek(0, os.SEEK_END)
    if rows * columns * _CELL > max(SMALL, _HIGHEST_RATIO * size):
        raise DataError(
            f"{file.name}: {size:,} bytes say that they are {rows:,} rows of {columns:,} columns; use a part of it"
        )


def _read_arrow(file: Any) -> Any:
    import polars as pl

    try:
        return pl.read_ipc(file)
    except pl.exceptions.PolarsError:
        file.seek(0)
        return pl.read_ipc_stream(file)


def read_frame(frame: Any, name: str = "the frame", *, as_text_columns: Sequence[str] = ()) -> Table:
    """Return a frame of any library as a table.

    Args:
        frame: of pandas, Polars, PyArrow, DuckDB or another library that narwhals knows; a lazy one is collected.
        name: for messages.
        as_text_columns: columns whose values are taken as texts.

    Raises:
        DataError: for columns of other things than numbers, truth values, texts and dates.
    """
    import narwhals as nw

    with library_errors(lambda why: DataError(f"{name}: cannot be read as a frame ({why})")):
        wrapped = nw.from_native(frame)
        whole: nw.DataFrame[Any] = wrapped.collect() if isinstance(wrapped, nw.LazyFrame) else wrapped
        names = [str(column) for column in whole.columns]

    repeated = next((column for column in names if names.count(column) > 1), None)
    if repeated is not None:
        raise DataError(f"{name}: two columns are named '{repeated}'; give each its own name")
    if not names:
        raise DataError(f"{name}: has no columns")
    if not len(whole):
        raise DataError(f"{name}: has no rows")

    columns = []
    for own, column in zip(whole.columns, names, strict=True):
        read = _read_column(whole[own], column, name)
        columns.append(as_text(read) if column in as_text_columns else read)
    return Table(name, tuple(columns))


def _read_column(series: Any, name: str, frame: str) -> Column:
    """Return a series as a column."""
    with library_errors(lambda why: DataError(f"{frame}: column '{name}' cannot be read ({why})")):
        return _typed_column(series, name, frame)


def _typed_column(series: Any, name: str, frame: str) -> Column:
    """Return a series as a column of what it holds."""
    import narwhals as nw

    kind = series.dtype
    if kind.is_numeric():
        values = np.asarray(series.cast(nw.Float64).to_numpy(), np.float64)
        return Column(name, "number", values, whole=kind.is_integer())
    if kind == nw.Boolean:
        return Column(name, "boolean", _floats(series.to_list()))
    if kind in (nw.Datetime, nw.Date):
        dates = series.cast(nw.Datetime("us")) if kind == nw.Date else series.dt.replace_time_zone(None)
        return Column(name, "date", np.asarray(dates.to_numpy()).astype("datetime64[s]"))
    if kind == nw.Duration:
        return Column(name, "number", _floats(series.dt.total_seconds().to_list()))

    if kind in (nw.String, nw.Categorical, nw.Enum):
        texts = _texts(series.cast(nw.String).to_list())
        return Column(name, "text", texts, "" if kind == nw.String else CATEGORY)
    return read_objects(series.to_list(), name, frame)


def read_objects(values: Sequence[Any], name: str, source: str) -> Column:
    """Return a column of Python objects, all of them numbers, truth values, texts or dates, or missing.

    Raises `DataError` for other things, and for a mixture, with the row.
    """
    missing = [_is_missing(value) for value in values]
    known = [(row, value) for row, (value, gone) in enumerate(zip(values, missing, strict=True)) if not gone]
    kinds = {row: _kind_of(value) for row, value in known}

    odd = next((row for row, kind in kinds.items() if kind == "thing"), None)
    if odd is not None:
        raise DataError(
            f"{source}: row {odd} (from 0), column '{name}' holds {values[odd]!r:.40} ({type(values[odd]).__name__}); "
            "give numbers, texts or dates"
        )
    if len(set(kinds.values())) > 1:
        first, other = known[0][0], next(row for row, kind in kinds.items() if kind != kinds[known[0][0]])
        text = next(row for row in (first, other) if kinds[row] == "text") if "text" in kinds.values() else other
        raise DataError(
            f"{source}: column '{name}' mixes kinds: row {first} (from 0) holds {values[first]!r:.40}, row {other} "
            f"{values[other]!r:.40}; fix {values[text]!r:.40} or make all of them texts"
        )

    kind = next(iter(kinds.values()), "number")
    plain = [None if gone else value for value, gone in zip(values, missing, strict=True)]
    if kind == "text":
        return Column(name, "text", _texts(plain))
    if kind == "date":
        dates = np.array(["NaT" if value is None else str(value)[:19] for value in plain], "datetime64[s]")
        return Column(name, "date", dates)
    whole = all(isinstance(value, (int, np.integer)) for _, value in known)
    return Column(name, "boolean" if kind == "truth" else "number", _floats(plain), whole=whole)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return False


def _kind_of(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "truth"
    if isinstance(value, str):
        return "text"
    if (isinstance(value, AnyNumber) and not isinstance(value, complex)) or type(value).__name__ == "Decimal":
        return "number"
    return "date" if hasattr(value, "year") and hasattr(value, "month") and hasattr(value, "day") else "thing"


def _floats(values: Sequence[Any]) -> Shaped[np.ndarray, " n"]:
    return np.array([np.nan if _is_missing(value) else float(value) for value in values], np.float64)


def _texts(values: Sequence[Any]) -> Shaped[np.ndarray, " n"]:
    texts = np.empty(len(values), object)
    texts[:] = [None if value is None or value != value else str(value) for value in values]
    return texts
