"""Pictures for a training and for a trained model: folders of classes, single files, and photographed digits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from epochal.data.arrays import from_arrays
from epochal.data.data_schema import Schema
from epochal.data.dataset import Dataset
from epochal.data.encodings import PictureEncoding
from epochal.data.load_options import LoadOptions, as_share
from epochal.data.pictures.class_folders import read_picture_folder
from epochal.data.pictures.file import is_picture, read_picture
from epochal.data.pictures.listing import has_picture_classes
from epochal.data.storage import Progress
from epochal.errors import DataError
from epochal.files import real_path

__all__ = ["has_picture_classes", "is_picture", "load_pictures", "read_pictures"]

_MNIST, _DIGITS = (28, 28), (8, 8)


def load_pictures(folder: Path, options: LoadOptions, progress: Progress | None = None) -> Dataset:
    """Return the data set in a folder with a folder of pictures for each class.

    Raises `DataError` where a split is there already and also asked for, and what `read_picture_folder` raises.
    """
    found = read_picture_folder(folder, size=size_of(options), grey=options.grey or None, progress=progress)
    held: dict[str, Any] = {"test": options.held_out, "validation": as_share(options.validation)}
    for name, x, y in (("test", found.x_test, found.y_test), ("validation", found.x_validation, found.y_validation)):
        if x is None:
            continue
        if held[name] is not None:
            raise DataError(f"{folder} has {name} pictures of its own; leave out {name}={held[name]}")
        held[name] = (x, y)

    data = from_arrays(
        found.x_train,
        found.y_train,
        **held,
        name=real_path(folder).name,
        seed=options.seed,
        class_names=found.class_names,
    )

    return data.with_encoding(PictureEncoding(found.size, found.grey), found.notes)


def size_of(options: LoadOptions) -> tuple[int, int] | None:
    """Return height and width; one number is both."""
    if options.image_size is None:
        return None
    if len(options.image_size) > 2:
        raise DataError(f"image size must be one number, or height and width, got {options.image_size}")
    return options.image_size[0], options.image_size[-1]


def picture_paths(path: Path) -> Iterator[Path]:
    """Yield a picture's path, or those of the pictures in a folder and below it, in order."""
    if not path.is_dir():
        yield path
        return
    for one in sorted(path.rglob("*")):
        if is_picture(one) and one.is_file() and not any(part.startswith(".") for part in one.relative_to(path).parts):
            yield one


def read_pictures(
    path: Path, schema: Schema, *, as_digits: bool = False
) -> tuple[UInt8[np.ndarray, "n *sample"], tuple[str, ...], list[str]]:
    """Return a picture, or those of a folder, as a trained model takes them, with their names and what was changed.

    Args:
        path: a file or folder.
        schema: what the training's samples were.
        as_digits: whether the training's samples are handwritten digits as MNIST has them, or of its kind: then a
            photograph is made like one of these.

    Raises:
        DataError: for what cannot be read, and for a model that takes no pictures.
    """
    paths = list(picture_paths(path))
    if not paths:
        raise DataError(f"{path}: holds no pictures")
    shape, encoding = schema.sample_shape, schema.encoding
    if isinstance(encoding, PictureEncoding):
        samples = [read_picture(one, size=encoding.size, grey=encoding.grey) for one in paths]
        return np.stack(samples), tuple(map(str, paths)), []

    is_grey = len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)
    if not is_grey and not (len(shape) == 3 and shape[2] == 3):
        raise DataError(f"{path}: a picture does not fit this model, trained on samples of shape {shape}")
    if as_digits and shape in (_MNIST, _DIGITS):
        digits = [_digit(one, shape) for one in paths]
        note = "made like the digits of the training: paper removed, cropped, centred by its mass"
        return np.stack(digits), tuple(map(str, paths)), [note]
    samples = [read_picture(one, size=(shape[0], shape[1]), grey=is_grey) for one in paths]
    return np.stack(samples).reshape(len(samples), *shape), tuple(map(str, paths)), []


def _digit(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "h w"]:
    """Return the digit in a photograph in the form of MNIST, or of scikit-learn's 8×8 digits, whose ink is 0 to 16."""
    from epochal.data.pictures.photo import as_mnist_digit

    try:
        image = as_mnist_digit(read_picture(path, grey=True)).image
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if shape == _MNIST:
        return image
    # these digits fill their square: each number is the ink in one of 8 × 8 fields
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    square = np.zeros((side, side), np.float64)
    crop = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    top, left = (side - crop.shape[0]) // 2, (side - crop.shape[1]) // 2
    square[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    fields = np.repeat(np.repeat(square, 8, axis=0), 8, axis=1).reshape(8, side, 8, side).mean(axis=(1, 3))
    digit: UInt8[np.ndarray, "h w"] = np.rint(fields * 16 / max(1.0, fields.max())).astype(np.uint8)
    return digit
