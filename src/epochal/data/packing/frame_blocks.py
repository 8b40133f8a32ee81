"""Parquet and Arrow files that are larger than the memory, in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from epochal.data.tables.frame_reader import read_frame, refuse_swollen
from epochal.data.tables.table import Table
from epochal.errors import DataError
from epochal.files import open_regular

ROWS = 1 << 16
"""Rows that are read together."""


def read_frame_blocks(path: Path, as_text: Sequence[str]) -> Iterator[Table]:
    """Yield the rows of a Parquet or Arrow file as tables; ``as_text`` are columns whose values are taken as texts.

    Raises `DataError` where it is damaged, or neither PyArrow nor Polars is installed.
    """
    with _naming(path):
        _check_file(path)
        for frame in _frames(path):
            yield read_frame(frame, str(path), as_text_columns=as_text)


def read_batches(path: Path) -> Iterator[Any]:
    """Yield the rows of a Parquet or Arrow file as PyArrow's batches. Raises `DataError` where it is damaged."""
    with _naming(path):
        _check_file(path)
        yield from (one for one in _batches(path) if len(one))


def read_schema(path: Path) -> Any:
    """Return the PyArrow schema of a Parquet or Arrow file. Raises `DataError` where it is damaged."""
    import pyarrow as pa

    with _naming(path):
        _check_file(path)
        if _is_parquet(path):
            from pyarrow import parquet

            return parquet.read_schema(path)
        with pa.OSFile(str(path)) as source:
            try:
                return pa.ipc.open_file(source).schema
            except pa.ArrowInvalid:
                source.seek(0)
                return pa.ipc.open_stream(source).schema


def _check_file(path: Path) -> None:
    """Raise `DataError` for what is no file, and for a Parquet file of far more values than its size explains."""
    with open_regular(path) as file:
        if not _is_parquet(path):
            return
        if find_spec("pyarrow") is not None:
            from pyarrow import parquet

            about = parquet.ParquetFile(file).metadata
            groups = [about.row_group(number) for number in range(about.num_row_groups)]
            values = sum(one.column(at).num_values for one in groups for at in range(one.num_columns))
            refuse_swollen(about.num_rows, about.num_columns, file, values)
        elif find_spec("polars") is not None:
            import polars as pl

            rows, columns = pl.scan_parquet(file).select(pl.len()).collect().item(), len(pl.read_parquet_schema(file))
            refuse_swollen(rows, columns, file)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn whatever a library raises into a `DataError` with the file's name."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # every library has its own kinds
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"{path}: damaged, or no {'Parquet' if _is_parquet(path) else 'Arrow'} file ({reason})"
        ) from error


def _frames(path: Path) -> Iterator[Any]:
    """Yield the file's frames, by the library that reads it in the smallest pieces."""
    if find_spec("pyarrow") is not None:
        import pyarrow as pa

        yield from (pa.Table.from_batches([one]) for one in _batches(path) if len(one))
        return
    if find_spec("polars") is None:
        raise DataError(f"{path}: Parquet and Arrow files need Polars: pip install 'epochal[tables]'")
    import polars as pl

    lazy = pl.scan_parquet(path) if _is_parquet(path) else pl.scan_ipc(path)
    start = 0
    while len(frame := lazy.slice(start, ROWS).collect()):
        yield frame
        start += len(frame)


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa

    if _is_parquet(path):
        from pyarrow import parquet

        # read ahead and across groups, a library keeps what it read until the end of the file
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            for group in range(file.num_row_groups):
                yield from file.iter_batches(ROWS, row_groups=[group])
        return
    with pa.OSFile(str(path)) as source:
        try:
            reader = pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            yield from pa.ipc.open_stream(source)
            return
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
