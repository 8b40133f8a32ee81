from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epochal.data.arrays import from_arrays, held_out_rows
from epochal.data.dataset import Preprocessing
from epochal.errors import DataError

X = np.arange(40, dtype=np.float32).reshape(20, 2) % 7
Y = np.arange(20) % 4


# --- What the types of x and y mean -----------------------------------------------------------------------------


def test_uint8_stays_uint8_and_becomes_numbers_from_0_to_1() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 3), dtype=np.uint8)
    data = from_arrays(images, Y, test=(images, Y))
    assert data.train.x.dtype == np.uint8
    np.testing.assert_array_equal(data.train.x, images)
    np.testing.assert_array_equal(data.preprocessing(images), images * np.float32(1 / 255))
    assert data.preprocessing.shift.shape == data.preprocessing.scale.shape == ()


def test_a_table_is_standardised_by_its_training_split_alone() -> None:
    train = np.random.default_rng(0).normal([5, -3, 100], [1, 20, 0.5], (500, 3))
    data = from_arrays(train, np.zeros(500), test=(train * 1000, np.zeros(500)))
    inputs = data.preprocessing(data.train.x)
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(inputs.std(axis=0), 1, atol=1e-4)


def test_a_constant_feature_becomes_zero() -> None:
    table = np.column_stack([np.full(20, 0.1), np.arange(20)])
    data = from_arrays(table, Y, test=(table, Y))
    np.testing.assert_array_equal(data.preprocessing(data.train.x)[:, 0], 0)
    assert data.preprocessing.scale[0] == 1


def test_other_floats_share_one_shift_and_scale() -> None:
    signals = np.random.default_rng(0).normal(10, 4, (50, 8, 3)).astype(np.float32)
    data = from_arrays(signals, np.zeros(50), test=(signals, np.zeros(50)))
    assert data.preprocessing.shift.shape == ()
    assert abs(data.preprocessing(signals).std() - 1) < 1e-4


def test_a_given_preprocessing_is_used() -> None:
    data = from_arrays(X, Y, preprocessing=Preprocessing.of(shift=1, scale=2))
    assert data.preprocessing(np.array([3.0]))[0] == 4


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        ([0, 1, 2, 0, 1, 2], ("0", "1", "2"), [0, 1, 2, 0, 1, 2]),
        ([1, 2, 5, 1, 2, 5], ("1", "2", "5"), [0, 1, 2, 0, 1, 2]),
        (["b", "a", "c", "b", "a", "c"], ("a", "b", "c"), [1, 0, 2, 1, 0, 2]),
        ([True, False] * 3, ("False", "True"), [1, 0, 1, 0, 1, 0]),
    ],
)
def test_integers_texts_and_booleans_are_classes(labels: list[Any], names: tuple[str, ...], numbers: list[int]) -> None:
    data = from_arrays(X[:6], labels, test=(X[:6], labels))
    assert data.class_names == names
    assert data.train.y.dtype == np.int32
    assert list(data.train.y) == numbers
    assert data.task == "classification"
    assert data.outputs == len(names)


def test_class_names_number_the_classes_in_their_order() -> None:
    data = from_arrays(
        X[:4], ["sun", "rain", "sun", "rain"], test=(X[:1], ["rain"]), class_names=["sun", "snow", "rain"]
    )
    assert list(data.train.y) == [0, 2, 0, 2]
    assert data.outputs == 3
    assert list(from_arrays(X[:2], [True, False], test=(X[:1], [True]), class_names=["no", "yes"]).train.y) == [1, 0]


def test_float_targets_are_a_regression_and_task_overrides_it() -> None:
    assert from_arrays(X, Y / 2).class_names is None
    assert from_arrays(X, np.ones((20, 3))).outputs == 3
    assert from_arrays(X, Y / 1, task="classification").class_names == ("0", "1", "2", "3")
    data = from_arrays(X, Y, task="regression")
    assert data.train.y.dtype == np.float32
    assert data.outputs == 1


def test_what_came_in_cannot_be_changed_through_the_data_set() -> None:
    data = from_arrays(X, Y)
    with pytest.raises(ValueError, match="read-only"):
        data.train.x[0] = 0


# --- The split ---------------------------------------------------------------------------------------------------


@given(
    labels=st.lists(st.integers(0, 4), min_size=12, max_size=200),
    percent=st.integers(1, 45),
    seed=st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_the_split_is_a_partition_in_proportion(labels: list[int], percent: int, seed: int) -> None:
    count, fraction = len(labels), Fraction(percent, 100)
    chosen = held_out_rows(np.array(labels), fraction, seed)
    assert chosen.sum() == ceil(count * fraction)
    for label in set(labels):
        members = np.array(labels) == label
        held = int((chosen & members).sum())
        assert held < members.sum(), "no class may vanish from training"
        share = (members.sum() - 1) * chosen.sum() / (count - len(set(labels)))
        assert abs(held - share) < 1


def test_every_row_lands_in_exactly_one_split() -> None:
    x = np.arange(1000, dtype=np.float32).reshape(500, 2)
    data = from_arrays(x, np.arange(500) % 7, test=0.3)
    rows = np.concatenate([data.train.x, data.test.x])[:, 0]
    assert (len(data.train), len(data.test)) == (350, 150)
    assert sorted(rows) == list(x[:, 0])
    np.testing.assert_array_equal(data.test.y, (data.test.x[:, 0] / 2).astype(int) % 7)


def test_the_seed_alone_decides_the_split() -> None:
    x = np.arange(200, dtype=np.float32).reshape(100, 2)
    first, again, other = (from_arrays(x, np.zeros(100), seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint
    assert set(first.test.x[:, 0]) != set(other.test.x[:, 0])


def test_the_split_is_shuffled() -> None:
    chosen = np.flatnonzero(held_out_rows(np.zeros(10_000, int), Fraction(1, 5), 0))
    gaps = np.bincount(np.diff(chosen))  # geometric for a random fifth; always 5 for every fifth row
    assert gaps[1] > 300
    assert len(gaps) > 20


def test_the_fraction_is_the_decimal_that_was_written() -> None:
    assert (
        len(from_arrays(np.zeros((100, 1), np.uint8), np.zeros(100), test=0.07).test) == 7
    )  # 0.07 * 100 > 7 in floats


# --- What is refused ---------------------------------------------------------------------------------------------


def bad(array: np.ndarray, row: int, value: Any) -> np.ndarray:
    array = array.astype(np.result_type(array.dtype, np.asarray(value).dtype))
    array.reshape(len(array), -1)[row, -1] = value
    return array


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (X[:19], Y, {}, "x has 19 samples but y has 20"),
        (X, Y, {"test": (X, Y[:3])}, "test x has 20 samples but test y has 3"),
        (bad(X, 13, np.nan), Y, {}, r"x: row 13 \(from 0\) holds nan"),
        (bad(X, 5, np.inf), Y, {}, r"x: row 5 \(from 0\) holds inf"),
        (bad(X, 5, 1e300), Y, {}, r"x: row 5 .* holds 1e\+300 \(beyond 32-bit floats\)"),
        (X, Y, {"test": (bad(X, 2, np.nan), Y)}, r"test x: row 2"),
        (X, bad(Y / 1, 4, np.nan), {}, r"y: row 4 \(from 0\) holds nan"),
        (np.ma.masked_equal(X, 6), Y, {}, "x: row 3 has a masked"),
        (X + np.float64(1.7e9), Y, {}, r"x, feature 0: values near 1.7e\+09 differ too little for 32-bit floats"),
        (X, np.full(20, 2**63, np.uint64), {}, "has the label 9223372036854775808"),
        (X, bad(Y / 1, 9, 1.5), {"task": "classification"}, r"y: row 9 .* has the label 1.5"),
        (X, Y, {"class_names": ("a", "b", "c")}, r"row 3 \(from 0\) has the label 3, outside the classes 0, 1, 2"),
        (X, Y, {"test": (X[:2], [0, 9])}, r"test y: row 1 .* label 9, outside the classes 0, 1, 2, 3"),
        (
            X,
            Y,
            {"test": (X[:2], ["0", "1"])},
            "test y holds labels such as 0, y holds 0; use texts or integers in both",
        ),
        (X, ["a", None] * 10, {}, "y: row 1 holds None, a missing value"),
        (X, Y, {"class_names": ("a", "b", "a", "d")}, "class_names holds 'a' twice"),
        (X, Y / 1, {"class_names": "abcd", "task": "regression"}, "class names were given for a regression"),
        (X, ["a"] * 20, {"task": "regression"}, "y holds text such as 'a'; regression needs numbers"),
        (X, np.eye(20, dtype=int) + np.eye(20, dtype=int)[::-1], {}, r"holds 0 and 1, several to a row"),
        (X, np.eye(20, dtype=int) * 2, {"task": "classification"}, r"y has shape \(20, 20\); .*argmax"),
        (X[:0], Y[:0], {}, r"x is empty: its shape is \(0, 2\)"),
        (np.zeros((20, 0)), Y, {}, "x is empty"),
        (3.0, 1, {}, "x is the single value"),
        (X[:, 0], Y, {}, r"x has shape \(20,\).*x\[:, None\]"),
        ([[1, 2], [3]], [0, 1], {}, "x: its rows have different lengths"),
        (np.array([{}, {}], object)[:, None], [0, 1], {}, r"x: row 0 \(from 0\), column '0' holds \{\} \(dict\)"),
        ([["a"], ["b"]], [0, 1], {}, "x holds text such as 'a'"),
        (X.astype(complex), Y, {}, "x has type complex"),
        (X, Y, {"test": (X[:, :1], Y)}, r"test samples have shape \(1,\), training samples \(2,\)"),
        (X, Y, {"test": (X.astype(np.uint8), Y)}, "test samples are uint8, training samples float32"),
        (X, np.ones((20, 2)), {"test": (X, np.ones(20))}, r"test targets have shape \(\), training targets \(2,\)"),
        (X, Y, {"test": 0}, "a fraction between 0 and 1"),
        (X, Y, {"test": 1.0}, "a fraction between 0 and 1"),
        (X, Y, {"test": True}, "a fraction between 0 and 1"),
        (X[:1], Y[:1], {}, "would leave a class with none to train on"),
        (X[:4], Y[:4], {}, "would leave a class with none to train on"),
    ],
)
def test_what_cannot_be_taken_as_it_is_is_refused(x: Any, y: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        from_arrays(x, y, **options)
    assert "\n" not in str(refusal.value)


def test_bad_rows_are_found_beyond_the_first_block() -> None:
    x = np.zeros((10_000, 3), np.float32)
    x[9_876, 1] = np.nan
    with pytest.raises(DataError, match="row 9876 "):
        from_arrays(x, np.zeros(10_000))


def test_a_large_offset_that_float32_can_hold_is_taken() -> None:
    x = 1000 + np.random.default_rng(0).normal(size=(50, 2))
    assert from_arrays(x, np.zeros(50)).train.x.dtype == np.float32
