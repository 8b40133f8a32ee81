"""From arrays to a checked `Dataset`: nothing is dropped, filled in, clipped or rounded without a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float32, Shaped

from epochal.config.train_config import Task
from epochal.data.dataset import Dataset, Preprocessing
from epochal.data.split import Split
from epochal.data.splitting import (
    Fold,
    Readable,
    as_fraction,
    blocks,
    default_preprocessing,
    extremes,
    held_out_rows,
    moments,
    scaling_of,
    split_rows,
)
from epochal.data.tables.frame_reader import read_objects
from epochal.data.targets import is_one_hot, read_targets
from epochal.data.trees import Tree, arrays_of, frozen, is_several, labelled, map_arrays, shape_of, take
from epochal.errors import DataError

Array: TypeAlias = Shaped[np.ndarray, "..."]

_CHANNELS = (1, 3, 4)
_SMALLEST_PICTURE = 8

__all__ = ["from_arrays", "held_out_rows", "to_samples"]


def from_arrays(
    x: Any,
    y: Any,
    *,
    test: tuple[Any, Any] | float | int | Fraction | Fold | None = None,
    validation: tuple[Any, Any] | float | Fraction | None = None,
    weights: Any = None,
    name: str = "arrays",
    seed: int = 0,
    task: Task | None = None,
    class_names: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    as_given: bool = False,
) -> Dataset:
    """Return a `Dataset` of these samples and targets, or say what is wrong with them and in which row.

    Arrays that can be used as they are are not copied: do not change them afterwards.

    >>> data = from_arrays([[0.0], [1.0], [2.0], [3.0], [4.0]], ["low", "low", "high", "high", "high"])
    >>> data
    Dataset 'arrays': 4 training and 1 test samples of shape (1,), classification with 2 outputs
    >>> data.class_names
    ('high', 'low')

    Args:
        x: ``(n, *sample_shape)`` numbers. uint8 stays uint8; every other type becomes float32. Pictures with channels
            first, ``(n, 3, height, width)``, become ``(n, height, width, 3)``.
        y: ``(n,)`` integers, texts or booleans (classes), or ``(n,)`` or ``(n, k)`` floats (regression); what whole
            numbers, one-hot rows and 0.0 and 1.0 are, `epochal.data.targets.read_targets` says.
        test: ``(x, y)`` of a test split, or the fraction in (0, 1) of the samples that becomes one: chosen by
            ``seed``, in proportion from every class. The default is 0.2.
        validation: likewise, from the samples that are left. Default: none.
        weights: ``(n,)`` how much each sample counts in training, at least 0; they are scaled to mean 1.
        name: what the set is called.
        seed: of that choice. The same seed, samples and fraction give the same split everywhere.
        task: overrides what ``y`` looks like, such as ``"regression"`` for integer targets.
        class_names: names for the classes 0, 1, …; without them the distinct labels, sorted, are the classes.
        preprocessing: from stored sample to model input. The default is 1/255 for uint8; for tables ``(n, features)``
            each feature is shifted and scaled to mean 0 and deviation 1 over the training split (scale 1 where it
            is constant); for other arrays one shift and scale do so, but floats from 0 to 1 stay as they are.
        as_given: for a model of your own: integers, such as token ids, stay integers, and channels stay where they are;
            samples of several parts, a dictionary or a tuple of arrays, are taken, whose truth values are masks.

    Raises:
        DataError: for anything that cannot be taken as it is.
    """
    pairs = [pair for pair in (test, validation) if isinstance(pair, tuple)]
    whats = [what for what, pair in (("test ", test), ("validation ", validation)) if isinstance(pair, tuple)]
    notes: list[str] = []
    xs = [
        _to_parts(one, f"{what}x", as_given=as_given, notes=notes if not what else None)
        for one, what in [(x, ""), *((pair[0], what) for pair, what in zip(pairs, whats, strict=True))]
    ]
    ys = [_plain(one, f"{what}y") for one, what in [(y, ""), *((p[1], w) for p, w in zip(pairs, whats, strict=True))]]
    _check_sizes(xs, ys, ["", *whats])

    whiches = [f"{what}y" for what in ("", *whats)]
    if as_given and task is None and class_names is None and all(_is_several_to_each(y) for y in ys):
        task = "regression"  # such as a token at each place, which a loss of one's own knows what to do with
    meaning = read_targets(ys, task, class_names, whiches)
    names, ys = meaning.classes, meaning.ys
    if names is None and as_given and all(y.dtype.kind in "iu" and y.ndim > 1 for y in ys):
        ys = [to_samples(values, which, as_given=True) for values, which in zip(ys, whiches, strict=True)]
        ys = [values.astype(np.int32) for values in ys]
    elif names is None:
        ys = [to_float32(values, which) for values, which in zip(ys, whiches, strict=True)]
    rows = split_rows(
        ys[0] if names else np.zeros(len(ys[0]), np.int32),
        None if isinstance(test, tuple) else as_fraction(test),
        None if isinstance(validation, tuple) or validation is None else as_fraction(validation, "validation"),
        seed,
    )

    everything = rows.test is None and rows.validation is None
    weight = None if weights is None else _weights(weights, len(ys[0]))[rows.train]
    if weight is not None:
        weight = frozen((weight / weight.mean()).astype(np.float32))
    own = (xs[0], ys[0]) if everything else (take(xs[0], rows.train), ys[0][rows.train])
    train = Split(map_arrays(frozen, own[0]), frozen(own[1]), weight)

    given = iter(zip(xs[1:], ys[1:], strict=True))

    def held(part: Any, taken: Array | None) -> Split:
        x, y = next(given) if isinstance(part, tuple) else (take(xs[0], taken), ys[0][taken])
        return Split(map_arrays(frozen, x), frozen(y))

    held_out = held(test, rows.test)
    return Dataset(
        name,
        train,
        held_out,
        preprocessing or default_preprocessing(train.x),
        names,
        None if validation is None else held(validation, rows.validation),
        None if names or train.y.dtype.kind == "i" else scaling_of(train.y),
        notes=(*notes, *filter(None, [meaning.note])),
    )


def _to_parts(values: Any, which: str, *, as_given: bool, notes: list[str] | None) -> Tree:
    """Return samples in storage type, also those of several parts. Raises `DataError` where those cannot be taken."""
    if not is_several(values) or not _is_of_arrays(values):
        return to_samples(values, which, as_given=as_given, notes=notes)
    if not as_given:
        raise DataError(f"{which} has several parts, {_parts(values)}; the built-in models take one array of samples")

    labels = iter([label for label, _ in labelled(values, which)])
    return map_arrays(lambda one: _to_part(one, next(labels)), _sorted(values))


def _is_of_arrays(values: Any) -> bool:
    """Return whether each part is an array, and not a row of numbers or a number."""
    leaves = arrays_of(values)
    return bool(leaves) and all(getattr(one, "ndim", 0) > 0 for one in leaves)


def _sorted(tree: Any) -> Tree:
    """Return a tree whose dictionaries are in the order of their names, whatever order they were given in."""
    if isinstance(tree, Mapping):
        return {str(name): _sorted(tree[name]) for name in sorted(tree, key=str)}
    return tuple(map(_sorted, tree)) if isinstance(tree, tuple) else tree


def _to_part(values: Any, which: str) -> Array:
    """Return one part of samples; truth values stay what they are, and a number a sample needs no second axis."""
    array = np.asarray(values)
    if array.dtype == bool:
        return array
    return (
        to_samples(array[:, None], which, as_given=True)[:, 0]
        if array.ndim == 1
        else to_samples(array, which, as_given=True)
    )


def _parts(values: Any) -> str:
    return ", ".join(map(str, values)) if isinstance(values, Mapping) else f"{len(values)} of them"


def _is_several_to_each(y: Array) -> bool:
    """Return whether each sample has several whole numbers as its target, and they are not one-hot."""
    return y.ndim > 1 and y.shape[1:] != (1,) and y.dtype.kind in "iu" and not is_one_hot(y)


def _plain(values: Any, which: str) -> Array:
    """Return ``values`` as a plain array of numbers, booleans or texts, at least one row of it."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        row = int(np.argmax(np.ma.getmaskarray(values).reshape(len(values), -1).any(axis=1)))
        raise DataError(f"{which}: row {row} has a masked (missing) value; fill it in or leave the row out")

    # lists become arrays here, and ragged ones are told apart
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{which}: its rows have different lengths; every sample needs the same shape") from error

    if array.ndim == 0:
        raise DataError(f"{which} is the single value {array!r:.60}; give one row for each sample")
    if not array.size:
        raise DataError(f"{which} is empty: its shape is {array.shape}; give at least one sample")

    if array.dtype == object:
        array = _from_objects(array, which)

    if array.dtype.kind not in "biufU":
        raise DataError(f"{which} has type {array.dtype}; give integers, floats or (for classes) texts")
    return array


def _from_objects(array: Array, which: str) -> Array:
    """Return an array of Python objects as numbers or texts. Raises `DataError` for others, with row and column."""
    columns = array.reshape(len(array), -1).T
    read: list[Array] = []
    for number, values in enumerate(columns):
        column = read_objects(list(values), str(number), which)
        if column.kind not in ("number", "boolean", "text"):
            raise DataError(f"{which}: column {number} holds dates such as {values[0]}; give numbers, or a frame")
        if column.missing.any():
            row = int(np.argmax(column.missing))
            raise DataError(f"{which}: row {row} holds {values[row]!r:.60}, a missing value; fill it in")
        if column.kind == "text" and len(columns) > 1:
            raise DataError(
                f"{which}: column {number} holds text such as {values[0]!r:.40}; samples are numbers: encode it, or "
                "give a frame or a table, whose columns are encoded"
            )
        kinds = {"text": str, "boolean": bool, "number": np.int64 if column.whole else np.float64}
        read.append(column.values.astype(kinds[column.kind]))
    return np.stack(read, axis=1).reshape(array.shape)


def to_samples(values: Any, which: str, *, as_given: bool = False, notes: list[str] | None = None) -> Array:
    """Return samples in storage type: uint8 or float32, with channels last; integers as int32 if all is as given.

    Raises `DataError` for what cannot be taken; ``notes`` is told what was changed.
    """
    array = _plain(values, which)
    if array.dtype.kind == "U":
        raise DataError(f"{which} holds text such as '{array.flat[0]!s:.40}'; samples are numbers, so encode it first")
    if array.ndim == 1:
        raise DataError(f"{which} has shape {array.shape}; give (samples, features), here perhaps {which}[:, None]")

    if not as_given and has_channels_first(array.shape):
        array = np.moveaxis(array, 1, -1)
        if notes is not None:
            notes.append(f"{which}: channels come first; they are put last: {array.shape[1:]}")
    if array.dtype == np.uint8:
        return array
    if as_given and array.dtype.kind in "iu":
        low, high = int(array.min()), int(array.max())
        if not -(2**31) <= low <= high < 2**31:
            raise DataError(f"{which} holds {low if low < -(2**31) else high}, beyond 32-bit integers")
        return array.astype(np.int32)

    return to_float32(array, which)


def has_channels_first(shape: tuple[int, ...]) -> bool:
    """Return whether an array of this shape looks like pictures with channels first, ``(n, 3, height, width)``."""
    if len(shape) != 4:
        return False
    channels, *size = shape[1:]
    return channels in _CHANNELS and min(size) >= _SMALLEST_PICTURE


def _weights(weights: Any, count: int) -> Array:
    """Return a weight for each sample. Raises `DataError` for other shapes and values below 0."""
    array = to_float32(_plain(weights, "weights"), "weights")
    if array.shape != (count,):
        raise DataError(f"weights have shape {array.shape} for {count:,} samples; give one for each, ({count:,},)")
    if (array < 0).any() or not array.any():
        raise DataError(f"weights must be at least 0, and some above; the least is {array.min()}")
    return array


def _check_sizes(xs: list[Tree], ys: list[Array], whats: list[str]) -> None:
    for x, y, which in zip(xs, ys, whats, strict=True):
        for label, array in labelled(x, f"{which}x"):
            if len(array) != len(y):
                raise DataError(
                    f"{label} has {len(array):,} samples but {which}y has {len(y):,}; each needs one target"
                )
    for x, y, which in zip(xs[1:], ys[1:], whats[1:], strict=True):
        shape, known = shape_of(x), shape_of(xs[0])
        if shape != known:
            raise DataError(f"{which}samples have shape {shape}, training samples {known}; they must agree")
        for one, other in zip(arrays_of(x), arrays_of(xs[0]), strict=True):
            if one.dtype != other.dtype:
                raise DataError(f"{which}samples are {one.dtype}, training samples {other.dtype}; store both alike")
        if y.shape[1:] != ys[0].shape[1:]:
            raise DataError(
                f"{which}targets have shape {y.shape[1:]}, training targets {ys[0].shape[1:]}; they must agree"
            )


def to_float32(array: Array, which: str) -> Float32[np.ndarray, ...]:
    """Return ``array`` as float32 if it is finite and float32 can tell its values apart."""
    if array.dtype.kind == "U":
        raise DataError(f"{which} holds text such as '{array.flat[0]!s:.40}'; regression needs numbers")
    with np.errstate(over="ignore"):
        short = array.astype(np.float32, copy=False)

    for start, block in blocks(short):
        good = np.isfinite(block).reshape(len(block), -1)
        if not good.all():
            row, column = (int(i) for i in np.argwhere(~good)[0])
            value = array[start + row].ravel()[column]
            cause = "beyond 32-bit floats" if np.isfinite(value) else "a missing or overflowed value"
            raise DataError(f"{which}: row {start + row} (from 0) holds {value} ({cause}); fix or remove that row")

    if array.dtype.kind != "b" and array.dtype.itemsize > 2 and array.dtype != np.float32:
        check_resolution(array, short, which)
    return short


def check_resolution(array: Readable, short: Readable, which: str) -> None:
    """Refuse values such as 1,700,000,000 ± 50, which float32 would round to a handful of steps."""
    axis = 0 if array.ndim == 2 else None
    lost = np.max([np.abs(block - short[at : at + len(block)]).max(axis=axis) for at, block in blocks(array)], axis=0)
    mean, deviation = moments(array)
    low, high = extremes(array)
    coarse = np.atleast_1d((low < high) & (lost > deviation / 1000))
    if coarse.any():
        feature = int(np.argmax(coarse))
        where = f", feature {feature}" if array.ndim == 2 else ""
        raise DataError(
            f"{which}{where}: values near {np.atleast_1d(mean)[feature]:.6g} differ too little for 32-bit floats; "
            "subtract an offset first"
        )
