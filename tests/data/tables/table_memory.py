"""Says how much memory a table in text takes that Polars does not read, as a multiple of its file.

python tests/data/tables/table_memory.py numbers 100      # MB; numbers, texts, names, quotes, commas, utf-8
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

KINDS: dict[str, Callable[[random.Random, int], str]] = {
    "numbers": lambda draw, row: ",".join(f"{draw.gauss(0, 1):.6f}" for _ in range(20)) + f",{row % 3}",
    "texts": lambda draw, row: ",".join(draw.choice(("red", "green", "dark blue")) for _ in range(20)) + f",{row % 3}",
    "names": lambda draw, row: f"{row % 50},{draw.getrandbits(150):036x} is a name of its own,{draw.random():.3f},a",
    "quotes": lambda draw, row: f'"a ""b"" {row % 9}",{draw.random():.4f},{draw.random():.4f},{row % 3}',
    "commas": lambda draw, row: ";".join(f"{draw.random():.4f}".replace(".", ",") for _ in range(20)) + f";{row % 3}",
    "utf-8": lambda draw, row: f"{draw.choice(('红', '绿 😀'))},{draw.random():.4f},{draw.random():.4f},{row % 3}",
}


def write(path: Path, kind: str, size: int) -> None:
    """Write a table of about so many bytes."""
    draw, line = random.Random(0), KINDS[kind]
    with path.open("w", encoding="utf-8") as file:
        width = line(draw, 0).count(";" if kind == "commas" else ",") + 1
        file.write((";" if kind == "commas" else ",").join(f"c{n}" for n in range(width)) + "\n")
        row = 0
        while file.tell() < size if row % 1000 == 0 else True:
            file.write(line(draw, row) + "\n")
            row += 1


def main(kind: str, megabytes: str) -> None:
    """Print the peak over what was taken before, over the file's size."""
    from epochal.data.tables import text_reader

    text_reader.find_spec = lambda name: None  # type: ignore[assignment]  # as if Polars were not installed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write(path, kind, int(float(megabytes) * 1e6))
        size = path.stat().st_size
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        table = text_reader.read_text_table(path)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        print(f"{kind}: {len(table):,} rows, {size / 1e6:.0f} MB, {(peak - before) / size:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
