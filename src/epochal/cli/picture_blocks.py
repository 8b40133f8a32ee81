"""Pictures in a terminal: two pixels to a character, by half blocks."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from rich.console import Console
from rich.text import Text

_WIDEST = 64
_SHADES = " ░▒▓█"


def draw(picture: UInt8[np.ndarray, "h w *rgb"], console: Console) -> None:
    """Print a picture, uint8 ``(h, w)`` or ``(h, w, 3)``; in shades where the terminal has no colours."""
    small = shrink(picture)
    if console.color_system in (None, "standard"):
        for line in in_shades(small):
            console.print(line, soft_wrap=True)
        return
    for coloured in in_colours(small):
        console.print(coloured, soft_wrap=True)


def shrink(picture: UInt8[np.ndarray, "h w *rgb"]) -> UInt8[np.ndarray, "small_h small_w *rgb"]:
    """Return every so many-th pixel of a picture that is too wide for a terminal."""
    step = -(-max(picture.shape[:2]) // _WIDEST)
    return picture[::step, ::step]


def in_colours(picture: UInt8[np.ndarray, "h w *rgb"]) -> list[Text]:
    """Return lines of upper half blocks: the upper pixel is the letter's colour, the lower one the ground's."""
    colours = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    if len(colours) % 2:
        colours = np.concatenate([colours, np.zeros_like(colours[:1])])
    lines = []
    for upper, lower in zip(colours[::2], colours[1::2], strict=True):
        line = Text()
        for (r, g, b), (x, y, z) in zip(upper.tolist(), lower.tolist(), strict=True):
            line.append("▀", f"rgb({r},{g},{b}) on rgb({x},{y},{z})")
        lines.append(line)
    return lines


def in_shades(picture: UInt8[np.ndarray, "h w *rgb"]) -> list[str]:
    """Return lines of shaded blocks, each the mean of two pixels; spaces for black."""
    grey = picture if picture.ndim == 2 else picture.mean(axis=2)
    if len(grey) % 2:
        grey = np.concatenate([grey, np.zeros_like(grey[:1])])
    means = (grey[::2].astype(np.float64) + grey[1::2]) / 2
    places = np.minimum((means / 256 * len(_SHADES)).astype(int), len(_SHADES) - 1)
    return ["".join(_SHADES[place] for place in row) for row in places]
