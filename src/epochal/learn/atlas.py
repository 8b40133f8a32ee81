"""Training samples as people see them: images as bytes, and what a row of a table holds as text."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Shaped, UInt8

from epochal.data import Dataset
from epochal.data.tables.encoding import TableEncoding

_MOST_BYTES = 1_000_000
_COLOURS = 3


def images_of(data: Dataset, indices: Int[np.ndarray, " n"] | None = None) -> UInt8[np.ndarray, "..."] | None:
    """Return training samples as uint8 images, grey or red-green-blue, all of one scale; ``None`` for no pictures.

    Without ``indices`` they are all of them, or ``None`` where those would be more than a megabyte.
    """
    if not holds_pictures(data):
        return None
    stored = data.train.whole().x
    if indices is None:
        if stored.size > _MOST_BYTES:
            return None
        indices = np.arange(len(stored))
    chosen = stored[indices]
    chosen = chosen[..., 0] if chosen.ndim == 4 and chosen.shape[3] == 1 else chosen
    return _as_bytes(chosen, stored)


def features_of(data: Dataset, index: int) -> list[list[str]] | None:
    """Return a table's training sample as pairs of text, name and value; ``None`` for pictures."""
    x = data.train.whole().x
    row = x[index] if isinstance(x, np.ndarray) else None
    if row is None or row.ndim != 1:
        return None
    names = data.encoding.feature_names if isinstance(data.encoding, TableEncoding) else range(1, len(row) + 1)
    return [[str(name), f"{value:.4g}"] for name, value in zip(names, row, strict=True)]


def holds_pictures(data: Dataset) -> bool:
    """Return whether the samples can be shown as pictures: grey, or red-green-blue."""
    stored = data.train.layout.x
    if not isinstance(stored, np.ndarray) or stored.ndim not in (3, 4):
        return False
    return stored.ndim == 3 or stored.shape[3] in (1, _COLOURS)


def _as_bytes(chosen: Shaped[np.ndarray, "..."], stored: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Return pixels as bytes; where they are none yet, the lowest of some stored ones is black, the highest white."""
    some = stored[:1000]
    if stored.dtype == np.uint8 and some.max(initial=0) > 16:
        return chosen
    low, high = float(some.min()), float(some.max())
    scaled = (chosen.astype(np.float64) - low) / (high - low or 1.0) * 255
    return np.clip(np.nan_to_num(scaled), 0, 255).round().astype(np.uint8)
