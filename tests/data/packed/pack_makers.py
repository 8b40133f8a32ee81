"""Small packs of several files, and ways to damage them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from epochal.data.arrays import from_arrays
from epochal.data.dataset import Dataset
from epochal.data.packed.pack_writer import write_pack

ROWS, SHARD_ROWS = 230, 50


def small_data(seed: int = 0, *, rows: int = ROWS, weights: bool = False) -> Dataset:
    """230 training and 20 test pictures of 5×3 in bytes, in 3 classes."""
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 256, (rows + 20, 5, 3), np.uint8), random.integers(0, 3, rows + 20)
    given = random.uniform(0.5, 2, rows).astype(np.float32) if weights else None
    return from_arrays(
        x[:rows], y[:rows], test=(x[rows:], y[rows:]), weights=given, name="small", class_names=["a", "b", "c"]
    )


def small_pack(folder: Path, data: Dataset | None = None) -> Path:
    """A pack of 5 files of training rows, the last one shorter, and a file of test rows."""
    write_pack(folder, data or small_data(), what="small", shard_bytes=SHARD_ROWS * 40)
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    """Return each file's content by its name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def change(path: Path, place: int, content: bytes) -> None:
    """Write bytes into a file."""
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def flip_bit(path: Path, place: int) -> None:
    """Change one bit of the byte at this place."""
    change(path, place, bytes([path.read_bytes()[place] ^ 16]))
