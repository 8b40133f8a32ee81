"""How fast a folder of pictures is read: `python bench/pictures.py`; the goal is 25,000 JPEGs of 64×64 within a minute.

The files are made first, ten classes of random pictures in a temporary folder; what the system still holds of them in
memory is not read from the disk again.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from epochal.data.pictures.class_folders import read_picture_folder

CLASSES = 10


def make(folder: Path, files: int, side: int) -> None:
    """Write JPEGs of smooth random colours, of the size that photographs have."""
    numbers = np.random.default_rng(0)
    for i in range(files):
        coarse = Image.fromarray(numbers.integers(0, 256, (8, 8, 3), np.uint8))
        content = io.BytesIO()
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(content, "JPEG", quality=90)
        path = folder / f"class-{i % CLASSES}" / f"{i:06}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=25_000, help="how many JPEGs (default: %(default)s)")
    parser.add_argument("--side", type=int, default=64, help="their height and width (default: %(default)s)")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        make(Path(name), options.files, options.side)
        started = time.perf_counter()
        pictures = read_picture_folder(Path(name))
        seconds = time.perf_counter() - started

    print(
        f"{len(pictures.x_train):,} JPEGs of {options.side}×{options.side} in {CLASSES} classes, as "
        f"{pictures.size[1]}×{pictures.size[0]} {'grey' if pictures.grey else 'RGB'}, {os.cpu_count()} cores: "
        f"{seconds:.1f} s, {options.files / seconds:,.0f} a second"
    )


if __name__ == "__main__":
    main()
