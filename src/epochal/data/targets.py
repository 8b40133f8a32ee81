"""What targets mean: classes or numbers, by their type and values, and what the user says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int32, Shaped

from epochal.config.train_config import Task
from epochal.errors import DataError

Array: TypeAlias = Shaped[np.ndarray, "..."]

_WHICH = ("y", "test y", "validation y")
_FEW = 20  # this many different whole numbers may always be classes
_EACH = 20  # more of them, only where there are this many samples of each


class Meaning(NamedTuple):
    """What targets mean.

    Attributes:
        classes: the class names; ``None`` for a regression.
        ys: each split's class numbers, or its values as they came.
        note: a sentence for the user where it was a decision; ``""`` where it was plain.
    """

    classes: tuple[str, ...] | None
    ys: list[Array]
    note: str = ""


def read_targets(
    ys: list[Array],
    task: Task | None = None,
    class_names: Sequence[str] | None = None,
    whiches: Sequence[str] = _WHICH,
) -> Meaning:
    """Return what the targets of the splits mean, the training split's first.

    Texts and truth values are classes. Whole numbers are classes where there are few of them, or many samples of each;
    else they are quantities. Floats are quantities, but for 0.0 and 1.0, -1.0 and 1.0, or 0.0, 1.0, 2.0 …, which are
    classes that went through a table. Rows with a single 1 among zeros are one-hot classes. ``(n, 1)`` is ``(n,)``.

    Args:
        ys: ``(n,)`` or ``(n, k)`` integers, floats, truth values or texts.
        task: overrides what they look like.
        class_names: names for the classes 0, 1, …, or all texts that are classes.
        whiches: what the splits' targets are called in messages.

    Raises:
        DataError: where they cannot be what they should be, with the row.
    """
    if task == "regression":
        if class_names is not None:
            raise DataError("class names were given for a regression; leave out one of the two")
        return Meaning(None, ys)

    if is_one_hot(ys[0]) and all(y.ndim == 2 for y in ys):
        _check_one_hot(ys, whiches)
        names = tuple(map(str, class_names or range(ys[0].shape[1])))
        if len(names) != ys[0].shape[1]:
            raise DataError(f"{len(names)} class names for one-hot targets of {ys[0].shape[1]} columns; give one each")
        return Meaning(
            names, [y.argmax(axis=1).astype(np.int32) for y in ys], note="one-hot targets are taken as classes"
        )

    is_classes, note = (True, "") if task or class_names is not None else _look(ys[0])
    if not is_classes:
        return Meaning(None, ys, note)
    flat = [y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y for y in ys]
    names, numbers = _classes(flat, class_names, whiches)
    if len(names) == 1:
        note = f"all targets are '{names[0]}': there is nothing to learn"
    return Meaning(names, numbers, note)


def is_one_hot(y: Array) -> bool:
    """Return whether each row holds a single 1 and else zeros, in at least two columns that are all used."""
    if y.ndim != 2 or y.shape[1] < 2 or y.dtype.kind not in "biuf":
        return False
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all() and (y.sum(axis=0) > 0).sum() > 1)


def _check_one_hot(ys: list[Array], whiches: Sequence[str]) -> None:
    for y, which in zip(ys, whiches, strict=False):
        bad = ~(((y == 0) | (y == 1)).all(axis=1) & (y.sum(axis=1) == 1))
        if bad.any() or y.shape[1] != ys[0].shape[1]:
            row = int(np.argmax(bad))
            raise DataError(f"{which}: row {row} (from 0) is {y[row]}, which is not one-hot as in y")


def _look(y: Array) -> tuple[bool, str]:
    """Return whether targets look like classes, and the sentence that says so where it could be otherwise."""
    kind = y.dtype.kind
    if kind in "Ub":
        return True, ""
    if y.ndim > 1 and y.shape[1:] != (1,):
        if kind in "iu" and set(np.unique(y[:1000])) <= {0, 1}:
            raise DataError(
                f"y has shape {y.shape} and holds 0 and 1, several to a row: one sample of several classes is not "
                "supported; give one label for each sample, or task='regression' for values"
            )
        return False, ""

    if kind == "f" and not (y == np.floor(y)).all():  # also where it is not finite
        return False, ""
    known = np.unique(y)
    count, low, high = len(known), float(known[0]), float(known[-1])
    in_a_row = high - low == count - 1

    if kind == "f":
        is_few = 2 <= count <= min(_FEW, max(2, len(y) // 5), len(y) // 2)
        is_classes = is_few and (in_a_row or (low, high, count) == (-1, 1, 2))
        return is_classes, _sentence(y, count, is_classes) if count > 1 else ""

    if len(y) >= _FEW and count > len(y) // 2:
        is_classes = False
    elif count <= _FEW:
        return True, ""
    else:
        is_classes = in_a_row and low in (0, 1) and len(y) >= _EACH * count
    return is_classes, _sentence(y, count, is_classes)


def _sentence(y: Array, count: int, is_classes: bool) -> str:
    taken, other = ("classes", "regression") if is_classes else ("quantities, a regression", "classification")
    return f"the targets are whole numbers, {count:,} different ones: taken as {taken} (--task {other} if not)"


def _classes(
    ys: list[Array], class_names: Sequence[str] | None, whiches: Sequence[str]
) -> tuple[tuple[str, ...], list[Array]]:
    """Return the names of the classes and each split's labels as class numbers."""
    labels = [_labels(y, which, named=class_names is not None) for y, which in zip(ys, whiches, strict=False)]

    # the classes that there are, sorted
    if class_names is None:
        known: Array = np.unique(labels[0])
    elif labels[0].dtype.kind == "U":
        known = np.unique(np.array(class_names, str))
    else:
        known = np.arange(len(class_names))

    names = tuple(str(name) for name in (known if class_names is None else class_names))
    if len(set(names)) != len(names):
        raise DataError(
            f"class_names holds '{next(n for n in names if names.count(n) > 1)}' twice; each class needs its own"
        )
    order = np.argsort(np.array(names)) if known.dtype.kind == "U" else np.arange(len(known))
    return names, [_numbers(values, known, order, which) for values, which in zip(labels, whiches, strict=False)]


def _labels(y: Array, which: str, *, named: bool) -> Array:
    """Return labels as texts or int64; booleans number the classes where those are ``named``."""
    if y.ndim != 1:
        raise DataError(f"{which} has shape {y.shape}; give one label for each sample, such as {which}.argmax(axis=1)")
    if y.dtype.kind == "U":
        return y
    if y.dtype.kind == "b":
        return y.astype(np.int64 if named else str)

    if y.dtype.kind in "iu" and y.dtype.itemsize <= 4:  # all of them are whole, however many there are
        return y.astype(np.int64)
    good = np.abs(y.astype(np.float64)) <= 2**53  # false for NaN
    if y.dtype.kind == "f":
        good &= y == np.floor(y)
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(f"{which}: row {row} (from 0) has the label {y[row]}; class labels are whole numbers, or texts")
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
    numbers: Int32[np.ndarray, " n"] = order[place].astype(np.int32)
    return numbers


def class_numbers(y: Any, names: Sequence[str], which: str = "y") -> Int32[np.ndarray, " n"]:
    """Return labels of new data as the numbers of classes that are known by name; ``y`` is an array of any kind.

    Raises `DataError` for a label that is none of them.
    """
    array = np.asarray(y)
    if is_one_hot(array) and array.shape[1] == len(names):
        chosen: Int32[np.ndarray, " n"] = array.argmax(axis=1).astype(np.int32)
        return chosen
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "f" and (array == np.floor(array)).all():
        array = array.astype(np.int64)

    known = np.array(names, str)
    order = np.argsort(known)
    return _numbers(array.astype(str), known[order], order, which)
