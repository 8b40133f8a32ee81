"""What a run reads anew: its data, which must be the same, and the checkpoint of its best weights."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from epochal.data import Dataset, load_data
from epochal.data.data_schema import Schema
from epochal.data.own_files import IDX_STEMS, find_idx
from epochal.data.registry import DATA_SETS
from epochal.data.row_source import AnySplit
from epochal.data.trees import shape_of
from epochal.errors import DataError, RunError
from epochal.record.checkpoint_file import checkpoint_files, iteration_of
from epochal.record.rows import best_evaluation
from epochal.record.run_record import RunRecord
from epochal.run.custom import Custom
from epochal.run.own_files_only import check_named

DataSource: TypeAlias = Any
"""What `epochal.data.load_data` takes."""


def refuse_missing(record: RunRecord, needed: Iterable[str], given: Iterable[str]) -> None:
    """Refuse to go on without parts that only Python can give: raises `RunError`."""
    missing = [name for name in needed if name in record.file.custom and name not in given]
    if missing == ["model"] and record.file.model.source:
        raise RunError(
            f"{record.name} was trained with the model of {record.file.model.source}, whose code is not run "
            f"unasked; give it again: --model {shlex.quote(record.file.model.source)}"
        )
    if missing:
        parts = ", ".join(f"{name}=…" for name in missing)
        raise RunError(
            f"{record.name} was trained from Python with its own {' and '.join(missing)}; give them again: "
            f"epochal.resume('{record.name}', {parts}), or to predict: Run.open('{record.name}', model=…)"
        )


def data_of(record: RunRecord, custom: Custom, data: DataSource | None = None) -> Dataset:
    """Load what a run was trained on, from where it was or from ``data``. Raises `DataError` for other data."""
    refuse_missing(record, ("data",), custom.names)
    config, facts = record.config, record.file.data
    _check_named(record, custom, data)
    if data is None and config.data not in DATA_SETS and not os.path.exists(config.data):
        raise DataError(
            f"{config.data}, which {record.name} was trained on, is not there any more; say where its data "
            "are now (--data FILE, or data=…); to predict, none are needed"
        )

    source = config.data if data is None else data
    dataset = load_data(source, **config.loading, as_given="model" in record.file.custom)
    if dataset.fingerprint != facts.fingerprint:
        shown = str(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__
        raise DataError(f"'{shown}' does not hold the data that {record.name} was trained on")
    if not facts.preprocessing:
        dataset = dataclasses.replace(dataset, target_scaling=None)  # as former formats trained
    return dataset


def _check_named(record: RunRecord, custom: Custom, data: DataSource | None) -> None:
    """Raise `RunError` for files that the run names and this user did not; a run of no folder names none."""
    if record.path is None or isinstance(data, Dataset):
        return
    given = () if data is None and not custom.data else ("data",)
    check_named(record.file.config, record.file.data.fingerprint, record.file.named_by, record.name, given)


def split_of(source: Any, split: str, schema: Schema, record: RunRecord, custom: Custom) -> AnySplit | None:
    """Return a split of what holds several, of the classes that the model was trained on; ``None`` for other samples.

    The data that the run was trained on have their splits wherever they lie: their test samples are no others there.
    Raises `DataError` for other classes, and for a split that is not there.
    """
    has_splits = isinstance(source, Dataset) or (isinstance(source, str) and source in DATA_SETS)
    if has_splits or _is_idx_folder(source):
        data = load_data(source)
    elif (moved := _moved_data(source, record, custom)) is not None:
        data = moved
    else:
        return None
    if data.class_names != schema.class_names:
        raise DataError(
            f"'{data.name}' has other classes than '{record.file.data.name}', which the model was trained on"
        )
    chosen: AnySplit | None = {"test": data.test, "train": data.train, "validation": data.validation}[split]
    if chosen is None:
        raise DataError(f"'{data.name}' has no validation samples")
    return chosen


def _moved_data(source: Any, record: RunRecord, custom: Custom) -> Dataset | None:
    """Return the data that a run was trained on where a path holds them; ``None`` for other data, and for none."""
    if not isinstance(source, (str, os.PathLike)) or not os.path.exists(source):
        return None
    try:
        return data_of(record, custom, source)
    except (DataError, RunError):
        return None


def _is_idx_folder(source: Any) -> bool:
    """Return whether a source is a folder of IDX files, which has a training and a test split."""
    return isinstance(source, (str, os.PathLike)) and any(find_idx(Path(source), stem) for stem in IDX_STEMS)


def check_fit(split: AnySplit, schema: Schema) -> None:
    """Raise `DataError` for samples that a model does not take, and for none."""
    wanted = schema.sample_shape
    shape = shape_of(split.layout.x)
    if shape != wanted:
        raise DataError(f"samples of shape {shape} do not fit this model, trained on {wanted}")
    if not len(split):
        raise DataError("there are no samples to evaluate")


def best_file(record: RunRecord) -> Path:
    """Return where the checkpoint of a run's best validation lies. Raises `RunError` where there is none."""
    best = best_evaluation(record.history.evaluations)
    if best is None:
        raise RunError(
            f"{record.name} has no validation samples, so nothing says which weights are best; the test set must not: "
            "train with --validation 0.1"
        )
    for path in checkpoint_files(record.folder.checkpoints):
        if iteration_of(path) == best.iteration:
            return path
    raise RunError(f"{record.name}: the checkpoint of its best iteration, {best.iteration:,}, is not there")
