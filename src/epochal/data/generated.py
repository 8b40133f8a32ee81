"""Data sets whose rows come from a source of one's own: stored somewhere, or made when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from epochal.data.dataset import Dataset, Preprocessing
from epochal.data.row_source import AnySplit, RowSource, StoredSplit
from epochal.data.split import Split
from epochal.data.trees import Tree, arrays_of, frozen, map_arrays, shape_of
from epochal.errors import DataError

_TYPES = ("uint8", "float32", "int32", "bool")


def from_rows(
    source: RowSource,
    *,
    test: Any = None,
    validation: Any = None,
    class_names: Sequence[str] | int | None = None,
    preprocessing: Preprocessing | None = None,
    name: str = "rows",
) -> Dataset:
    """Return the data set of a source of rows, of which none is read: N may be 10¹².

    Args:
        source: an object with ``samples``, ``layout``, ``fingerprint``, ``row_bytes``, ``hint`` and ``read``, as
            `epochal.data.row_source.RowSource` describes. Several threads read from it at once.
        test: the test samples: another such source, or ``(x, y)``.
        validation: likewise. Default: none.
        class_names: names of the classes 0, 1, …, or how many there are; ``None`` for a regression.
        preprocessing: from stored sample to model input. Default: 1/255 for bytes; all else stays as it is.
        name: what the set is called.

    Raises:
        DataError: for types that no model takes, test samples of another shape, and a source without a sample.
    """
    if test is None:
        raise DataError(f"{name}: a source of rows needs test samples; give test=another source, or test=(x, y)")
    names = tuple(map(str, range(class_names))) if isinstance(class_names, int) else class_names
    _check(source.layout, "training", source.samples, is_classes=names is not None)
    held = [_held_out(part, what, source.layout) for part, what in ((test, "test"), (validation, "validation"))]
    assert held[0] is not None
    return Dataset(
        name,
        StoredSplit(source),
        held[0],
        preprocessing or _as_it_is(source.layout.x),
        None if names is None else tuple(names),
        held[1],
    )


def _held_out(part: Any, what: str, layout: Split) -> AnySplit | None:
    """Return test or validation samples as a split of the training samples' layout."""
    if part is None:
        return None
    if isinstance(part, RowSource):
        split: AnySplit = StoredSplit(part)
    elif isinstance(part, tuple) and len(part) == 2:
        x = map_arrays(lambda values, wanted: frozen(np.asarray(values, wanted.dtype)), part[0], layout.x)
        split = Split(x, frozen(np.asarray(part[1], layout.y.dtype)))
    else:
        raise DataError(f"the {what} samples of a source of rows are another source, or (x, y), got {part!r:.40}")

    _check(split.layout, what, len(split), is_classes=None)
    shape, known = shape_of(split.layout.x), shape_of(layout.x)
    if shape != known:
        raise DataError(f"{what} samples have shape {shape}, training samples {known}; they must agree")
    return split


def _check(layout: Split, what: str, samples: int, *, is_classes: bool | None) -> None:
    """Raise `DataError` for what cannot be trained with."""
    if samples < 1:
        raise DataError(f"the source has no {what} samples; give at least one")
    for array in arrays_of(layout.x):
        if str(array.dtype) not in _TYPES:
            raise DataError(f"the {what} samples are {array.dtype}; a source of rows gives {', '.join(_TYPES)}")
    wanted = np.int32 if is_classes else np.float32
    if is_classes is not None and layout.y.dtype not in (wanted, np.int32):
        kind = "classes are int32" if is_classes else "values are float32"
        raise DataError(f"the {what} targets are {layout.y.dtype}; {kind}: class_names says which they are")


def _as_it_is(x: Tree) -> Preprocessing:
    def shift(array: Any) -> Any:
        return Preprocessing.of(0, 1).shift

    def scale(array: Any) -> Any:
        return Preprocessing.of(0, 1 / 255 if array.dtype == np.uint8 else 1).scale

    return Preprocessing(map_arrays(shift, x), map_arrays(scale, x))
