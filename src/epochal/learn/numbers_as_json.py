"""Numbers as JSON has them: none for what is not finite, and no more digits than a picture shows."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped, UInt8


def number(value: Any) -> float | None:
    """Return a number, or ``None`` for one that is not finite."""
    plain = float(value)
    return plain if math.isfinite(plain) else None


def short(values: Iterable[Any], digits: int = 6) -> list[float | None]:
    """Return numbers rounded to significant digits."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in map(float, values)]


def short_rows(rows: Shaped[np.ndarray, "rows columns"], digits: int = 6) -> list[list[float | None]]:
    """Return rows of numbers, rounded likewise."""
    return [short(row, digits) for row in rows.tolist()]


def in_base64(content: bytes) -> str:
    """Return bytes as text."""
    return base64.b64encode(content).decode("ascii")


def bitmap(marks: Bool[np.ndarray, " n"]) -> str:
    """Return marks as bits, mark i as bit i % 8 (of the value 1 << i % 8) of byte i // 8, as base64."""
    return in_base64(np.packbits(marks, bitorder="little").tobytes())


def pixels(images: UInt8[np.ndarray, "count height width *colours"]) -> dict[str, Any]:
    """Return images of one size, stacked, as bytes row by row."""
    count, height, width = images.shape[:3]
    colours = 1 if images.ndim == 3 else images.shape[3]
    content = np.ascontiguousarray(images).tobytes()
    return {"w": width, "h": height, "c": colours, "count": count, "data": in_base64(content)}
