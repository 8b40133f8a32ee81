"""The user's own files and folders, each read by what it is: tables, arrays, pictures, and IDX files like MNIST's."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Shaped

from epochal.config.train_config import Task
from epochal.data.arrays import from_arrays
from epochal.data.dataset import Dataset
from epochal.data.idx import read_idx
from epochal.data.load_options import LoadOptions, as_file, as_share
from epochal.data.npy_arrays import NoArrayError, read_members
from epochal.data.splitting import with_fold, with_validation
from epochal.data.storage import Progress
from epochal.data.tables import frame_reader, text_reader
from epochal.data.tables.from_table import from_table
from epochal.data.tables.table import Table
from epochal.errors import DataError
from epochal.files import open_regular, real_path

IDX_STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
READS = (
    "tables (.csv, .tsv, .txt, .data, also with .gz; .parquet, .feather), arrays (.npz), folders with a folder of "
    "pictures for each class (cats/1.jpg, dogs/2.jpg …), and folders of four IDX files"
)

_SAMPLES = ("x", "data", "images", "features", "inputs", "samples")
_TARGETS = ("y", "target", "targets", "labels", "label")
_SPLITS = {
    "train": ("{}", "{}_train", "train_{}"),
    "test": ("{}_test", "test_{}"),
    "validation": ("{}_val", "val_{}", "{}_valid", "valid_{}", "{}_validation", "validation_{}"),
}

Arrays: TypeAlias = dict[str, Shaped[np.ndarray, "..."]]


def load_path(path: Path, options: LoadOptions, progress: Progress | None = None) -> Dataset:
    """Return the data set in a file or folder, by what is there.

    Raises:
        DataError: if it is missing, damaged or not what it should be, or an option has no effect on it.
    """
    # which also answer for a name that no file can have
    if os.path.isdir(path):
        return _load_folder(path, options, progress)
    if not os.path.exists(path):
        raise DataError(f"no such file or folder: {path}")
    if is_table(path):
        options.check(path, "table")
        return load_table(read_table(path, options), options, name=_stem(path))
    if path.suffix.lower() == ".npz":
        options.check(path, "arrays")
        return _load_npz(path, options)
    raise DataError(f"{path}: cannot tell what it is; Epochal reads {READS}{_hint(path)}")


# --- tables ---------------------------------------------------------------------------------------------------------


def is_table(path: Path) -> bool:
    """Return whether a file's name is that of a table."""
    return path.name.lower().endswith((*text_reader.SUFFIXES, *frame_reader.SUFFIXES))


def read_table(
    path: Path,
    options: LoadOptions,
    *,
    as_text: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    has_header: bool | None = None,
) -> Table:
    """Return the table in a file.

    Args:
        path: a file for which `is_table` says yes.
        options: its encoding, whether it has a line of names, and what is said of its columns.
        as_text: columns whose values are kept as texts. Default: targets and categories.
        names: of the columns, where the file has no line of them.
        has_header: whether a text has one, where that is known. Default: what the options say, or it looks like.
    """
    if path.name.lower().endswith(frame_reader.SUFFIXES):
        if options.encoding or options.no_header:
            raise DataError(f"{path}: an encoding and a line of names are things of text tables, and this is none")
        categories = options.of_table.categorical if as_text is None else ()
        return frame_reader.read_frame_file(path, as_text_columns=categories)
    return text_reader.read_text_table(
        path,
        encoding=options.encoding,
        has_header=False if options.no_header else has_header,
        as_text=options.of_table.kept_as_text if as_text is None else as_text,
        names=names,
    )


def load_table(table: Table, options: LoadOptions, *, name: str) -> Dataset:
    """Return the data set of a table; its other splits may be tables in files, or frames."""
    test, validation = (part_of(given, options, table) for given in (options.held_out, options.validation))
    return from_table(table, options.of_table, name=name, seed=options.seed, test=test, validation=validation)


def part_of(given: Any, options: LoadOptions, table: Table) -> Any:
    """Return a split that is a file or a frame as a table, and a share as a number."""
    if frame_reader.is_frame(given):
        return frame_reader.read_frame(given, "the other frame", as_text_columns=options.of_table.categorical)
    path = as_file(given)
    if path is None:
        return as_share(given)
    if not path.is_file() or not is_table(path):
        raise DataError(f"{path}: no table; give a file with the columns of {table.name}, or a share such as 0.2")
    texts = (*options.of_table.targets(table.names), *options.of_table.categorical)
    names = None if table.has_header else table.names
    return read_table(path, options, as_text=texts, names=names, has_header=table.has_header)


def _stem(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return name[: name.rindex(".")] or name


def _hint(path: Path) -> str:
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        return "; save the sheet as CSV"
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson", ".sqlite", ".db", ".h5", ".hdf5", ".mat", ".arff"):
        return "; load it in Python and give the frame or arrays to epochal.train"
    if path.suffix.lower() == ".npy":
        return "; samples and targets together, by numpy.savez(…, x=…, y=…)"
    return ""


# --- arrays ---------------------------------------------------------------------------------------------------------


def read_npz(path: Path) -> Arrays:
    """Return the arrays in an ``.npz`` file. Raises `DataError` where it is damaged, or holds anything else."""
    try:
        with open_regular(path) as file:
            if not zipfile.is_zipfile(file):
                raise DataError(f"{path}: no .npz archive, or a truncated one; write it with numpy.savez")
            return read_members(file)
    except (OSError, NoArrayError, MemoryError) as error:
        raise DataError(f"{path}: damaged, or no plain arrays ({error}); write it with numpy.savez") from error


def samples_of(arrays: Arrays) -> str | None:
    """Return the name under which arrays hold samples; ``None`` where there is none of the usual ones."""
    return _find(arrays, _SAMPLES, ("{}", *_SPLITS["test"], *_SPLITS["train"]))


def targets_of(arrays: Arrays) -> str | None:
    """Return the name under which arrays hold the targets of `samples_of`'s samples; ``None`` where there are none."""
    return _find(arrays, _TARGETS, ("{}", *_SPLITS["test"], *_SPLITS["train"]))


def _load_npz(path: Path, options: LoadOptions) -> Dataset:
    with naming(path):
        return from_named_arrays(read_npz(path), options, name=path.stem)


def from_named_arrays(arrays: Arrays, options: LoadOptions, *, name: str) -> Dataset:
    """Return the data set in arrays with the usual names: x, data, images or features; y, target or labels.

    Each may end or begin with train, test or validation (val). Raises `DataError` for other names, with those found.
    """
    splits = {split: (arrays[x], arrays[y]) for split, (x, y) in splits_of(arrays).items()}
    return _from_splits(splits, options, name=name)


def splits_of(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the names of each split's samples and targets. Raises `DataError` for other names, with those found."""
    known = {name: np.empty(0) for name in names}
    splits: dict[str, tuple[str, str]] = {}
    for split, forms in _SPLITS.items():
        x, y = (_find(known, words, forms) for words in (_SAMPLES, _TARGETS))
        if x is not None and y is not None:
            splits[split] = (x, y)

    used = {name for pair in splits.values() for name in pair}
    if "train" not in splits or set(known) - used - {"feature_names", "target_names"}:
        found = ", ".join(sorted(map(str, known))) or "nothing"
        raise DataError(f"holds {found}; expected x and y, or x_train, y_train, x_test and y_test (x_val and y_val)")
    return splits


def _from_splits(splits: dict[str, tuple[Any, Any]], options: LoadOptions, *, name: str) -> Dataset:
    """Return the data set of splits; where one is missing, what the options say."""
    test = splits.get("test", options.held_out)
    validation = splits.get("validation", as_share(options.validation))
    for split in ("test", "validation"):
        if split in splits and getattr(options, split) is not None:
            raise DataError(f"there is a {split} split already; leave out {split}={getattr(options, split)}")
    return from_arrays(
        *splits["train"],
        test=_arrays_of(test),
        validation=_arrays_of(validation),
        name=name,
        seed=options.seed,
        task=options.task,
        as_given=options.as_given,
    )


def _arrays_of(given: Any) -> Any:
    """Return a split in an ``.npz`` file as its arrays; everything else as it is."""
    path = as_file(given)
    if path is None:
        return given
    arrays = read_npz(path)
    x, y = (_find(arrays, words, ("{}", *_SPLITS["test"])) for words in (_SAMPLES, _TARGETS))
    if x is None or y is None:
        raise DataError(f"{path}: holds {', '.join(arrays) or 'nothing'}; expected x and y")
    return arrays[x], arrays[y]


def _find(arrays: Arrays, words: Sequence[str], forms: Sequence[str]) -> str | None:
    """Return the array's name that is one of these words in one of these forms, in any case."""
    known = {str(name).lower(): name for name in arrays}
    return next((known[form.format(word)] for form in forms for word in words if form.format(word) in known), None)


# --- folders --------------------------------------------------------------------------------------------------------


def _load_folder(folder: Path, options: LoadOptions, progress: Progress | None) -> Dataset:
    from epochal.data.packed.opening import is_pack  # thirteen modules, for folders alone

    if is_pack(folder):
        return _load_pack(folder, options)
    if all(find_idx(folder, stem) is None for stem in IDX_STEMS):
        from epochal.data.pictures.sets import has_picture_classes, load_pictures

        if has_picture_classes(folder):
            options.check(folder, "pictures")
            return load_pictures(folder, options, progress)
    options.check(folder, "arrays")
    if options.test is not None:
        raise DataError(f"{folder} has its own test split; leave out test={options.test}")
    data = load_idx_folder(folder, name=real_path(folder).name, task=options.task)
    data = with_fold(data, options.held_out, options.seed)
    return with_validation(data, as_share(options.validation), options.seed)


def _load_pack(folder: Path, options: LoadOptions) -> Dataset:
    from epochal.data.packed.opening import load_pack

    options.check(folder, "pack")
    data = load_pack(folder)
    if data.validation is not None and options.validation is not None:
        raise DataError(f"there is a validation split already; leave out validation={options.validation}")
    return with_validation(with_fold(data, options.held_out, options.seed), as_share(options.validation), options.seed)


def load_idx_folder(
    folder: Path, *, name: str, task: Task | None = None, class_names: Sequence[str] | None = None
) -> Dataset:
    """Return the data set in a folder of four IDX files: training images and labels, test images and labels."""
    paths = [find_idx(folder, stem) for stem in IDX_STEMS]
    absent = [stem for stem, path in zip(IDX_STEMS, paths, strict=True) if path is None]
    if len(absent) == len(IDX_STEMS) and class_names is None and name == real_path(folder).name:
        raise DataError(f"{folder}: cannot tell what it is; Epochal reads {READS}")
    if absent:
        raise DataError(f"{folder}: {', '.join(absent)} (or .gz) not there; a folder of data needs four IDX files")
    parts = [read_idx(path, dimensions=3 - i % 2 * 2) for i, path in enumerate(paths) if path is not None]
    with naming(folder):
        return from_arrays(*parts[:2], test=(parts[2], parts[3]), name=name, task=task, class_names=class_names)


def find_idx(folder: Path, stem: str) -> Path | None:
    """Return the file of that name, gzip or plain; some unpackers write ``.idx3`` for ``-idx3``."""
    names = (f"{stem}.gz", stem, stem.replace("-idx", ".idx"))
    return next((folder / name for name in names if (folder / name).is_file()), None)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with its content."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
