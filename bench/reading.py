"""Reading a table: a CSV of 200,000 rows and 21 columns, beside Polars; and from the command to the result.

    python bench/reading.py [--rows 200000]

Four things are timed in turns, medians of several: Polars' `read_csv`, `read_text_table` (the same file, with every
line accounted for), the same without Polars, and `load_data` (with split, encoding and checks). Then `epochal train`
on a mixed table of 1,000 rows is timed as a process of its own, with an empty cache of programs: a first start.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from epochal.data import load_data
from epochal.data.tables import text_reader
from epochal.data.tables.text_reader import read_text_table

ROUNDS = 7


def write_table(path: Path, rows: int) -> None:
    """Write 20 columns of numbers and a label."""
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.normal(size=(rows, 20)), rng.integers(0, 3, rows)])
    with path.open("w") as file:
        file.write(",".join([*(f"c{number}" for number in range(20)), "y"]) + "\n")
        np.savetxt(file, values, fmt=[*["%.6g"] * 20, "%d"], delimiter=",")


def write_mixed(path: Path, rows: int = 1000) -> None:
    """Write numbers with gaps, texts, dates and a price."""
    rng = np.random.default_rng(0)
    lines = ["area,rooms,city,garden,sold,price"]
    for number in range(rows):
        area, rooms, city = rng.uniform(30, 150), rng.integers(1, 7), rng.integers(5)
        price = 50_000 + 2_400 * area + 9_000 * rooms + 15_000 * city + rng.normal(0, 9_000)
        rooms_text = "" if number % 17 == 0 else str(rooms)
        town = ("Rome", "Oslo", "Lima", "Bonn", "Nice")[city]
        day = f"20{15 + number % 9}-{1 + number % 12:02}-{1 + number % 28:02}"
        lines.append(f"{area:.1f},{rooms_text},{town},{('yes', 'no')[number % 2]},{day},{price:.0f}")
    path.write_text("\n".join(lines) + "\n")


def without_polars(path: Path) -> object:
    """Read the table as it is read where Polars is not installed."""
    find, text_reader.find_spec = text_reader.find_spec, lambda name: None
    try:
        return read_text_table(path)
    finally:
        text_reader.find_spec = find


def seconds(action: Callable[[], object]) -> float:
    """Return how long it takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows

    with tempfile.TemporaryDirectory() as folder:
        table, mixed = Path(folder) / "table.csv", Path(folder) / "mixed.csv"
        write_table(table, rows)
        actions: dict[str, Callable[[], object]] = {
            "read_text_table": lambda: read_text_table(table),
            "without Polars": lambda: without_polars(table),
            "load_data": lambda: load_data(table),
        }
        try:
            import polars as pl

            actions = {"polars.read_csv": lambda: pl.read_csv(table), **actions}
        except ImportError:
            print("Polars is not installed: pip install 'epochal[tables]'")

        times: dict[str, list[float]] = {name: [] for name in actions}
        for round_ in range(ROUNDS + 1):
            for name, action in actions.items():
                taken = seconds(action)
                if round_:  # the first one warms up
                    times[name].append(taken)
        print(f"{rows:,} × 21, {table.stat().st_size / 1e6:.0f} MB")
        first = statistics.median(next(iter(times.values())))
        for name, taken in times.items():
            middle = statistics.median(taken)
            print(f"  {name:16} {middle:.3f} s ({min(taken):.3f} to {max(taken):.3f}), {middle / first:.2f} times")

        write_mixed(mixed)
        starts = []
        for number in range(3):
            environment = {**os.environ, "XDG_CACHE_HOME": f"{folder}/cache-{number}"}
            command = [sys.executable, "-m", "epochal", "train", str(mixed), "--run", f"{folder}/run-{number}"]
            starts.append(seconds(lambda c=command, e=environment: subprocess.run(c, env=e, check=True,
                                                                               stdout=subprocess.DEVNULL)))  # fmt: skip
        middle, most = statistics.median(starts), max(starts)
        print(f"train on 1,000 mixed rows, a first start: {middle:.2f} s (3 times, at most {most:.2f})")


if __name__ == "__main__":
    main()
