"""Data sets of Hugging Face, streamed ones too, row by row or in blocks of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from epochal.data.dataset import Dataset
from epochal.data.load_options import LoadOptions
from epochal.data.packing import frame_blocks
from epochal.data.packing.assembling import dataset_of
from epochal.data.packing.picture_rows import held_out
from epochal.data.packing.python_rows import Decode, spool_splits
from epochal.data.packing.table_rows import table_of_frames
from epochal.data.storage import Progress
from epochal.data.tables.frame_reader import read_frame
from epochal.data.tables.table import Table
from epochal.errors import DataError

_PLAIN = ("Value", "ClassLabel")
_LISTS = ("List", "LargeList", "Sequence")


def is_of_hugging_face(source: Any) -> bool:
    """Return whether something is a data set of the library ``datasets``, or several by name."""
    return type(source).__module__.partition(".")[0] == "datasets"


def hugging_face_data(
    source: Any,
    options: LoadOptions,
    decode: Decode | None,
    place: Path,
    progress: Progress | None,
    length: int | None = None,
) -> Dataset:
    """Return the data set of a `datasets.Dataset`, an `IterableDataset`, or a dictionary of such, kept in ``place``.

    It has what `epochal.load_data` makes of it: pictures or vectors with a label, or a table. With ``decode``, which
    takes a row as a dictionary, it has what that makes of each. Lists of different lengths are padded, or cut, to
    ``length``.
    """
    splits = dict(source) if isinstance(source, Mapping) else {"train": source}
    if "train" not in splits:
        raise DataError(f"it has the splits {', '.join(splits)}; a split 'train' is needed")
    splits = {name: splits[name] for name in ("train", "test", "validation") if name in splits}
    if decode is not None:
        return _of_rows(splits, options, place, progress, length, decode=decode)

    kinds = _kinds_of(splits["train"])
    labels = {name: feature for name, feature in kinds.items() if type(feature).__name__ == "ClassLabel"}
    target = options.target or (next(iter(labels)) if len(labels) == 1 else None)
    whole = [name for name, kind in kinds.items() if name != target and not _is_plain(kind)]
    if not whole:
        rest = {name: _whole(split, labels) for name, split in splits.items() if name != "train"}
        if length is not None:
            raise DataError(f"length={length} is for rows of different lengths, and this is a table; leave it out")
        given = dataclasses.replace(options, target=target)
        return table_of_frames(_frames(splits["train"], labels), given, place, progress, name="table", rest=rest)

    are_sequences = all(type(kinds[name]).__name__ in _LISTS or isinstance(kinds[name], list) for name in whole)
    if not isinstance(target, str) or (len(whole) > 1 and not are_sequences):
        raise DataError(f"its columns are {', '.join(kinds)}; say which one is the target (target=…)")
    names = labels[target].names if target in labels else None

    def pair(row: Mapping[str, Any]) -> tuple[Any, Any]:
        return row[whole[0]] if len(whole) == 1 else {name: np.asarray(row[name]) for name in whole}, row[target]

    given = dataclasses.replace(options, target=None)
    return _of_rows(splits, given, place, progress, length, decode=pair, class_names=names)


def _of_rows(
    splits: Mapping[str, Any],
    options: LoadOptions,
    place: Path,
    progress: Progress | None,
    length: int | None,
    *,
    decode: Decode,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    options.check("a data set of Hugging Face", "arrays")
    counts = {name: _length(split) for name, split in splits.items()}
    samples = spool_splits(splits, place, samples=counts, decode=decode, length=length, progress=progress)
    held = held_out(samples, options, "the data set")
    train = samples["train"]
    return dataset_of(train, name="arrays", seed=options.seed, task=options.task, class_names=class_names, **held)


def _length(split: Any) -> int | None:
    return len(split) if hasattr(split, "__len__") else None


def _kinds_of(split: Any) -> Mapping[str, Any]:
    """Return what each column is: its feature, or of a stream without any a value of its first row."""
    if split.features is not None:
        return dict(split.features)
    first = next(iter(split), None)
    if first is None:
        raise DataError("the source is empty; give at least one sample")
    return dict(first)


def _is_plain(kind: Any) -> bool:
    """Return whether a column holds a number, text or date in each row."""
    return type(kind).__name__ in _PLAIN or kind is None or isinstance(kind, (bool, int, float, str))


def _frames(split: Any, labels: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the rows as tables, with the names of classes in the place of their numbers."""
    for frame in split.with_format("arrow").iter(batch_size=frame_blocks.ROWS):
        yield read_frame(_with_names(frame, labels))


def _whole(split: Any, labels: Mapping[str, Any]) -> Table:
    """Return a test or validation split as a table in memory."""
    import pyarrow as pa

    frames = list(split.with_format("arrow").iter(batch_size=frame_blocks.ROWS))
    return read_frame(_with_names(pa.concat_tables(frames), labels), "the other frame")


def _with_names(frame: Any, labels: Mapping[str, Any]) -> Any:
    for name, feature in labels.items():
        texts = [None if one is None else feature.int2str(int(one)) for one in frame[name].to_pylist()]
        frame = frame.set_column(frame.column_names.index(name), name, [texts])
    return frame
