"""`load_data`: a data set by its name, from a file, or from arrays."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from epochal.data.dataset import Dataset
from epochal.data.generated import from_rows
from epochal.data.load_options import LoadOptions, as_share
from epochal.data.own_files import IDX_STEMS, find_idx, load_idx_folder, load_path
from epochal.data.python_objects import from_object
from epochal.data.registry import DATA_SETS, Description, describe, generated_file
from epochal.data.row_source import RowSource
from epochal.data.splitting import with_fold, with_validation
from epochal.data.storage import Progress, cache_folder, own_folder, whole_file
from epochal.errors import DataError, unknown_name
from epochal.words.phrases import translate


def load_data(source: Any, *, progress: Progress | None = None, **options: Any) -> Dataset:
    """Return a data set.

    >>> load_data("digits")
    Dataset 'digits': 1,437 training and 360 test samples of shape (8, 8), classification with 10 outputs

    Args:
        source: a name (``digits``, ``digits-60k``, ``mnist``, ``fashion-mnist``, ``kmnist``); a table in a file
            (``.csv``, ``.tsv``, ``.txt``, also with ``.gz``; ``.parquet``, ``.feather``); a file ``.npz``; a folder
            with a folder of pictures for each class, or of four IDX files; arrays ``(x, y)``, ``(x, y, weights)``,
            ``(x, y, x_test, y_test)`` or ``((x, y), (x_test, y_test))``; a frame of pandas, Polars, Arrow or DuckDB; a
            data set of scikit-learn, Hugging Face or PyTorch; a source of rows (`epochal.data.row_source.RowSource`)
            with attributes ``test`` and ``class_names``, or a `Dataset`, which is returned as it is. A name comes
            before a file of the same name; write ``./mnist`` for the latter.
        progress: called with a title, what is done and what there is to do, while something is fetched, made or read.
        options: ``target``, ``task``, ``test``, ``validation``, ``seed`` and the other fields of
            `epochal.data.load_options.LoadOptions`.

    Raises:
        DataError: if it is unknown, missing, damaged, or cannot be downloaded or kept.
    """
    if isinstance(source, Dataset):
        return source
    if isinstance(source, RowSource):
        return from_rows(source, test=getattr(source, "test", None), class_names=getattr(source, "class_names", None))
    chosen = LoadOptions.of(options)
    if not isinstance(source, (str, os.PathLike)) or not os.fspath(source):
        return from_object(source, chosen)

    if isinstance(source, str) and source in DATA_SETS:
        if chosen.target is not None or chosen.task is not None:
            raise DataError(f"{source} has its own targets; target and task are for your own files")
        chosen.check(source, "named")
        named = with_fold(_load_named(describe(source), progress), chosen.held_out, chosen.seed)
        return with_validation(named, as_share(chosen.validation), chosen.seed)
    if isinstance(source, str) and "://" in source and not os.path.exists(source):
        raise DataError(f"{source} is an address; download what is there, and give the file's or folder's path")
    path = Path(source)
    if isinstance(source, str) and not os.path.exists(source) and path.name == source and not path.suffix:
        raise DataError(f"{unknown_name('data set', source, DATA_SETS)}; or the path of a file or folder")

    return load_path(path.expanduser(), chosen, progress)


def _load_named(about: Description, progress: Progress | None) -> Dataset:
    if about.name == "digits":
        from epochal.data.digits import load_digits

        data = load_digits()
    elif about.files:
        data = load_idx_folder(_published_files(about, progress), name=about.name, class_names=about.class_names)
    else:
        data = _generated(about, progress)

    sizes = (len(data.train), len(data.test), data.sample_shape)
    if sizes != (about.train, about.test, about.sample_shape) or about.fingerprint not in (None, data.fingerprint):
        raise DataError(
            f"{about.name}: the content is not the published one ({sizes[0]:,} + {sizes[1]:,} samples, fingerprint "
            f"{data.fingerprint[:16]}…); get it again, or load its folder by path as data of your own"
        )
    return data


def _published_files(about: Description, progress: Progress | None) -> Path:
    """Return the folder with the files of a public data set, each with the published content."""
    own = own_folder(about.name)
    if own is None:
        from epochal.data.download import download

        folder = cache_folder(about.name)
        download(about, folder, progress=progress)
        return folder
    from epochal.data.download import is_sound

    for stem, file in zip(IDX_STEMS, about.files, strict=True):
        path = find_idx(own, stem)
        if path is not None and path.suffix == ".gz" and not is_sound(path, file):
            raise DataError(
                f"{path} ({path.stat().st_size:,} bytes) is not the published file of {file.size:,} bytes: its SHA-256 "
                f"differs; get it again, or load the folder by path as data of your own"
            )
    return own


def _generated(about: Description, progress: Progress | None) -> Dataset:
    """Return `digits-60k` from the cache, or make it and keep it there."""
    from epochal.data.digits import make_digits_60k

    path = cache_folder(about.name) / generated_file(about)
    try:
        kept = load_path(path, LoadOptions())
        if kept.fingerprint == about.fingerprint:
            return replace(kept, name=about.name)
    except DataError:
        pass

    data = make_digits_60k(progress)
    train, test = data.train.whole(), data.test.whole()
    try:
        with whole_file(path) as file:
            np.savez(file, x_train=train.x, y_train=train.y, x_test=test.x, y_test=test.y)
    except DataError as error:
        warnings.warn(translate(f"{about.name} will be made again next time: {error}"), stacklevel=3)
    return data
