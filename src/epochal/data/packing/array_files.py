"""Arrays in an ``.npz`` file that is larger than the memory, read in blocks of rows."""

from __future__ import annotations

import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from epochal.data.dataset import Dataset
from epochal.data.load_options import LoadOptions, as_file
from epochal.data.npy_arrays import check_members, read_header, read_npy
from epochal.data.own_files import naming, splits_of
from epochal.data.packing.assembling import Samples, check_numbers, dataset_of
from epochal.data.packing.picture_rows import held_out
from epochal.data.packing.spool import Spool
from epochal.data.storage import Progress
from epochal.errors import DataError

LARGE = 64 << 20
"""Bytes of a file from which on it is read in blocks."""

_BLOCK = 8 << 20  # bytes


def is_streamed(path: Path, options: LoadOptions) -> bool:
    """Return whether a file of arrays is large, and its other splits are no files of their own."""
    others = (as_file(options.test), as_file(options.validation))
    is_large = path.is_file() and path.stat().st_size >= LARGE
    return path.suffix.lower() == ".npz" and is_large and others == (None, None)


def arrays_of_file(path: Path, options: LoadOptions, place: Path, progress: Progress | None) -> Dataset:
    """Return the data set of the arrays in a file, kept in ``place``. Raises `DataError` as `load_data` does."""
    try:
        with naming(path), zipfile.ZipFile(path) as archive:
            check_members(archive.infolist(), path.stat().st_size)
            splits = splits_of([name.removesuffix(".npy") for name in archive.namelist()])
            samples: dict[str, Samples] = {}
            for split, (x, y) in splits.items():
                with archive.open(f"{y}.npy") as file:
                    targets = read_npy(file, archive.getinfo(f"{y}.npy").file_size)
                with archive.open(f"{x}.npy") as file, Spool(place / split, len(targets)) as spool:
                    _spool_array(file, spool, progress)
                samples[split] = Samples(spool.source(), targets)
            held = held_out(samples, options, str(path))
            return dataset_of(samples["train"], name=path.stem, seed=options.seed, task=options.task, **held)
    except DataError:
        raise
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged, or no plain arrays ({error}); write it with numpy.savez") from error


def _spool_array(file: Any, spool: Spool, progress: Progress | None) -> None:
    """Take the rows of an array. Raises `ValueError` where it is damaged."""
    header = read_header(file)
    shape, kind = header.shape, header.dtype
    if header.is_by_columns and len(shape) > 1:
        raise ValueError(
            "an array lies column by column, which is not read in blocks; save numpy.ascontiguousarray of it"
        )
    if len(shape) < 2:
        raise DataError(f"x has shape {shape}; give (samples, features), here perhaps x[:, None]")
    row = kind.itemsize * prod(shape[1:])
    step = max(1, _BLOCK // max(1, row))
    for start in range(0, shape[0], step):
        count = min(step, shape[0] - start)
        content = _read(file, count * row)
        block = np.frombuffer(content, kind).reshape(count, *shape[1:])
        spool.add(check_numbers(block.astype(kind.newbyteorder("="), copy=False), start))
        if progress is not None:
            progress("samples", start + count, shape[0])


def _read(file: Any, size: int) -> bytes:
    pieces, left = [], size
    while left:
        piece = file.read(left)
        if not piece:
            raise ValueError("it ends too early")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
