"""ArrayRecord files: one record for each sample, found by its number.

Without a decode function a record is what `numpy.savez` writes: an archive with the arrays ``x`` and ``y``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from epochal.data.npy_arrays import NoArrayError, read_members
from epochal.errors import DataError
from epochal.files import open_regular

SUFFIXES = (".array_record", ".arrayrecord")
_AT_ONCE = 256
_NO_THREADS = "readahead_buffer_size:0,max_parallelism:0"
"""Records are asked for in order, a few at a time: threads that read ahead take 6 ms to start for each file."""


def find_records(path: Path) -> list[Path]:
    """Return a file of records, or those of a folder, sorted; none where it holds no such files."""
    if path.is_dir():
        return sorted(one for one in path.iterdir() if _is_records(one))
    return [path] if _is_records(path) and path.is_file() else []


def _is_records(path: Path) -> bool:
    """Return whether a file's name is that of records; those of TFDS end like ``.array_record-00000-of-00008``."""
    return any(ending in path.name for ending in SUFFIXES)


def count_records(paths: list[Path]) -> int:
    """Return how many records the files have. Raises `DataError` for those that are none."""
    return sum(int(_opened(path).num_records()) for path in paths)


def read_records(paths: list[Path]) -> Iterator[bytes]:
    """Yield the records of files, one file after the other. Raises `DataError` for damaged ones, with the file."""
    for path in paths:
        reader = _opened(path)
        count = int(reader.num_records())
        for start in range(0, count, _AT_ONCE):
            stop = min(start + _AT_ONCE, count)
            try:
                yield from reader.read(list(range(start, stop)))
            except Exception as error:  # its library raises plain RuntimeErrors, and others
                reason = " ".join(str(error).split())[:100]
                raise DataError(
                    f"{path}: damaged among the records {start:,} to {stop:,} ({reason}); get it again"
                ) from error


def decode_arrays(record: bytes) -> tuple[Any, Any]:
    """Return the sample and the target in a record that `numpy.savez` wrote. Raises `DataError` for any other."""
    try:
        arrays = read_members(io.BytesIO(record))
        return arrays["x"], arrays["y"]
    except (OSError, KeyError, NoArrayError, MemoryError) as error:
        raise DataError(
            "a record is no archive of numpy.savez with x and y; pack it from Python with a decode function: "
            "epochal.pack(source, folder, decode=…), which takes the bytes and returns (x, y)"
        ) from error


def _opened(path: Path) -> Any:
    if find_spec("array_record") is None:
        raise DataError(f"{path}: ArrayRecord files need the package array_record: pip install array_record")
    from array_record.python.array_record_module import ArrayRecordReader

    try:
        with open_regular(path):  # its library would wait for a pipe
            pass
        reader = ArrayRecordReader(str(path), _NO_THREADS)
        if not reader.ok() or not reader.num_records():
            raise DataError(f"{path}: holds no records, or is damaged; get it again")
    except DataError:
        raise
    except Exception as error:  # as above
        reason = " ".join(str(error).split())[:100]
        raise DataError(f"{path}: damaged, or no ArrayRecord file ({reason}); get it again") from error
    return reader
