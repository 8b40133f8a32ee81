"""What targets mean: for each way in which people write labels, what their owner means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from epochal.data.targets import class_numbers, read_targets
from epochal.errors import DataError

LABELS = np.arange(60) % 3


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (LABELS, ("0", "1", "2")),
        (LABELS + 1, ("1", "2", "3")),
        (LABELS.astype(float), ("0", "1", "2")),
        (LABELS[:, None], ("0", "1", "2")),
        (LABELS[:, None].astype(np.float32), ("0", "1", "2")),
        (np.eye(3)[LABELS], ("0", "1", "2")),
        (np.eye(3, dtype=int)[LABELS], ("0", "1", "2")),
        (np.eye(3, dtype=bool)[LABELS], ("0", "1", "2")),
        (np.where(LABELS == 1, 1, -1), ("-1", "1")),
        (np.where(LABELS == 1, 1.0, -1.0), ("-1", "1")),
        (np.where(LABELS == 1, 1.0, 0.0), ("0", "1")),
        (LABELS == 1, ("False", "True")),
        (np.array(["01", "1", "001"])[LABELS], ("001", "01", "1")),
        (np.arange(60) % 12 * 10, tuple(str(10 * i) for i in range(12))),
    ],
    ids=str,
)
def test_these_are_classes(y: Any, names: tuple[str, ...]) -> None:
    meaning = read_targets([np.asarray(y)])
    assert meaning.classes == names
    assert meaning.ys[0].dtype == np.int32
    assert sorted(set(meaning.ys[0].tolist())) == list(range(len(names)))


@pytest.mark.parametrize(
    "y",
    [
        np.linspace(0, 1, 60),
        np.arange(60.0),
        np.arange(60) * 7,
        np.arange(442) % 214 + 25,  # diabetes: 214 different whole numbers
        np.arange(4177) % 28 + 1 + (np.arange(4177) % 28 == 27),  # rings of abalones: 1 to 27, and 29
        np.zeros(60),
        LABELS * 10.0,  # a dose
        np.random.default_rng(0).normal(size=(60, 3)),
        np.array([162, 110, 101, 155])[np.arange(20) % 4].reshape(20, 1) + np.arange(20)[:, None],
    ],
    ids=lambda y: str(y.shape),
)
def test_these_are_quantities(y: Any) -> None:
    meaning = read_targets([y])
    assert meaning.classes is None
    assert meaning.ys[0] is y


def test_many_classes_need_many_samples_of_each() -> None:
    assert read_targets([np.arange(5000) % 100]).classes is not None
    assert read_targets([np.arange(1000) % 100]).classes is None


def test_what_was_a_decision_is_said() -> None:
    assert "taken as classes (--task regression if not)" in read_targets([LABELS.astype(float)]).note
    assert "a regression (--task classification if not)" in read_targets([np.arange(300) * 3]).note
    assert read_targets([LABELS]).note == read_targets([np.array(["a", "b"] * 9)]).note == ""
    assert "one-hot" in read_targets([np.eye(3)[LABELS]]).note


def test_the_task_decides_over_what_they_look_like() -> None:
    assert read_targets([LABELS], "regression").classes is None
    assert read_targets([np.arange(30.0)], "classification").classes == tuple(map(str, range(30)))
    assert read_targets([np.eye(3)[LABELS]], "regression").classes is None


def test_every_split_has_the_classes_of_the_first() -> None:
    meaning = read_targets([np.array(["b", "a", "b"]), np.array(["a"])])
    assert [y.tolist() for y in meaning.ys] == [[1, 0, 1], [0]]
    with pytest.raises(DataError, match=r"test y: row 1 .* label c, outside the classes a, b"):
        read_targets([np.array(["b", "a"]), np.array(["a", "c"])])
    with pytest.raises(DataError, match="not one-hot"):
        read_targets([np.eye(3)[LABELS], np.ones((4, 3))])


def test_several_labels_of_a_sample_are_refused() -> None:
    with pytest.raises(DataError, match="several to a row"):
        read_targets([np.array([[1, 1, 0], [0, 1, 0]] * 9)])


@pytest.mark.parametrize(
    "y", [[1, 0, 2], [1.0, 0.0, 2.0], ["1", "0", "2"], [[1], [0], [2]], np.eye(3)[[1, 0, 2]]], ids=str
)
def test_labels_of_new_data_become_the_numbers_of_known_classes(y: Any) -> None:
    assert class_numbers(y, ["0", "1", "2"]).tolist() == [1, 0, 2]


def test_a_new_label_is_named() -> None:
    with pytest.raises(DataError, match=r"row 1 \(from 0\) has the label dog"):
        class_numbers(["cat", "dog"], ["bird", "cat"])
