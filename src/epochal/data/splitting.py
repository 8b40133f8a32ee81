"""Splits of samples, and what is taken from the training split alone: preprocessing, and the scaling of targets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Shaped

from epochal.data.dataset import Dataset, Preprocessing, TargetScaling
from epochal.data.draws import bits
from epochal.data.row_source import AnySplit, StoredSplit
from epochal.data.some_rows import some_of, targets_of
from epochal.data.trees import Tree, frozen, map_arrays
from epochal.errors import DataError

TEST_FRACTION = 0.2
_BLOCK = 4096  # rows that are looked at together, so that a check never copies the whole array

Array: TypeAlias = Shaped[np.ndarray, "..."]

Readable: TypeAlias = Any
"""An array, or what has its type, its shape and its rows by slices: samples that are read when they are cut."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One of several equal parts of all samples, which is the test set: ``number`` of ``count``, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Fold:
        """Read ``2/5``. Raises `DataError` for anything else."""
        match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
        fold = cls(int(match[1]), int(match[2])) if match else cls(0, 0)
        if fold.count < 2 or not 1 <= fold.number <= fold.count:
            raise DataError(f"a fold is one of several, such as 2/5, got {text!r}")
        return fold

    def rows(self, labels: Int[np.ndarray, " n"], seed: int) -> Bool[np.ndarray, " n"]:
        """Return which rows are in the fold: every ``count``-th of the rows, shuffled within their class."""
        if len(labels) < self.count:
            raise DataError(f"{len(labels)} samples cannot be divided into {self.count} folds; take fewer")
        line = np.lexsort((bits(len(labels), seed, "split"), labels))
        chosen = np.zeros(len(labels), bool)
        chosen[line[self.number - 1 :: self.count]] = True
        return chosen


def as_fraction(share: Any, what: str = "test") -> Fraction | Fold:
    """Return a share as the decimal number that was written; `TEST_FRACTION` for ``None``, and a fold as it is."""
    if isinstance(share, Fold):
        return share
    if share is None:
        share = TEST_FRACTION
    if isinstance(share, bool) or not isinstance(share, int | float | Fraction) or not 0 < share < 1:
        raise DataError(f"{what} must be (x, y) or a fraction between 0 and 1 such as {TEST_FRACTION}, got {share!r}")
    return Fraction(str(share))


class Rows(NamedTuple):
    """Which rows form which split; ``None`` where they come from elsewhere."""

    train: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"] | None
    validation: Int[np.ndarray, " validation"] | None


def split_rows(
    labels: Int[np.ndarray, " n"], test: Fraction | Fold | None, validation: Fraction | Fold | None, seed: int
) -> Rows:
    """Return the rows of each split: test rows first, then validation rows of what is left.

    Args:
        labels: class numbers, by which a split is in proportion; all alike for a regression.
        test: the share of all rows, or a fold; ``None``: none.
        validation: the share of the rows that are not test rows; ``None``: none.
        seed: of the choice.
    """
    held_out = validating = None
    if test is None:
        rows = np.arange(len(labels))
    else:
        chosen = test.rows(labels, seed) if isinstance(test, Fold) else held_out_rows(labels, test, seed)
        rows, held_out = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    if validation is not None:
        assert isinstance(validation, Fraction)
        chosen = held_out_rows(labels[rows], validation, seed, "validation")
        rows, validating = rows[~chosen], rows[chosen]
    return Rows(rows, held_out, validating)


def held_out_rows(
    labels: Int[np.ndarray, " n"], fraction: Fraction, seed: int, purpose: str = "split"
) -> Bool[np.ndarray, " n"]:
    """Return which rows form the test split: ⌈n × fraction⌉ of them, in proportion from every class.

    The rows are lined up class by class, shuffled within a class, and taken at equal distances. The first of each
    class stays with the training split, which so knows every class.
    """
    count, wanted = len(labels), ceil(len(labels) * fraction)
    line = np.lexsort((bits(count, seed, purpose), labels))
    first = np.ones(count, bool)
    in_line = labels[line]
    first[1:] = in_line[1:] != in_line[:-1]
    free = line[~first]
    del line, in_line, first  # there may be as many as the memory holds
    if len(free) < wanted:
        what = "test" if purpose == "split" else purpose
        raise DataError(
            f"a {what} split of {wanted} from {count} samples would leave a class with none to train on; "
            f"add samples, ask for a smaller fraction, or give the {what} split yourself"
        )
    chosen = np.zeros(count, bool)
    for start, some in blocks(free):
        place = np.arange(start, start + len(some) + 1) * wanted // len(free)
        chosen[some[place[1:] > place[:-1]]] = True

    return chosen


def with_validation(data: Dataset, share: Any, seed: int) -> Dataset:
    """Return a data set that has its test split with a validation split: a share of the training samples.

    Its preprocessing is not fitted to samples. ``None`` is no share: then the data set is returned as it is.
    """
    if share is None:
        return data
    fraction = as_fraction(share, "validation")
    train, labels = _divisible(data)
    rows = split_rows(labels, None, fraction, seed)
    assert rows.train is not None
    assert rows.validation is not None
    return replace(data, train=_part(train, rows.train), validation=_part(train, rows.validation))


def with_fold(data: Dataset, fold: Fold | None, seed: int) -> Dataset:
    """Return a data set that has its own test split with a fold of the training samples in its place."""
    if fold is None:
        return data
    whole, labels = _divisible(data)
    chosen = fold.rows(labels, seed)
    train, test = (_part(whole, np.flatnonzero(rows)) for rows in (~chosen, chosen))
    return replace(data, train=train, test=test)


def _divisible(data: Dataset) -> tuple[AnySplit, Shaped[np.ndarray, " n"]]:
    """Return the training samples, in memory if they fit, with their classes, or zeros for none."""
    train = data.train
    if isinstance(train, StoredSplit) and not train.fits_in_memory:
        classes = targets_of(train) if data.class_names is not None else np.zeros(len(train), np.int32)
        return train, classes
    whole = train.whole()
    return whole, whole.y if data.class_names is not None else np.zeros(len(whole), np.int32)


def _part(split: AnySplit, rows: Int[np.ndarray, " n"]) -> AnySplit:
    return some_of(split, rows.astype(np.int64)) if isinstance(split, StoredSplit) else split.take(rows)


def with_balanced_classes(data: Dataset) -> Dataset:
    """Return a data set whose training samples weigh so that all classes count alike, times their own weight."""
    train = data.train.whole()
    counts = np.bincount(train.y, minlength=len(data.class_names or ()))
    own = np.ones(len(train), np.float64) if train.weight is None else train.weight.astype(np.float64)
    weight = own / np.maximum(counts, 1)[train.y]
    return replace(data, train=replace(train, weight=frozen((weight / weight.mean()).astype(np.float32))))


def default_preprocessing(x: Tree) -> Preprocessing:
    """Return the default preprocessing for training samples ``x``, in storage type; of each part for itself."""
    each = map_arrays(_preprocessing_of, x)
    return Preprocessing(map_arrays(lambda _, one: one.shift, x, each), map_arrays(lambda _, one: one.scale, x, each))


def _preprocessing_of(x: Readable) -> Preprocessing:
    if x.dtype == np.uint8:
        return Preprocessing.of(shift=0, scale=1 / 255)
    if x.dtype.kind in "ib":
        return Preprocessing.of(shift=0, scale=1)
    low, high = extremes(x)
    if x.ndim >= 3 and low == 0 and high > 0:
        # pictures as floats train as the same pictures in bytes do
        if high <= 1:
            return Preprocessing.of(shift=0, scale=1)
        if high <= 255 and all((block == np.floor(block)).all() for _, block in blocks(x)):
            return Preprocessing.of(shift=0, scale=1 / 255)

    mean, deviation = moments(x)
    varies = (low < high) & (deviation > 1e-30)  # below that, 1 / deviation is beyond float32
    scale = np.divide(1.0, deviation, where=varies, out=np.ones_like(deviation))
    return Preprocessing.of(shift=np.where(varies, mean, low), scale=scale)


def scaling_of(y: Float32[np.ndarray, "n *target"]) -> TargetScaling:
    """Return the mean and the deviation of each target over the training split."""
    rows = y.reshape(len(y), -1).astype(np.float64)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    varies = (rows.min(axis=0) < rows.max(axis=0)) & (deviation > 1e-30)
    shift, scale = mean, np.where(varies, deviation, 1.0)
    return TargetScaling(frozen(shift.astype(np.float32)), frozen(scale.astype(np.float32)))


def blocks(array: Readable) -> Iterator[tuple[int, Array]]:
    """Yield an array in blocks of rows, each with its first row's number."""
    return ((start, array[start : start + _BLOCK]) for start in range(0, len(array), _BLOCK))


def moments(array: Readable) -> tuple[Float64[np.ndarray, ...], Float64[np.ndarray, ...]]:
    """Return mean and standard deviation: of each feature of a table, of all values of any other array."""
    axis = 0 if array.ndim == 2 else None
    count = len(array) if array.ndim == 2 else array.size
    mean = np.sum([block.sum(axis=axis, dtype=np.float64) for _, block in blocks(array)], axis=0) / count
    squares = [np.square(block.astype(np.float64) - mean).sum(axis=axis) for _, block in blocks(array)]
    return np.asarray(mean), np.asarray(np.sqrt(np.sum(squares, axis=0) / count))


def extremes(array: Readable) -> tuple[Array, Array]:
    """Return the least and the greatest value: of each feature of a table, of all values of any other array."""
    axis = 0 if array.ndim == 2 else None
    low = np.min([block.min(axis=axis) for _, block in blocks(array)], axis=0)
    high = np.max([block.max(axis=axis) for _, block in blocks(array)], axis=0)
    return np.asarray(low), np.asarray(high)
