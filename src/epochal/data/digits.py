"""`digits`, which scikit-learn brings along, and `digits-60k`, which is made from it.

Every number here is either an integer or a float that holds its value exactly, so that every machine makes the
same bytes: sums and products below stay within what float32 or float64 represents, in whatever order they are added.
"""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from epochal.data.arrays import from_arrays
from epochal.data.dataset import Dataset, Preprocessing
from epochal.data.draws import permutation, signed_units
from epochal.data.registry import describe
from epochal.data.storage import Progress
from epochal.errors import DataError

_FINE = 8  # the drawing board has 8×8 points for each of the source's pixels
_SIDE = 8 * _FINE + 2  # and a margin of nothing
_POINTS = 3.2  # of the drawing board for one pixel of a warped image: its 20×20 middle shows a whole source image
_UNIT = 2.0**14  # positions on the board are whole multiples of 1/_UNIT
_KNOTS = 4  # elastic displacement is given at 4×4 knots, bilinear in between
_BLOCK = 1024


def load_digits() -> Dataset:
    """Return the 1,797 images as uint8 from 0 to 16, split once and for all, class by class."""
    table = np.loadtxt(_packaged_table(), delimiter=",", dtype=np.uint8)
    images, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    names = describe("digits").class_names
    return from_arrays(
        images, labels, name="digits", class_names=names, preprocessing=Preprocessing.of(shift=0, scale=1 / 16)
    )


def _packaged_table() -> list[str]:
    """Return the lines of scikit-learn's own file: importing its ``datasets`` takes two seconds, reading this none."""
    spec = find_spec("sklearn")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    paths = [folder / "datasets" / "data" / "digits.csv.gz" for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise DataError("scikit-learn, which brings the digits, is not installed as usual; pip install scikit-learn")
    with gzip.open(path, "rt", encoding="ascii") as lines:
        return lines.readlines()


def make_digits_60k(progress: Progress | None = None) -> Dataset:
    """Return 60,000 + 10,000 warped images of `digits`, each split from its own source images."""
    digits, about = load_digits(), describe("digits-60k")
    parts = []
    for purpose, split, count in (("train", digits.train, about.train), ("test", digits.test, about.test)):
        sources = (permutation(count, "digits-60k", purpose, "sources") % len(split)).astype(np.int64)
        whole = split.whole()
        parts.append((_warped(whole.x, sources, purpose, progress), whole.y[sources]))
    (x, y), test = parts
    return from_arrays(x, y, test=test, name=about.name, class_names=about.class_names)


def _warped(
    images: UInt8[np.ndarray, "n 8 8"], sources: Int64[np.ndarray, " count"], purpose: str, progress: Progress | None
) -> UInt8[np.ndarray, "count 28 28"]:
    """Return one warped image for each entry of ``sources``, a row of ``images``."""
    boards, basis = _boards(images).reshape(-1), _basis()
    columns, rows = _coefficients(len(sources), purpose)
    warped = np.empty((len(sources), 28 * 28), np.uint8)
    for start in range(0, len(sources), _BLOCK):
        block = slice(start, start + _BLOCK)
        column, row = (np.clip(part[block] @ basis / _UNIT, 0, _SIDE - 1).astype(np.int32) for part in (columns, rows))
        board = sources[block, None].astype(np.int32) * _SIDE**2
        warped[block] = boards[board + row * _SIDE + column]
        if progress is not None:
            progress(f"digits-60k ({purpose})", min(start + _BLOCK, len(sources)), len(sources))
    return warped.reshape(-1, 28, 28)


def _boards(images: UInt8[np.ndarray, "n 8 8"]) -> UInt8[np.ndarray, "n side side"]:
    """Return the images drawn large: cubic interpolation, then more contrast, so that strokes get clear edges."""
    cubic = _cubic()
    large = cubic @ images.astype(np.float64) @ cubic.T
    drawn = np.clip(np.rint((large - 3) * 255 / 10), 0, 255).astype(np.uint8)
    return np.pad(drawn, ((0, 0), (1, 1), (1, 1)))


def _cubic() -> Float64[np.ndarray, "fine 8"]:
    """Return the matrix that interpolates 8 values at 64 points, with nothing beyond the ends.

    Source: R. Keys, *Cubic convolution interpolation for digital image processing*, IEEE TASSP 29 (1981), a = -1/2.
    """
    points = (np.arange(8 * _FINE) + 0.5) / _FINE - 0.5
    far = np.abs(points[:, None] - np.arange(8))
    inner, outer = 1 + far * far * (1.5 * far - 2.5), 2 + far * (-4 + far * (2.5 - 0.5 * far))
    return np.where(far <= 1, inner, np.where(far < 2, outer, 0.0))


def _basis() -> Float32[np.ndarray, "19 784"]:
    """Return the functions of a pixel's place that a warp is made of, in whole numbers.

    They are: one, across, down (in half pixels from the middle), and a hat of height 81 at each of the 16 knots.
    """
    place = np.arange(28)
    knots = np.arange(_KNOTS)[:, None] * 9
    hats = np.maximum(0, 9 - np.abs(place - knots))
    across = np.broadcast_to(2 * place - 27, (28, 28))
    bumps = hats[:, None, :, None] * hats[None, :, None, :]
    functions = np.stack([np.ones_like(across), across, across.T, *bumps.reshape(-1, 28, 28)])
    return functions.reshape(-1, 28 * 28).astype(np.float32)


def _coefficients(count: int, purpose: str) -> tuple[Float32[np.ndarray, "count 19"], Float32[np.ndarray, "count 19"]]:
    """Return for each image the weights of `_basis` that give the column and the row on the board.

    Up to 14° of rotation, 15 % of scale in each direction, a fifth of shear, 2 pixels of shift, 1 pixel of elastic
    displacement. The weights are whole multiples of 1/_UNIT below 2²⁴, so a float32 matrix product adds them exactly.
    """
    random = signed_units(count * (6 + 2 * _KNOTS**2), "digits-60k", purpose, "warps").reshape(count, -1)
    half_angle, wide, high, shear, right, down = random[:, :6].T * [[0.12], [0.15], [0.15], [0.2], [2.0], [2.0]]
    cosine = (1 - half_angle**2) / (1 + half_angle**2)  # by the tangent of half the angle, without a sine table
    sine = 2 * half_angle / (1 + half_angle**2)

    half_pixel = _POINTS / 2
    across = [
        _SIDE / 2 + right * _POINTS,
        cosine * (1 + wide) * half_pixel,
        (shear * cosine - sine) * (1 + wide) * half_pixel,
    ]
    downward = [
        _SIDE / 2 + down * _POINTS,
        sine * (1 + high) * half_pixel,
        (shear * sine + cosine) * (1 + high) * half_pixel,
    ]

    # rounded to whole multiples, so that sums are exact in any order
    knots = random[:, 6:].reshape(count, 2, -1) * (_POINTS / 81)
    columns, rows = (
        np.rint(np.column_stack([*affine, elastic]) * _UNIT).astype(np.float32)
        for affine, elastic in ((across, knots[:, 0]), (downward, knots[:, 1]))
    )
    return columns, rows
