"""What people hold in Python: arrays in tuples and dictionaries, frames, and data sets of other libraries."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from epochal.data.arrays import from_arrays
from epochal.data.dataset import Dataset
from epochal.data.load_options import LoadOptions, as_share
from epochal.data.own_files import from_named_arrays, load_table
from epochal.data.tables.frame_reader import is_frame, read_frame, read_objects
from epochal.data.tables.from_table import from_table
from epochal.data.tables.table import Table
from epochal.data.trees import is_several, map_arrays
from epochal.errors import DataError

TAKES = (
    "a name, a path, (x, y), (x, y, weights), (x, y, x_test, y_test), ((x, y), (x_test, y_test)), {'x': x, 'y': y}, a "
    "frame with target=…, or a data set of scikit-learn, Hugging Face or PyTorch"
)

_OF_BUNCHES = {
    *("data", "target", "frame", "images", "feature_names", "target_names", "categories", "details", "url"),
    *("DESCR", "data_filename", "target_filename", "filename", "data_module"),
}


def from_object(source: Any, options: LoadOptions) -> Dataset:
    """Return the data set that a Python object holds.

    Raises:
        DataError: for one that is none, with all that is taken.
    """
    if is_frame(source):
        options.check("a frame", "table")
        return load_table(read_frame(source, as_text_columns=options.of_table.categorical), options, name="frame")
    if type(source).__module__.startswith("datasets."):
        return _from_hugging_face(source, options)
    if isinstance(source, Mapping):
        return _from_mapping(source, options)
    if isinstance(source, (tuple, list)):
        return _from_sequence(source, options)
    if _is_map_style(source):
        options.check("a map-style data set", "arrays")
        return _from_pairs(_items(source), options)
    raise DataError(f"{_shown(source)} is no data; give {TAKES}")


def _from_sequence(source: Sequence[Any], options: LoadOptions) -> Dataset:
    """Return the data set in a tuple or list of arrays or frames, or of pairs of them."""
    parts = list(source)
    if len(parts) in (2, 3) and all(isinstance(part, (tuple, list)) and _is_pair(part) for part in parts):
        # training, test; or training, validation, test
        (x, y), *middle, test = (tuple(map(as_plain, part)) for part in parts)
        return _from_parts(x, y, options, test=test, validation=middle[0] if middle else None)

    if len(parts) == 2 and all(map(is_frame, parts)) and options.target is not None:
        return from_object(parts[0], options.with_test(parts[1]))
    if len(parts) > 4 and all(isinstance(part, tuple) and len(part) == 2 for part in parts):
        options.check("pairs of samples and targets", "arrays")
        return _from_pairs(iter(parts), options)
    if not 2 <= len(parts) <= 4 or any(part is None or isinstance(part, (str, bytes)) for part in parts):
        raise DataError(f"a {type(source).__name__} of {len(parts)} is no data set; give {TAKES}")
    x, y, *more = map(as_plain, parts)
    if len(more) == 2:
        return _from_parts(x, y, options, test=(more[0], more[1]))
    return _from_parts(x, y, options, weights=more[0] if more else None)


def _is_pair(part: Sequence[Any]) -> bool:
    """Return whether something is samples with their targets, and not a row of numbers."""
    return len(part) == 2 and all(np.ndim(one) > 0 or is_frame(one) for one in part) and len(part[0]) == len(part[1])


def _from_parts(
    x: Any,
    y: Any,
    options: LoadOptions,
    *,
    test: tuple[Any, Any] | None = None,
    validation: tuple[Any, Any] | None = None,
    weights: Any = None,
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """Return the data set of samples and targets, of arrays or frames, with the splits that came with them."""
    for name, given in (("test", test), ("validation", validation)):
        if given is not None and getattr(options, name) is not None:
            raise DataError(f"the data bring their own {name} samples; leave out {name}={getattr(options, name)}")

    if is_frame(x):
        if weights is not None:
            raise DataError("weights go with arrays; make the frame one, or leave them out")
        return _from_frames(x, y, options, test, validation)
    options.check("arrays", "arrays")

    return from_arrays(
        x,
        y,
        test=options.held_out if test is None else test,
        validation=as_share(options.validation) if validation is None else validation,
        weights=weights,
        seed=options.seed,
        task=options.task,
        class_names=class_names,
        as_given=options.as_given,
    )


def _from_frames(
    x: Any, y: Any, options: LoadOptions, test: tuple[Any, Any] | None, validation: tuple[Any, Any] | None
) -> Dataset:
    """Return the data set of frames of features, beside their targets."""
    table, targets = _beside(x, y)
    others = [None if pair is None else _beside(*pair)[0] for pair in (test, validation)]
    given = [
        as_share(share) if other is None else other
        for share, other in zip((options.held_out, options.validation), others, strict=True)
    ]
    columns = dataclasses.replace(options.of_table, target=targets)
    return from_table(table, columns, name="frame", seed=options.seed, test=given[0], validation=given[1])


def _beside(x: Any, y: Any) -> tuple[Table, list[str]]:
    """Return a frame of features with its targets as a table, and the targets' names."""
    table = read_frame(x)
    if is_frame(y):
        columns = list(read_frame(y).columns)
    else:
        array = np.asarray(as_plain(y))
        name = str(getattr(y, "name", None) or "target")
        rows = array[:, None] if array.ndim == 1 else array
        columns = [
            read_objects(rows[:, at].tolist(), name if rows.shape[1] == 1 else f"{name} {at + 1}", "y")
            for at in range(rows.shape[1])
        ]
    if any(len(column.values) != len(table) for column in columns):
        raise DataError(f"x has {len(table):,} rows but y has {len(columns[0].values):,}; each row needs one target")
    taken = next((column.name for column in columns if column.name in table.names), None)
    if taken is not None:
        raise DataError(f"x has a column '{taken}' as y has; leave it out of x, or name the target (target='{taken}')")
    return dataclasses.replace(table, columns=(*table.columns, *columns)), [column.name for column in columns]


def _from_mapping(source: Mapping[str, Any], options: LoadOptions) -> Dataset:
    """Return the data set in a dictionary, or in one of scikit-learn's bunches."""
    if "data" in source and "target" in source and not set(source) - _OF_BUNCHES:
        names, x, y = source.get("target_names"), as_plain(source["data"]), as_plain(source["target"])
        labels = np.asarray(y)
        is_labels = labels.ndim == 1 and labels.dtype.kind in "iu" and options.task != "regression"
        if names is not None and is_labels and len(names) == len(np.unique(labels)):
            classes = [str(name) for name in names]
            return _from_parts(x, np.array(classes)[labels] if is_frame(x) else labels, options,
                               class_names=None if is_frame(x) else classes)  # fmt: skip
        return _from_parts(x, y, options)

    if options.target is not None:
        columns = tuple(read_objects(list(as_plain(one)), str(name), "the dictionary") for name, one in source.items())
        if len({len(column.values) for column in columns}) != 1:
            raise DataError("the columns of the dictionary have different lengths; a table has one length")
        return load_table(Table("the dictionary", columns), options, name="dictionary")
    options.check("a dictionary", "arrays")
    return from_named_arrays({str(name): as_plain(value) for name, value in source.items()}, options, name="arrays")


# --- data sets of other libraries -------------------------------------------------------------------------------------


def _from_hugging_face(source: Any, options: LoadOptions) -> Dataset:
    """Return a `datasets.Dataset`, or the splits of a `DatasetDict`: pictures or vectors with a label, or a table."""
    splits = {"train": source} if not isinstance(source, Mapping) else dict(source)
    if "train" not in splits:
        raise DataError(f"it has the splits {', '.join(splits)}; a split 'train' is needed")
    features = splits["train"].features
    labels = [name for name, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    target = options.target or (labels[0] if len(labels) == 1 else None)
    held = {"test": splits.get("test"), "validation": splits.get("validation")}

    plain = [name for name, kind in features.items() if type(kind).__name__ in ("Value", "ClassLabel")]
    whole = [name for name in features if name != target and name not in plain]
    if not whole:
        # with the names of classes in place of their numbers
        parts = {"train": splits["train"], **held}
        frames = {name: _with_names(split, labels) for name, split in parts.items() if split is not None}
        options = dataclasses.replace(options, target=target)
        for name in ("test", "validation"):
            if name in frames:
                options = dataclasses.replace(options, **{name: frames[name]})
        return load_table(read_frame(frames["train"]), options, name="table")

    if target is None or len(whole) > 1:
        raise DataError(f"its columns are {', '.join(features)}; say which one is the target (target=…)")
    names = features[target].names if target in labels else None

    def pair(split: Any) -> tuple[Any, Any]:
        return _stacked([as_plain(one) for one in split[whole[0]]]), np.asarray(split[target])

    others = {name: pair(split) for name, split in held.items() if split is not None}
    return _from_parts(*pair(splits["train"]), dataclasses.replace(options, target=None), class_names=names, **others)


def _with_names(split: Any, labels: Sequence[str]) -> Any:
    frame = split.with_format("arrow")[:]
    for name in labels:
        texts = [None if one is None else split.features[name].int2str(int(one)) for one in split[name]]
        frame = frame.set_column(frame.column_names.index(name), name, [texts])
    return frame


def _items(source: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the samples of a map-style data set with their targets, such as a `torch.utils.data.Dataset`."""
    for number in range(len(source)):
        item = source[number]
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise DataError(f"item {number} of {_shown(source)} is no pair (sample, target), but {_shown(item)}")
        yield item[0], item[1]


def _from_pairs(items: Iterator[tuple[Any, Any]], options: LoadOptions) -> Dataset:
    xs, ys = [], []
    for x, y in items:
        xs.append(np.asarray(as_plain(x)))
        ys.append(np.asarray(as_plain(y)))
    if not xs:
        raise DataError("the data set is empty; give at least one sample")
    return _from_parts(_stacked(xs), _stacked(ys), options)


def _stacked(samples: list[Any]) -> Any:
    """Return samples as one array. Raises `DataError` for one of another shape."""
    arrays = [np.asarray(sample) for sample in samples]
    odd = next((number for number, array in enumerate(arrays) if array.shape != arrays[0].shape), None)
    if odd is not None:
        raise DataError(
            f"sample {odd} has shape {arrays[odd].shape}, sample 0 {arrays[0].shape}; make them alike before"
        )
    return np.stack(arrays)


def _is_map_style(source: Any) -> bool:
    has_items = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    return has_items and not isinstance(source, (str, bytes, np.ndarray))


def as_plain(value: Any) -> Any:
    """Return a tensor, or a series of a frame's library, as an array; everything else as it is, part by part."""
    if is_several(value) and not is_frame(value):
        return map_arrays(as_plain, value)
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        return value.detach().cpu().numpy()
    if type(value).__module__.startswith("scipy.sparse"):
        return value.toarray()
    if not is_frame(value) and hasattr(value, "to_numpy"):
        return value.to_numpy()
    return value


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"one array of shape {value.shape}"
    return f"{type(value).__name__} {' '.join(repr(value).split()):.40}"
