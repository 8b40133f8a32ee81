"""Parquet and Arrow files that are larger than the memory, in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from epochal.data.tables.frame_reader import read_frame
from epochal.data.tables.table import Table
from epochal.errors import DataError

ROWS = 1 << 16
"""Rows that are read together."""


def read_frame_blocks(path: Path, as_text: Sequence[str]) -> Iterator[Table]:
    """Yield the rows of a Parquet or Arrow file as tables; ``as_text`` are columns whose values are taken as texts.

    Raises `DataError` where it is damaged, or neither PyArrow nor Polars is installed.
    """
    is_parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        for frame in _frames(path, is_parquet):
            yield read_frame(frame, str(path), as_text_columns=as_text)
    except DataError:
        raise
    except Exception as error:  # every library has its own kinds
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: damaged, or no {'Parquet' if is_parquet else 'Arrow'} file ({reason})") from error


def _frames(path: Path, is_parquet: bool) -> Iterator[Any]:
    """Yield the file's frames, by the library that reads it in the smallest pieces."""
    if find_spec("pyarrow") is not None:
        import pyarrow as pa

        yield from (pa.Table.from_batches([one]) for one in _batches(path, is_parquet) if len(one))
        return
    if find_spec("polars") is None:
        raise DataError(f"{path}: Parquet and Arrow files need Polars: pip install 'epochal[tables]'")
    import polars as pl

    lazy = pl.scan_parquet(path) if is_parquet else pl.scan_ipc(path)
    start = 0
    while len(frame := lazy.slice(start, ROWS).collect()):
        yield frame
        start += len(frame)


def _batches(path: Path, is_parquet: bool) -> Iterator[Any]:
    import pyarrow as pa

    if is_parquet:
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=ROWS)
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
