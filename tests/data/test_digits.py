from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from epochal.data.dataset import Dataset
from epochal.data.digits import _basis, _boards, _coefficients, _warped, load_digits, make_digits_60k
from epochal.data.registry import describe
from epochal.data.split import Split


def rows(images: np.ndarray) -> list[bytes]:
    return [image.tobytes() for image in images]


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits as public_load_digits

    public, data = public_load_digits(), load_digits()
    known = dict(zip(rows(public.images.astype(np.uint8)), public.target, strict=True))
    assert len(known) == 1797, "all images differ, so that each can be found again"
    found = rows(data.train.x) + rows(data.test.x)
    assert sorted(found) == sorted(known)
    assert [known[image] for image in found] == [*data.train.y, *data.test.y]
    assert data.preprocessing(data.train.x).max() == 1


def test_digits_hold_out_a_fifth_of_each_class() -> None:
    data = load_digits()
    share = np.bincount(data.test.y) / (np.bincount(data.test.y) + np.bincount(data.train.y))
    np.testing.assert_allclose(share, 0.2, atol=0.01)


@pytest.mark.parametrize("name", ["digits", "digits-60k"])
def test_the_content_is_the_same_bits_everywhere(name: str, digits_60k: Dataset) -> None:
    data = load_digits() if name == "digits" else digits_60k
    assert data.fingerprint == describe(name).fingerprint


def test_digits_60k_has_the_true_size_of_the_worked_example(digits_60k: Dataset) -> None:
    assert digits_60k.train.x.shape == (60_000, 28, 28)
    assert digits_60k.test.x.shape == (10_000, 28, 28)
    assert digits_60k.train.x.dtype == np.uint8
    assert np.bincount(digits_60k.train.y).min() > 5_800
    assert 25 < digits_60k.train.x.mean() < 50  # MNIST: 33


def test_no_source_serves_both_splits(digits_60k: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the test split's sources blanked, every test image is blank and no training image has changed."""
    digits = load_digits()
    blanked = replace(digits, test=Split(np.zeros_like(digits.test.x), digits.test.y))
    monkeypatch.setattr("epochal.data.digits.load_digits", lambda: blanked)
    made = make_digits_60k()
    assert not made.test.x.any()
    np.testing.assert_array_equal(made.train.x, digits_60k.train.x)
    assert not set(rows(digits.train.x)) & set(rows(digits.test.x))


def test_no_image_occurs_twice(digits_60k: Dataset) -> None:
    assert len(set(rows(digits_60k.train.x)) | set(rows(digits_60k.test.x))) == 70_000


def test_without_a_warp_the_source_is_seen_upright_and_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epochal.data.digits.signed_units", lambda count, *_: np.zeros(count))
    source = np.zeros((1, 8, 8), np.uint8)
    source[0, 0, :] = 16  # a bar along the top
    image = _warped(source, np.zeros(1, np.int64), "train", None)[0]
    lit_rows, lit_columns = np.flatnonzero(image.max(axis=1) > 128), np.flatnonzero(image.max(axis=0) > 128)
    assert lit_rows.max() < 8
    assert lit_rows.min() >= 4
    assert (lit_columns.min(), lit_columns.max()) == (4, 23)


def test_every_sum_of_the_warp_is_exact_in_float32() -> None:
    """Whatever order a machine adds in: all terms are whole numbers, and even their magnitudes add up below 2²⁴."""
    basis = _basis()
    for part in _coefficients(70_000, "train"):
        assert (part == np.rint(part)).all()
        assert (np.abs(part).max(axis=0) @ np.abs(basis)).max() < 2**24
    assert (basis == np.rint(basis)).all()


def test_drawing_large_is_exact() -> None:
    image = np.random.default_rng(0).integers(0, 17, (5, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(_boards(image), _boards(image[::-1])[::-1])


def test_warping_reports_its_progress() -> None:
    heard: list[tuple[str, int, int]] = []
    _warped(load_digits().test.x, np.zeros(2000, np.int64), "test", lambda *news: heard.append(news))
    assert heard == [("digits-60k (test)", 1024, 2000), ("digits-60k (test)", 2000, 2000)]
