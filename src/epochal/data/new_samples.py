"""Samples that a trained model has not seen, in any form that a data set can have: made into what it was trained on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from epochal.data.arrays import has_channels_first, to_samples
from epochal.data.data_schema import Schema
from epochal.data.encodings import PictureEncoding
from epochal.data.load_options import LoadOptions
from epochal.data.npy_arrays import NoArrayError, read_npy
from epochal.data.own_files import is_table, read_npz, read_table, samples_of, targets_of
from epochal.data.split import Split
from epochal.data.tables.encoding import TableEncoding
from epochal.data.tables.frame_reader import is_frame, read_frame
from epochal.data.tables.from_table import new_samples, new_targets
from epochal.data.tables.table import Table
from epochal.data.tables.text_content import NotThisEncodingError
from epochal.data.targets import class_numbers
from epochal.data.trees import Tree, arrays_of, is_several, labelled, map_arrays, shape_of
from epochal.errors import DataError
from epochal.files import open_regular


@dataclass(frozen=True, slots=True, eq=False)
class NewSamples:
    """Samples in the storage type of a training.

    Attributes:
        x: ``(n, *sample_shape)``; a dictionary or a tuple of such arrays where the training had them.
        y: their targets, where they were asked for.
        names: of each sample, where it has one, such as a file; empty elsewhere.
        notes: what the user should know of how they were taken.
    """

    x: Tree
    y: Shaped[np.ndarray, "n *target"] | None = None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def split(self) -> Split:
        """They and their targets; zeros where there are none."""
        return Split(self.x, np.zeros(self.count, np.int32) if self.y is None else self.y)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(arrays_of(self.x)[0])


def read_new(
    source: Any,
    schema: Schema,
    options: LoadOptions | None = None,
    *,
    with_targets: bool = False,
    usual_encoding: str | None = None,
) -> NewSamples:
    """Return the samples in a file, a folder, a frame or arrays, as a training had them.

    Args:
        source: a table, ``.npy``, ``.npz`` or picture by path; a folder of pictures; a frame; samples as an array; with
            targets also ``(x, y)``.
        schema: what the training's samples were.
        options: the encoding of a table, and whether it has no line of names.
        with_targets: whether targets are needed.
        usual_encoding: of the training's table, for one that is not in UTF-8 and of which nothing is said.

    Raises:
        DataError: for what cannot be read or does not fit, with the cause.
    """
    options = options or LoadOptions()
    if isinstance(source, (str, os.PathLike)):
        return _from_path(Path(source).expanduser(), schema, options, with_targets, usual_encoding)
    if is_frame(source):
        return _from_table(read_frame(source, as_text_columns=_texts(schema)), schema, with_targets)
    if with_targets:
        if not isinstance(source, (tuple, list)) or len(source) != 2:
            raise DataError("to evaluate, give samples with their targets: (x, y), a frame, or a file")
        x, y = source
        if is_frame(x):
            raise DataError("give the frame with its target column, as in training")
        return replace(fit_array(x, schema), y=_targets(y, schema))
    return fit_array(source, schema)


def fit_array(x: Any, schema: Schema, which: str = "x") -> NewSamples:
    """Return an array of samples, or a single one, in the shape and type that a training had.

    Pictures with channels first get them last, a grey picture gets its channel, and floats from 0 to 1 become bytes
    where the training had bytes; what was changed is said.
    """
    if schema.has_parts:
        return NewSamples(_fit_parts(x, schema, which))
    shape, notes = schema.sample_shape, []
    array = np.asarray(x)
    if isinstance(schema.encoding, TableEncoding) and array.dtype == object:
        raise DataError(
            f"{which} holds Python objects; give a frame with the columns {', '.join(schema.encoding.names)}"
        )

    columns = len(schema.encoding.names) if isinstance(schema.encoding, TableEncoding) else None
    if array.shape in (shape, (columns,)) or (array.ndim == 3 and _moved(array.shape[1:], array.shape[:1]) == shape):
        array = array[None]
    if columns is not None and array.ndim == 2 and array.shape[1] == columns:
        assert isinstance(schema.encoding, TableEncoding)
        return NewSamples(schema.encoding.encode_array(to_samples(array, which)))

    if (
        array.shape[1:] != shape
        and has_channels_first(array.shape)
        and _moved(array.shape[2:], array.shape[1:2]) == shape
    ):
        array = np.moveaxis(array, 1, -1)
        notes.append(f"{which}: channels come first; they are put last")
    if array.shape[1:] != shape and array.size and array.shape[1:] in ((*shape, 1), (1, *shape)):
        array = array.reshape(len(array), *shape)
    if array.shape[1:] != shape:
        raise DataError(f"samples of shape {array.shape[1:]} do not fit this model, trained on {shape}")
    if not len(array):
        raise DataError("there are no samples")

    if array.dtype == bool:
        array = array.astype(np.uint8)
    array = _as_type(array, schema, which, notes)
    return NewSamples(array, notes=tuple(notes))


def _fit_parts(x: Any, schema: Schema, which: str) -> Tree:
    """Return samples of several parts, as many of each, in the types that a training had."""
    wanted = schema.sample_shape
    if isinstance(x, Mapping) and isinstance(wanted, dict):
        x = {name: x[name] for name in wanted if name in x} if wanted.keys() <= x.keys() else dict(x)
    arrays = map_arrays(np.asarray, x) if is_several(x) else x
    if not is_several(x) or shape_of(arrays) != wanted:
        found = shape_of(arrays) if is_several(x) else type(x).__name__
        raise DataError(f"samples of shape {found} do not fit this model, trained on {wanted}")
    counts = {len(one) for one in arrays_of(arrays)}
    if len(counts) > 1 or not all(counts):
        raise DataError(f"the parts of {which} have {sorted(counts)} samples; each needs as many, and at least one")

    labels = iter([label for label, _ in labelled(arrays, which)])

    def fitted(kind: np.dtype, array: np.ndarray) -> np.ndarray:
        label = next(labels)
        if kind.kind == "b":
            return array.astype(bool)
        if kind in (np.int32, np.uint8) and array.dtype.kind not in "iub":
            raise DataError(f"{label} holds {array.dtype}; the model was trained on whole numbers")
        fitting: np.ndarray = _floats(array, label) if kind == np.float32 else array.astype(kind)
        return fitting

    return map_arrays(fitted, schema.sample_type, arrays)


def _moved(size: tuple[int, ...], channels: tuple[int, ...]) -> tuple[int, ...]:
    return (*size, *channels)


def _as_type(array: Shaped[np.ndarray, "..."], schema: Schema, which: str, notes: list[str]) -> Any:
    """Return samples in the storage type of a training."""
    wanted = schema.sample_type
    if wanted == np.int32:
        return to_samples(array, which, as_given=True)
    if wanted != np.uint8 or array.dtype == np.uint8:
        return to_samples(array, which, as_given=True) if array.dtype == np.uint8 else _floats(array, which)

    if array.dtype.kind == "f":
        _floats(array, which)

    # bytes were trained on: whole numbers from 0 to 255 are bytes, floats from 0 to 1 are pictures too
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind == "f" and low >= 0 and 0 < high <= 1 and not (array == np.floor(array)).all():
        top = schema.highest
        notes.append(f"{which}: floats from 0 to 1; scaled to 0 to {top}, as the training's samples are")
        return np.rint(array * top).astype(np.uint8)
    if low >= 0 and high <= 255 and (array == np.floor(array)).all():
        return array.astype(np.uint8)
    raise DataError(
        f"{which} holds values from {low:g} to {high:g}; the model was trained on bytes: give 0 to 255, or "
        "floats from 0 to 1"
    )


def _floats(array: Shaped[np.ndarray, "..."], which: str) -> Any:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{which} holds no numbers, but {array.dtype}")
    with np.errstate(over="ignore"):
        short = array.astype(np.float32)
    if not np.isfinite(short).all():
        raise DataError(f"{which} holds values that are missing (NaN), infinite or beyond 32-bit floats; fix them")
    return short


# --- files ----------------------------------------------------------------------------------------------------------


def _from_path(
    path: Path, schema: Schema, options: LoadOptions, with_targets: bool, usual_encoding: str | None
) -> NewSamples:
    if not path.exists():
        raise DataError(f"no such file or folder: {path}")
    if path.is_dir():
        return _from_pictures(path, schema, options, with_targets)
    if is_table(path):
        if not isinstance(schema.encoding, TableEncoding):
            return _from_plain_table(path, schema, options, with_targets)
        try:
            return _from_table_file(path, schema, options, with_targets)
        except NotThisEncodingError:
            if options.encoding or usual_encoding is None:
                raise
        new = _from_table_file(path, schema, replace(options, encoding=usual_encoding), with_targets)
        note = f"{path}: no UTF-8; read as {usual_encoding}, as the training's table was"
        return replace(new, notes=(note, *new.notes))

    suffix = path.suffix.lower()
    if suffix == ".npz":
        arrays = read_npz(path)
        x, y = samples_of(arrays), targets_of(arrays)
        if x is None or (with_targets and y is None):
            raise DataError(
                f"{path}: holds {', '.join(arrays) or 'nothing'}; expected x{' and y' if with_targets else ''}"
            )
        new = fit_array(arrays[x], schema, str(path))
        return replace(new, y=_targets(arrays[str(y)], schema)) if with_targets else new
    if suffix == ".npy" and not with_targets:
        return fit_array(_read_npy(path), schema, str(path))

    from epochal.data.pictures.file import is_picture

    if is_picture(path) and not with_targets:
        return _from_pictures(path, schema, options, with_targets)
    wanted = ".npz or a folder of pictures" if with_targets else ".npy, .npz, a picture or a folder of them"
    raise DataError(f"{path}: cannot tell what it is; give a table, {wanted}")


def _from_table_file(path: Path, schema: Schema, options: LoadOptions, with_targets: bool) -> NewSamples:
    """Return the rows of a table's file, for a model that was trained on a table."""
    encoding = schema.encoding
    assert isinstance(encoding, TableEncoding)
    names = None if encoding.has_header else _columns(encoding)
    table = read_table(path, options, as_text=_texts(schema), names=names, has_header=encoding.has_header)
    return _from_table(_named(table, encoding), schema, with_targets)


def _from_pictures(path: Path, schema: Schema, options: LoadOptions, with_targets: bool) -> NewSamples:
    """Return a picture, or those of a folder; with targets, those of a folder with a folder for each class."""
    from epochal.data.pictures.sets import load_pictures, read_pictures

    if not with_targets:
        x, names, notes = read_pictures(path, schema, as_digits=options.as_digits)
        return NewSamples(x, None, names, tuple(notes))
    encoding = schema.encoding
    if not isinstance(encoding, PictureEncoding):
        raise DataError(f"{path}: the model was not trained on a folder of pictures; give samples as it was, in .npz")

    data = load_pictures(path, replace(options, image_size=encoding.size, grey=encoding.grey))
    known, found = schema.class_names or (), data.class_names or ()
    strange = sorted(set(found) - set(known))
    if strange:
        raise DataError(f"{path}: has the classes {', '.join(strange)}, which the model was not trained on")
    places = np.array([known.index(name) for name in found], np.int32)
    x, y = (np.concatenate([getattr(part, name) for part in (data.train, data.test)]) for name in ("x", "y"))
    return NewSamples(x, places[y], (), data.notes)


def _read_npy(path: Path) -> Any:
    try:
        with open_regular(path) as file:
            array = read_npy(file, os.fstat(file.fileno()).st_size)
    except (OSError, NoArrayError, MemoryError) as error:
        raise DataError(f"cannot read {path} as a .npy array: {error}") from error
    if array.dtype.kind not in "buif" or not array.ndim:
        raise DataError(f"{path} holds no array of numbers; save one with numpy.save")
    return array


def _texts(schema: Schema) -> tuple[str, ...]:
    """Return the columns that are read as texts: categories, and targets, which are compared with class names."""
    if not isinstance(schema.encoding, TableEncoding):
        return ()
    texts = [encoder.name for encoder in schema.encoding.encoders if encoder.kind == "text"]
    return (*texts, *(schema.encoding.targets if schema.class_names is not None else ()))


def _columns(encoding: TableEncoding) -> list[str]:
    """Return all columns of a table without a line of names, whose names tell their places."""
    known = {*encoding.names, *encoding.left_out, *encoding.targets}
    return [f"column {number + 1}" for number in range(len(known))]


def _named(table: Table, encoding: TableEncoding) -> Table:
    """Return a table without a line of names whose target column is missing with the names of the others."""
    if table.has_header or encoding.has_header:
        return table
    without = [name for name in _columns(encoding) if name not in encoding.targets]
    if len(table.columns) != len(without):
        return table
    return replace(table, columns=tuple(replace(c, name=n) for c, n in zip(table.columns, without, strict=True)))


def _from_table(table: Table, schema: Schema, with_targets: bool) -> NewSamples:
    encoding = schema.encoding
    if not isinstance(encoding, TableEncoding):
        return _from_numbers(table, schema, with_targets)
    x, notes = new_samples(table, encoding)
    y = new_targets(table, encoding, schema.class_names, schema.target_shape) if with_targets else None
    return NewSamples(x, y, notes=(*table.notes, *notes))


def _from_plain_table(path: Path, schema: Schema, options: LoadOptions, with_targets: bool) -> NewSamples:
    if len(schema.sample_shape) != 1:
        raise DataError(f"{path}: a table does not fit this model, trained on samples of shape {schema.sample_shape}")
    return _from_numbers(read_table(path, options, as_text=()), schema, with_targets)


def _from_numbers(table: Table, schema: Schema, with_targets: bool) -> NewSamples:
    """Return the rows of a table for a model that was trained on arrays: numbers in their order, the target last."""
    width = schema.sample_shape[0] if len(schema.sample_shape) == 1 else -1
    columns = list(table.columns)
    if len(columns) == width and not with_targets:
        features, target = columns, None
    elif len(columns) == width + 1:
        features, target = columns[:-1], columns[-1]
    else:
        raise DataError(f"{table.name}: has {len(columns)} columns; the model was trained on {width} numbers in a row")
    odd = next((column for column in features if column.kind != "number" or column.missing.any()), None)
    if odd is not None:
        raise DataError(f"{table.name}: column '{odd.name}' holds texts or missing values; the model takes numbers")
    new = fit_array(np.stack([column.values for column in features], axis=1), schema, table.name)
    if not with_targets:
        return new
    assert target is not None
    values = target.values.astype(str) if target.kind == "text" else target.values
    return replace(new, y=_targets(values, schema))


def _targets(y: Any, schema: Schema) -> Shaped[np.ndarray, "n *target"]:
    """Return targets as a training had them."""
    if schema.class_names is not None:
        try:
            return class_numbers(y, schema.class_names)
        except DataError as error:
            raise DataError(f"{error}, which the model was trained on") from error
    values: Shaped[np.ndarray, "n *target"] = np.asarray(y)
    values = values.astype(np.int32) if schema.has_whole_targets else _floats(values, "y")
    if values.shape[1:] != schema.target_shape and values.size == len(values) * schema.outputs:
        values = values.reshape(len(values), *schema.target_shape)
    return values
