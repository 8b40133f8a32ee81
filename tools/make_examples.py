"""Make the files in examples/: a table of flats, a folder of shapes, and a photographed digit.

    python tools/make_examples.py

They are small, made from seeds, and always the same; the README's commands use them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

FOLDER = Path(__file__).parent.parent / "examples"
CITIES = {"Lima": 0, "Oslo": 60_000, "Rome": 25_000, "上海": 45_000}


def flats(rng: np.random.Generator, rows: int) -> list[str]:
    """Return lines of a table: sizes, gaps, a city, a date, and the price that follows from them, nearly."""
    lines = ["area,rooms,city,balcony,sold,price"]
    for _ in range(rows):
        area = rng.uniform(28, 140)
        rooms, city, balcony = 1 + int(area / 35 + rng.uniform(0, 1.5)), rng.choice(list(CITIES)), rng.integers(2)
        year, month, day = rng.integers(2015, 2025), rng.integers(1, 13), rng.integers(1, 29)
        price = 60_000 + 2_300 * area + CITIES[city] + 12_000 * balcony + 6_000 * (year - 2015) + rng.normal(0, 9_000)
        known = "" if rng.uniform() < 0.05 else rooms
        lines.append(
            f"{area:.1f},{known},{city},{('no', 'yes')[balcony]},{year}-{month:02}-{day:02},{round(price, -3):.0f}"
        )
    return lines


def shape(rng: np.random.Generator, name: str) -> Image.Image:
    """Return a picture of a filled circle, square or triangle, anywhere, of any size."""
    image = Image.new("L", (96, 96), int(rng.integers(200, 256)))
    x, y, r = *rng.uniform(32, 64, 2), rng.uniform(16, 28)
    ink, draw = int(rng.integers(0, 90)), ImageDraw.Draw(image)
    if name == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=ink)
    else:
        corners = {"square": 4, "triangle": 3}[name]
        draw.regular_polygon((x, y, r * 1.2), corners, rotation=int(rng.integers(-15, 16)), fill=ink)
    return image.resize((24, 24), Image.Resampling.LANCZOS)


def photograph(rng: np.random.Generator) -> Image.Image:
    """Return a seven, written with a felt pen on paper that the light reaches from the left."""
    rows, columns = np.mgrid[0:480, 0:400]
    paper = 215 - 0.14 * columns + 0.03 * rows + rng.normal(0, 3, (480, 400))
    ink = Image.new("L", (400, 480), 0)
    ImageDraw.Draw(ink).line([(120, 130), (285, 122), (225, 235), (180, 372)], fill=255, width=26, joint="curve")
    soft = np.asarray(ink.filter(ImageFilter.GaussianBlur(3))) / 255
    tint = np.array([1.0, 0.97, 0.9])
    colours = paper[..., None] * tint - soft[..., None] * np.array([165, 150, 95])
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))


def main() -> None:
    """Write them."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    rng = np.random.default_rng(7)
    FOLDER.mkdir()
    (FOLDER / "flats.csv").write_text("\n".join(flats(rng, 400)) + "\n", encoding="utf-8")
    offers = [line.rpartition(",")[0] for line in flats(rng, 5)]
    (FOLDER / "offers.csv").write_text("\n".join(offers) + "\n", encoding="utf-8")

    for name in ("circle", "square", "triangle"):
        (FOLDER / "shapes" / name).mkdir(parents=True)
        for number in range(60):
            shape(rng, name).save(FOLDER / "shapes" / name / f"{number:02}.png", optimize=True)
    photograph(rng).save(FOLDER / "seven.jpg", quality=80)


if __name__ == "__main__":
    main()
