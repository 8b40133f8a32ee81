"""A photographed digit becomes one like MNIST's: 20 × 20 pixels in 28 × 28, by its centre of mass, light on dark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from sklearn.datasets import load_digits

import epochal
from epochal.data.pictures.photo import as_mnist_digit, otsu
from epochal.errors import DataError

DIGITS = load_digits()


def clean(number: int) -> np.ndarray:
    """Return one of scikit-learn's digits, 200 × 200, ink 0 to 1."""
    return np.clip(ndimage.zoom(DIGITS.images[number] / 16, 25, order=1), 0, 1)


def photograph(
    number: int, *, light_ink: bool = False, noise: float = 5.0, shadow: bool = False, tilt: float = 0.0
) -> np.ndarray:
    """Return the digit on unevenly lit paper, 420 × 380."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[0:420, 0:380]
    paper = 190 - 0.12 * columns + 0.05 * rows
    ink = np.zeros((420, 380))
    ink[120:320, 90:290] = ndimage.rotate(clean(number), tilt, reshape=False, order=1) if tilt else clean(number)
    photo = paper - 120 * ink
    if shadow:
        photo[:, :30] -= 90
    if light_ink:
        photo = 255 - photo
    return np.clip(photo + rng.normal(0, noise, photo.shape), 0, 255).astype(np.uint8)


def centre(image: np.ndarray) -> tuple[float, float]:
    rows, columns = ndimage.center_of_mass(image)
    return float(rows), float(columns)


@pytest.mark.parametrize(
    "options", [{}, {"light_ink": True}, {"noise": 12.0}, {"shadow": True}, {"tilt": 8.0}], ids=str
)
@pytest.mark.parametrize("number", range(0, 20, 3))
def test_it_is_made_like_mnists(number: int, options: dict[str, Any]) -> None:
    found = as_mnist_digit(photograph(number, **options))
    image = found.image
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    assert image.max() > 200, "ink is light"
    assert np.median(image) == 0, "paper is dark"
    assert found.dark_ink != options.get("light_ink", False)

    inked = image > 100
    extent = [np.ptp(np.flatnonzero(inked.any(axis=axis))) + 1 for axis in (0, 1)]
    assert max(extent) <= 21
    assert max(extent) >= 17
    np.testing.assert_allclose(centre(image), (13.5, 13.5), atol=1.5)


@pytest.mark.parametrize("number", range(10))
def test_it_is_still_the_same_digit(number: int) -> None:
    """Compared with all ten, the photograph is most like the digit that was photographed."""
    image = as_mnist_digit(photograph(number)).image.astype(float).ravel()
    prepared = [
        as_mnist_digit((clean(other) * 255).astype(np.uint8)).image.astype(float).ravel() for other in range(10)
    ]
    likeness = [np.corrcoef(image, other)[0, 1] for other in prepared]
    assert int(np.argmax(likeness)) == number
    assert likeness[number] > 0.65


def test_a_blank_sheet_holds_no_digit() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="no digit stands out"):
        as_mnist_digit(np.clip(200 + rng.normal(0, 4, (300, 300)), 0, 255).astype(np.uint8))
    with pytest.raises(DataError, match="no digit stands out"):
        as_mnist_digit(np.full((28, 28), 255, np.uint8))
    with pytest.raises(DataError, match="too small"):
        as_mnist_digit(np.zeros((4, 4), np.uint8))


def sheet(kind: str, seed: int) -> np.ndarray:
    """Return a blank sheet, 600 × 800, lit from a side, with a shadow on it, or with the table beside it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:600, 0:800]
    across = columns / 800 - 0.5
    light = {
        "gradient": 1 + 0.9 * across * rng.uniform(-1, 1),
        "soft shadow": 1 - 0.45 / (1 + np.exp((columns - 200) / 40)),
    }
    paper = 195 * light.get(kind, 1 + 0.2 * across)
    if kind == "hard shadow":
        paper[columns + 0.3 * rows < 160] *= 0.55
    if kind == "table":
        paper[:, :90], paper[-50:] = 40, 35
    return np.clip(ndimage.gaussian_filter(paper, 1) + rng.normal(0, 6, paper.shape), 0, 255).astype(np.uint8)


SHEETS = ("even", "gradient", "soft shadow", "hard shadow", "table")


@pytest.mark.parametrize("kind", SHEETS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("light", [False, True], ids=["light paper", "dark paper"])
def test_no_shadow_and_no_table_is_a_digit(kind: str, seed: int, light: bool) -> None:
    blank = sheet(kind, seed)
    with pytest.raises(DataError, match="no digit stands out"):
        as_mnist_digit(255 - blank if light else blank)


@pytest.mark.parametrize("kind", SHEETS)
def test_the_digit_is_found_beside_them(kind: str) -> None:
    photo = sheet(kind, 0).astype(float)
    photo[180:440, 380:400] -= 110  # a one
    found = as_mnist_digit(np.clip(photo, 0, 255).astype(np.uint8))
    np.testing.assert_allclose(found.box, (180, 380, 440, 400), atol=12)
    assert found.dark_ink


def test_otsus_threshold_parts_two_groups() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(20, 3, 1000), rng.normal(80, 3, 100)])
    assert 30 < otsu(values) < 72


def test_mnist_photographed_is_recognised_as_mnist_is(mnist_folder: Any) -> None:
    """Images of the test set, on paper, lit from a side: a model loses at most two of 75."""
    data = epochal.load_data("mnist")
    run = epochal.train(data, model="mlp", optimizer="adam", epochs=1, run=False, progress=False)
    count = 75
    images, labels = data.test.x[:count], data.test.y[:count]
    np.testing.assert_allclose(as_mnist_digit(images[0]).image, images[0], atol=1)

    photos = []
    for number, image in enumerate(images):
        paper = np.full((420, 380), 200.0) - np.linspace(0, 60, 380)
        paper[40:376, 20:356] -= 140 * np.clip(ndimage.zoom(image / 255, 12, order=1), 0, 1)
        noisy = paper + np.random.default_rng(number).normal(0, 5, paper.shape)
        photos.append(as_mnist_digit(np.clip(noisy, 0, 255).astype(np.uint8)).image)
    as_they_are = (run.predict(images).argmax(axis=1) == labels).mean()
    photographed = (run.predict(np.stack(photos)).argmax(axis=1) == labels).mean()
    assert photographed > as_they_are - 0.035
