"""From arrays to a checked `Dataset`: nothing is dropped, filled in, clipped or rounded without a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32, Shaped

from epochal.config import Task
from epochal.data.dataset import Dataset, Preprocessing, Split, frozen
from epochal.data.draws import bits
from epochal.errors import DataError

Array: TypeAlias = Shaped[np.ndarray, "..."]

_BLOCK = 4096  # rows that are looked at together, so that a check never copies the whole array
_TEST_FRACTION = 0.2
_WHICH = ("y", "test y")


def from_arrays(
    x: Any,
    y: Any,
    *,
    test: tuple[Any, Any] | float | int | Fraction | None = None,
    name: str = "arrays",
    seed: int = 0,
    task: Task | None = None,
    class_names: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Dataset:
    """Return a `Dataset` of these samples and targets, or say what is wrong with them and in which row.

    Arrays that can be used as they are are not copied: do not change them afterwards.

    >>> data = from_arrays([[0.0], [1.0], [2.0], [3.0], [4.0]], ["low", "low", "high", "high", "high"])
    >>> data
    Dataset 'arrays': 4 training and 1 test samples of shape (1,), classification with 2 outputs
    >>> data.class_names
    ('high', 'low')

    Args:
        x: ``(n, *sample_shape)`` numbers. uint8 stays uint8; every other type becomes float32.
        y: ``(n,)`` integers, texts or booleans (classes), or ``(n,)`` or ``(n, k)`` floats (regression).
        test: ``(x, y)`` of a test split, or the fraction in (0, 1) of the samples that becomes one: chosen by
            ``seed``, in proportion from every class. The default is 0.2.
        name: what the set is called.
        seed: of that choice. The same seed, samples and fraction give the same split everywhere.
        task: overrides what the type of ``y`` says, such as ``"regression"`` for integer targets.
        class_names: names for the classes 0, 1, …; without them the distinct labels, sorted, are the classes.
        preprocessing: from stored sample to model input. The default is 1/255 for uint8; for tables ``(n, features)``
            each feature is shifted and scaled to mean 0 and deviation 1 over the training split (scale 1 where it
            is constant); for other arrays one shift and scale do so.

    Raises:
        DataError: for anything that cannot be taken as it is.
    """
    given = test if isinstance(test, tuple) else None
    xs = [_samples(x, "x")] + ([_samples(given[0], "test x")] if given else [])
    ys = [_plain(y, "y")] + ([_plain(given[1], "test y")] if given else [])
    _check_sizes(xs, ys)
    if class_names is not None or (task or _task(ys[0])) == "classification":
        names, ys = _classes(ys, task, class_names)
    else:
        names, ys = None, [_float32(values, which) for values, which in zip(ys, _WHICH, strict=False)]
    if given is None:
        chosen = held_out_rows(ys[0] if names else np.zeros(len(ys[0]), np.int32), _fraction(test), seed)
        xs = [xs[0][~chosen], xs[0][chosen]]
        ys = [ys[0][~chosen], ys[0][chosen]]
    train, held_out = (Split(frozen(xs[i]), frozen(ys[i])) for i in (0, 1))
    return Dataset(name, train, held_out, preprocessing or _default_preprocessing(train.x), names)


def held_out_rows(labels: Int[np.ndarray, " n"], fraction: Fraction, seed: int) -> Bool[np.ndarray, " n"]:
    """Return which rows form the test split: ⌈n × fraction⌉ of them, in proportion from every class.

    The rows are lined up class by class, shuffled within a class, and taken at equal distances. The first of each
    class stays with the training split, which so knows every class.
    """
    count, wanted = len(labels), ceil(len(labels) * fraction)
    line = np.lexsort((bits(count, seed, "split"), labels))
    first = np.ones(count, bool)
    first[1:] = labels[line][1:] != labels[line][:-1]
    free = line[~first]
    if len(free) < wanted:
        raise DataError(
            f"a test split of {wanted} from {count} samples would leave a class with none to train on; "
            "add samples, ask for a smaller fraction, or give the test split yourself"
        )
    place = np.arange(len(free) + 1) * wanted // max(1, len(free))
    chosen = np.zeros(count, bool)
    chosen[free[place[1:] > place[:-1]]] = True
    return chosen


def _fraction(test: Any) -> Fraction:
    """Return the test fraction as the decimal number that was written."""
    if test is None:
        test = _TEST_FRACTION
    if isinstance(test, bool) or not isinstance(test, int | float | Fraction) or not 0 < test < 1:
        raise DataError(f"test must be (x, y) or a fraction between 0 and 1 such as {_TEST_FRACTION}, got {test!r}")
    return Fraction(str(test))


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
        odd = next((row for row, value in enumerate(array.ravel()) if not isinstance(value, str)), None)
        if odd is not None:
            value = array.ravel()[odd]
            row = odd // (array.size // len(array))
            raise DataError(f"{which}: row {row} holds {value!r:.60} ({type(value).__name__}); give plain numbers")
        array = array.astype(str)

    if array.dtype.kind not in "biufU":
        raise DataError(f"{which} has type {array.dtype}; give integers, floats or (for classes) texts")
    return array


def _samples(values: Any, which: str) -> Array:
    array = _plain(values, which)
    if array.dtype.kind == "U":
        raise DataError(f"{which} holds text such as '{array.flat[0]!s:.40}'; samples are numbers, so encode it first")
    if array.ndim == 1:
        raise DataError(f"{which} has shape {array.shape}; give (samples, features), here perhaps {which}[:, None]")
    return array if array.dtype == np.uint8 else _float32(array, which)


def _check_sizes(xs: list[Array], ys: list[Array]) -> None:
    for x, y, which in zip(xs, ys, ("", "test "), strict=False):
        if len(x) != len(y):
            raise DataError(f"{which}x has {len(x):,} samples but {which}y has {len(y):,}; each needs one target")
    if xs[-1].shape[1:] != xs[0].shape[1:]:
        raise DataError(
            f"test samples have shape {xs[-1].shape[1:]}, training samples {xs[0].shape[1:]}; they must agree"
        )
    if xs[-1].dtype != xs[0].dtype:
        raise DataError(f"test samples are {xs[-1].dtype}, training samples {xs[0].dtype}; store both alike")
    if ys[-1].shape[1:] != ys[0].shape[1:]:
        raise DataError(
            f"test targets have shape {ys[-1].shape[1:]}, training targets {ys[0].shape[1:]}; they must agree"
        )


def _blocks(array: Array) -> Iterator[tuple[int, Array]]:
    return ((start, array[start : start + _BLOCK]) for start in range(0, len(array), _BLOCK))


def _float32(array: Array, which: str) -> Float32[np.ndarray, ...]:
    """Return ``array`` as float32 if it is finite and float32 can tell its values apart."""
    if array.dtype.kind == "U":
        raise DataError(f"{which} holds text such as '{array.flat[0]!s:.40}'; regression needs numbers")
    with np.errstate(over="ignore"):
        short = array.astype(np.float32, copy=False)

    for start, block in _blocks(short):
        good = np.isfinite(block).reshape(len(block), -1)
        if not good.all():
            row, column = (int(i) for i in np.argwhere(~good)[0])
            value = array[start + row].ravel()[column]
            cause = "beyond 32-bit floats" if np.isfinite(value) else "a missing or overflowed value"
            raise DataError(f"{which}: row {start + row} (from 0) holds {value} ({cause}); fix or remove that row")

    if array.dtype.kind != "b" and array.dtype.itemsize > 2 and array.dtype != np.float32:
        _check_resolution(array, short, which)
    return short


def _check_resolution(array: Array, short: Float32[np.ndarray, ...], which: str) -> None:
    """Refuse values such as 1,700,000,000 ± 50, which float32 would round to a handful of steps."""
    axis = 0 if array.ndim == 2 else None
    lost = np.max([np.abs(block - short[at : at + _BLOCK]).max(axis=axis) for at, block in _blocks(array)], axis=0)
    mean, deviation = _moments(array)
    low, high = _extremes(array)
    coarse = np.atleast_1d((low < high) & (lost > deviation / 1000))
    if coarse.any():
        feature = int(np.argmax(coarse))
        where = f", feature {feature}" if array.ndim == 2 else ""
        raise DataError(
            f"{which}{where}: values near {np.atleast_1d(mean)[feature]:.6g} differ too little for 32-bit floats; "
            "subtract an offset first"
        )


def _moments(array: Array) -> tuple[Float64[np.ndarray, ...], Float64[np.ndarray, ...]]:
    """Return mean and standard deviation: of each feature of a table, of all values of any other array."""
    axis = 0 if array.ndim == 2 else None
    count = len(array) if array.ndim == 2 else array.size
    mean = np.sum([block.sum(axis=axis, dtype=np.float64) for _, block in _blocks(array)], axis=0) / count
    squares = [np.square(block.astype(np.float64) - mean).sum(axis=axis) for _, block in _blocks(array)]
    return np.asarray(mean), np.asarray(np.sqrt(np.sum(squares, axis=0) / count))


def _extremes(array: Array) -> tuple[Array, Array]:
    """Return the least and the greatest value: of each feature of a table, of all values of any other array."""
    axis = 0 if array.ndim == 2 else None
    low = np.min([block.min(axis=axis) for _, block in _blocks(array)], axis=0)
    high = np.max([block.max(axis=axis) for _, block in _blocks(array)], axis=0)
    return np.asarray(low), np.asarray(high)


def _default_preprocessing(x: Array) -> Preprocessing:
    """Return the default preprocessing for training samples ``x``."""
    if x.dtype == np.uint8:
        return Preprocessing.of(shift=0, scale=1 / 255)
    low, high = _extremes(x)
    mean, deviation = _moments(x)
    varies = (low < high) & (deviation > 1e-30)  # below that, 1 / deviation is beyond float32
    scale = np.divide(1.0, deviation, where=varies, out=np.ones_like(deviation))
    return Preprocessing.of(shift=np.where(varies, mean, low), scale=scale)


def _task(y: Array) -> Task:
    return "regression" if y.dtype.kind == "f" else "classification"


def _classes(
    ys: list[Array], task: Task | None, class_names: Sequence[str] | None
) -> tuple[tuple[str, ...], list[Int32[np.ndarray, " n"]]]:
    """Return the names of the classes and each split's labels as class numbers."""
    if task == "regression":
        raise DataError("class names were given for a regression; leave out one of the two")
    labels = [_labels(y, which, named=class_names is not None) for y, which in zip(ys, _WHICH, strict=False)]

    # the classes that there are, sorted
    if class_names is None:
        known: Array = np.unique(labels[0])
    elif labels[0].dtype.kind == "U":
        known = np.unique(np.array(class_names, str))
    else:
        known = np.arange(len(class_names))

    # very many different integers may be meant as quantities
    if class_names is None and task is None and known.dtype.kind == "i" and len(known) > max(20, len(ys[0]) // 5):
        raise DataError(
            f"y holds {len(known):,} different integers in {len(ys[0]):,} rows: quantities or classes? "
            "Say task='regression' or task='classification'"
        )

    names = tuple(str(name) for name in (known if class_names is None else class_names))
    if len(set(names)) != len(names):
        raise DataError(
            f"class_names holds '{next(n for n in names if names.count(n) > 1)}' twice; each class needs its own"
        )
    order = np.argsort(np.array(names)) if known.dtype.kind == "U" else np.arange(len(known))
    return names, [_numbers(values, known, order, which) for values, which in zip(labels, _WHICH, strict=False)]


def _labels(y: Array, which: str, *, named: bool) -> Array:
    """Return labels as texts or non-negative int64; booleans number the classes where those are ``named``."""
    if y.ndim != 1:
        raise DataError(f"{which} has shape {y.shape}; give one label for each sample, such as {which}.argmax(axis=1)")
    if y.dtype.kind == "U":
        return y
    if y.dtype.kind == "b":
        return y.astype(np.int64 if named else str)

    good = (y >= 0) & (y <= 2**53)  # false for NaN
    if y.dtype.kind == "f":
        good &= y == np.floor(y)

    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            f"{which}: row {row} (from 0) has the label {y[row]}; class labels are whole numbers from 0, or texts"
        )
    return y.astype(np.int64)


def _numbers(labels: Array, known: Array, order: Array, which: str) -> Int32[np.ndarray, " n"]:
    """Return each label's class number; ``known`` is sorted, and ``order`` says which class each of it is."""
    if labels.dtype.kind != known.dtype.kind:
        raise DataError(
            f"{which} holds labels such as {labels[0]!s:.40}, y holds {known[0]!s:.40}; use texts or integers in both"
        )
    place = np.minimum(np.searchsorted(known, labels), len(known) - 1)
    strange = known[place] != labels
    if strange.any():
        row = int(np.argmax(strange))
        shown = f"{known[0]} to {known[-1]}" if len(known) > 12 else ", ".join(str(k) for k in known)
        raise DataError(f"{which}: row {row} (from 0) has the label {labels[row]!s:.40}, outside the classes {shown}")
    return order[place].astype(np.int32)
