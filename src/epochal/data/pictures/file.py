"""One picture in a file, whatever its kind, as an array of bytes: upright, on white, of the size that is asked for.

Pillow decodes it. It is an optional dependency, imported when the first picture is read.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from epochal.data.quiet_errors import errors_silenced
from epochal.errors import DataError
from epochal.files import open_regular

INSTALL = "pip install 'epochal[images]'"
MOST_PIXELS = 100_000_000  # a file of some kilobytes can promise more than any memory holds
_SMALL, _MOST_IN_A_BYTE = 4_000_000, 1_000  # pixels; a blank page is packed to so few bytes, and a trap is, too

_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"))
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")  # nothing else is tried, least of all what runs programs
_ORIENTATION = 0x0112  # the EXIF tag; its values 2 to 8 name these turns, 1 none
_TURNS = (
    "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90",
)  # fmt: skip
_LYING = (5, 6, 7, 8)  # those that exchange height and width


class UnreadableError(Exception):
    """A file that is no sound picture; the text is the reason in a few words, without the file's name."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's first bytes say: height and width as it is seen upright, and whether it can only be grey."""

    height: int
    width: int
    grey: bool


def is_picture(path: Path) -> bool:
    """Return whether a file's name ends like a picture's that can be read, in any case.

    >>> is_picture(Path("cats/IMG_1.JPG")), is_picture(Path("notes.txt"))
    (True, False)
    """
    return path.suffix.lower() in _SUFFIXES


def read_picture(path: Path, *, size: tuple[int, int] | None = None, grey: bool) -> UInt8[np.ndarray, "h w *rgb"]:
    """Return the picture in a file: of an animation the first frame, upright as EXIF says, on white where transparent.

    To reach another size it is scaled, with antialiasing, until it covers that size, and what then stands out evenly at
    two sides is cut off: shapes keep their proportions, and no bars are added. 16-bit grey is divided by 257.

    Args:
        path: a PNG, JPEG, GIF, WebP, BMP or TIFF file; its content decides which.
        size: ``(height, width)``. Default: the picture's own.
        grey: whether to return ``(h, w)`` luminance (ITU-R 601) instead of ``(h, w, 3)`` red, green and blue.

    Raises:
        DataError: if it is no picture, damaged, truncated, not a regular file, or above 100 million pixels; or if
            Pillow is not installed.
    """
    check_size(size)
    with quiet_pillow():
        try:
            array = decode(path, size, grey=grey)
        except UnreadableError as error:
            raise DataError(f"cannot read the picture {path}: {error}; save or get it again as PNG or JPEG") from error
    return array if grey or array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)


def check_size(size: tuple[int, int] | None) -> None:
    """Raise `DataError` for a height or width that no picture can have."""
    if size is not None and not (len(size) == 2 and min(size) >= 1 and size[0] * size[1] <= MOST_PIXELS):
        raise DataError(f"a size of pictures is (height, width) in pixels such as (64, 64), got {size!r}")


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Load Pillow, and keep what it warns of out of sight: a file that it cannot read is an error here.

    Filters of warnings belong to the whole process, so this stands around threads, never inside one.
    """
    try:
        from PIL import Image, TiffImagePlugin, WebPImagePlugin  # noqa: F401  (they sign themselves in)
    except ImportError as error:
        raise DataError(f"reading pictures needs Pillow, which is not installed; run: {INSTALL}") from error

    Image.preinit()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_header(path: Path | bytes) -> Header:
    """Return what a picture's header says, without decoding it. Raises `UnreadableError`."""
    with _opened(path) as image:
        # a PNG would be decoded to look for EXIF data behind its pixels
        lying = image.format != "PNG" and image.getexif().get(_ORIENTATION) in _LYING and image.format != "TIFF"
        height, width = (image.width, image.height) if lying else (image.height, image.width)
        return Header(height, width, _is_grey(image.mode))


def decode(path: Path | bytes, size: tuple[int, int] | None, *, grey: bool = False) -> UInt8[np.ndarray, "h w *rgb"]:
    """Return a picture as `read_picture` does, but one that its file stores in grey always as ``(h, w)``.

    Raises `UnreadableError`.
    """
    with _opened(path) as image:
        # JPEG's own transform halves a large picture for free; twice the final size is left to the better filter
        if size is not None and image.format in ("JPEG", "MPO"):
            image.draft("L" if grey else None, (2 * max(size), 2 * max(size)))
        with errors_silenced if image.format == "TIFF" else nullcontext():  # libtiff writes lines of its own
            image.load()

        plain = _plain(_upright(image))
        if grey:
            plain = plain.convert("L")
        return np.asarray(plain if size is None else _fitted(plain, size))


@contextmanager
def _opened(path: Path | bytes) -> Iterator[Any]:
    """Open a picture; whatever goes wrong until the end of the block is an `UnreadableError`."""
    from PIL import Image

    try:
        with _file_of(path) as file, Image.open(file, formats=_FORMATS) as image:
            _check_pixels(image.width, image.height, file.seek(0, io.SEEK_END))
            yield image
    except UnreadableError:
        raise
    except Exception as error:  # damaged files make decoders raise almost anything
        raise UnreadableError(_reason(path, error)) from error


def _check_pixels(width: int, height: int, size: int) -> None:
    """Raise `UnreadableError` for more pixels than are read, or than a file of so many bytes holds."""
    pixels = width * height
    if pixels > MOST_PIXELS:
        raise UnreadableError(f"{width:,}×{height:,}, more than {MOST_PIXELS // 10**6} million pixels")
    if pixels > max(_SMALL, _MOST_IN_A_BYTE * size):
        raise UnreadableError(f"{width:,}×{height:,} pixels in {size:,} bytes, which is a blank picture or a trap")


def _file_of(path: Path | bytes) -> Any:
    """Open a picture's file, or its content."""
    return io.BytesIO(path) if isinstance(path, bytes) else open_regular(path)


def _reason(path: Path | bytes, error: Exception) -> str:
    """Return in a few words why a picture could not be read."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        with _file_of(path) as file:
            beginning = file.read(8)
        if not beginning:
            return "empty"
        if beginning[4:8] == b"ftyp":
            return "HEIC or AVIF, which is not read here"
        return "no PNG, JPEG, GIF, WebP, BMP or TIFF, or cut off in its header"

    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MOST_PIXELS // 10**6} million pixels"
    if isinstance(error, MemoryError):
        return "not enough memory"
    text = " ".join(str(error).split())
    if "truncated" in text.lower():
        return "truncated"
    if isinstance(error, OSError) and error.errno is not None:
        return error.strerror or text
    return f"damaged: {text[:80] or type(error).__name__}"


def _is_grey(mode: str) -> bool:
    return mode in ("1", "L", "LA", "I", "F") or mode.startswith("I;16")


def _upright(image: Any) -> Any:
    """Return the picture turned as its EXIF orientation asks; damaged EXIF data ask for nothing."""
    from PIL import Image

    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # as in `_opened`; the pixels are sound all the same
        return image
    if orientation not in range(2, 9):
        return image
    return image.transpose(Image.Transpose[_TURNS[int(orientation) - 2]])


def _plain(image: Any) -> Any:
    """Return the picture in mode L or RGB, on white where it is transparent."""
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(image))

    mode = "L" if _is_grey(image.mode) else "RGB"
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image.convert(mode)


def _eight_bits(image: Any) -> UInt8[np.ndarray, "h w"]:
    """Return 16-bit grey in 8 bits: 0 to 65,535 become 0 to 255."""
    if image.mode == "F":
        raise UnreadableError("its pixels are floating-point numbers, not bytes")
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65_535:
        raise UnreadableError(f"its pixels reach from {values.min():,} to {values.max():,}, beyond 16 bits")
    return ((values + 128) // 257).astype(np.uint8)


def _fitted(image: Any, size: tuple[int, int]) -> Any:
    """Return the picture scaled to cover ``(height, width)``, its middle cut out."""
    from PIL import Image

    height, width = size
    if (image.height, image.width) == size:
        return image
    scale = min(image.width / width, image.height / height)
    across, down = min(scale * width, image.width), min(scale * height, image.height)
    left, top = (image.width - across) / 2, (image.height - down) / 2
    box = (left, top, min(left + across, image.width), min(top + down, image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box)
