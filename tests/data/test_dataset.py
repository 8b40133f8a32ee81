from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from epochal.data.dataset import Dataset, Preprocessing
from epochal.data.split import Split

BASE = Dataset(
    "base",
    Split(np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.array([0, 1, 0], np.int32)),
    Split(np.arange(4, dtype=np.uint8).reshape(1, 2, 2), np.array([1], np.int32)),
    Preprocessing.of(shift=0, scale=1 / 255),
    ("a", "b"),
)


def test_facts_follow_from_the_arrays() -> None:
    assert (len(BASE.train), len(BASE.test)) == (3, 1)
    assert BASE.sample_shape == (2, 2)
    assert BASE.task == "classification"
    assert BASE.outputs == 2
    assert BASE.nbytes == (12 + 4 + 4 * 4) + 8  # shift and scale too
    values = Split(BASE.train.x, np.zeros((3, 5), np.float32))
    regression = dataclasses.replace(BASE, train=values, class_names=None)
    assert (regression.task, regression.outputs) == ("regression", 5)


def test_the_fingerprint_never_changes() -> None:
    assert BASE.fingerprint == "d6d9db6b5081d4b8948fc37c192d5d2a56e21a0321839cbe4a24063f1a985717"


def test_the_name_is_not_part_of_the_content() -> None:
    assert dataclasses.replace(BASE, name="other").fingerprint == BASE.fingerprint


def test_byte_order_and_memory_layout_are_not_part_of_the_content() -> None:
    other = Split(np.asfortranarray(BASE.train.x), BASE.train.y.astype(">i4"))
    assert dataclasses.replace(BASE, train=other).fingerprint == BASE.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        {"train": BASE.test},
        {"train": BASE.test, "test": BASE.train},
        {"train": Split(BASE.train.x.reshape(3, 4), BASE.train.y)},
        {"train": Split(BASE.train.x.view(np.int8), BASE.train.y)},
        {"train": Split(BASE.train.x, 1 - BASE.train.y)},
        {"preprocessing": Preprocessing.of(shift=0, scale=1 / 256)},
        {"preprocessing": Preprocessing.of(shift=0, scale=[1 / 255])},
        {"class_names": ("b", "a")},
        {"class_names": None},
    ],
)
def test_everything_else_is(other: dict[str, object]) -> None:
    assert dataclasses.replace(BASE, **other).fingerprint != BASE.fingerprint  # type: ignore[arg-type]


def test_a_data_set_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.name = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        BASE.preprocessing.scale[...] = 0


def test_preprocessing_is_one_formula_for_numpy_and_jax() -> None:
    import jax.numpy as jnp

    preprocessing = Preprocessing.of(shift=[1, 2], scale=[0.5, 3])
    stored = np.array([[3, 4], [5, 0]], np.uint8)
    np.testing.assert_array_equal(preprocessing(stored), np.float32([[1, 6], [2, -6]]))
    np.testing.assert_array_equal(np.asarray(preprocessing(jnp.asarray(stored))), preprocessing(stored))
