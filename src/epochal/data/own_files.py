"""The user's own files: ``.npz``, ``.csv`` and ``.tsv``, and folders of four IDX files like MNIST's."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from epochal.config import Task
from epochal.data.arrays import from_arrays
from epochal.data.csv_tables import read_table
from epochal.data.dataset import Dataset
from epochal.data.idx import read_idx
from epochal.errors import DataError

IDX_STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def load_path(path: Path, *, target: str | None = None, seed: int = 0, task: Task | None = None) -> Dataset:
    """Return the data set in a file or folder, by what is there.

    Args:
        path: ``.npz``, ``.csv`` or ``.tsv``, or a folder with four IDX files, plain or gzip.
        target: of a table, the target column's name; without it, the last.
        seed: of the test split, where the file brings none.
        task: overrides what the type of the targets says.

    Raises:
        DataError: if it is missing, damaged or not what it should be.
    """
    if target is not None and path.suffix.lower() not in (".csv", ".tsv"):
        raise DataError(f"a target column ('{target}') is for .csv and .tsv tables; {path} is none")
    if path.is_dir():
        return load_idx_folder(path, name=path.resolve().name, task=task)
    if not path.exists():
        raise DataError(f"no such file or folder: {path}")
    if path.suffix.lower() in (".csv", ".tsv"):
        x, y = read_table(path, target=target, task=task)
        with _naming(path):
            return from_arrays(x, y, name=path.stem, seed=seed, task=task)
    if path.suffix.lower() == ".npz":
        return _load_npz(path, seed, task)
    raise DataError(f"{path}: cannot tell what it is; Epochal reads .npz, .csv, .tsv, and folders of IDX files")


def load_idx_folder(
    folder: Path, *, name: str, task: Task | None = None, class_names: Sequence[str] | None = None
) -> Dataset:
    """Return the data set in a folder of four IDX files: training images and labels, test images and labels."""
    paths = [find_idx(folder, stem) for stem in IDX_STEMS]
    absent = [stem for stem, path in zip(IDX_STEMS, paths, strict=True) if path is None]
    if absent:
        raise DataError(f"{folder}: {', '.join(absent)} (or .gz) not there; a folder of data needs four IDX files")
    parts = [read_idx(path, dimensions=3 - i % 2 * 2) for i, path in enumerate(paths) if path is not None]
    with _naming(folder):
        return from_arrays(*parts[:2], test=(parts[2], parts[3]), name=name, task=task, class_names=class_names)


def find_idx(folder: Path, stem: str) -> Path | None:
    """Return the file of that name, gzip or plain; some unpackers write ``.idx3`` for ``-idx3``."""
    names = (f"{stem}.gz", stem, stem.replace("-idx", ".idx"))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _load_npz(path: Path, seed: int, task: Task | None) -> Dataset:
    arrays: dict[str, Shaped[np.ndarray, ...]] = {}
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise DataError(f"{path}: no .npz archive, or a truncated one; write it with numpy.savez")
            with np.load(file, allow_pickle=False) as archive:
                arrays.update((key, archive[key]) for key in archive.files)
    except DataError:
        raise
    except (OSError, EOFError, ValueError, MemoryError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"{path}: damaged, or no plain arrays ({error}); write it with numpy.savez") from error

    if set(arrays) not in ({"x", "y"}, {"x_train", "y_train"}, {"x_train", "y_train", "x_test", "y_test"}):
        found = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(f"{path}: holds {found}; expected x and y, or x_train, y_train, x_test and y_test")
    x, y = (arrays[key] if key in arrays else arrays[f"{key}_train"] for key in ("x", "y"))
    test = (arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None

    with _naming(path):
        return from_arrays(x, y, test=test, name=path.stem, seed=seed, task=task)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with its content."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
