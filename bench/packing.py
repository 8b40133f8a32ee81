"""What packing large files takes: memory beyond what the process had before it read any, and time.

python bench/packing.py [--megabytes 986] [--kinds csv,parquet,npz,ragged] [--folder FOLDER]

A file of each kind is generated there and packed in a process of its own, then both are removed. The most memory is the
system's own count (``VmHWM``), from which what it counted after the imports is taken away.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_ROWS = 200_000  # that are generated together
_NUMBERS = 18
_TEXTS = np.array([f"place {number}" for number in range(300)])
_WORDS = 120  # of a sequence, at most


# --- files ------------------------------------------------------------------------------------------------------------


def _frame(start: int) -> Any:
    """Return rows of a table of numbers, texts, and a target that is one of three classes."""
    import polars as pl

    numbers = np.random.default_rng([7, start])
    columns: dict[str, Any] = {f"n{at}": numbers.normal(at, 1 + at, _ROWS).astype(np.float32) for at in range(_NUMBERS)}
    columns["count"] = numbers.integers(0, 10**6, _ROWS)
    columns["place"] = _TEXTS[numbers.integers(0, len(_TEXTS), _ROWS)]
    columns["label"] = np.array(["low", "middle", "high"])[numbers.integers(0, 3, _ROWS)]
    return pl.DataFrame(columns)


def csv(path: Path, size: int) -> None:
    """Write a table as text."""
    with path.open("wb") as file:
        start = 0
        while file.tell() < size:
            _frame(start).write_csv(file, include_header=start == 0)
            start += _ROWS


def parquet(path: Path, size: int) -> None:
    """Write a table as Parquet, in groups of rows."""
    from pyarrow import parquet as files

    first = _frame(0).to_arrow()
    with files.ParquetWriter(path, first.schema) as writer:
        start = 0
        while not start or path.stat().st_size < size:
            writer.write_table(_frame(start).to_arrow())
            start += _ROWS


def npz(path: Path, size: int) -> None:
    """Write arrays, of which NumPy keeps each as it is."""
    rows = size // 784
    numbers = np.random.default_rng(7)
    x = np.lib.format.open_memmap(path.with_suffix(".x.npy"), "w+", np.uint8, (rows, 28, 28))
    for start in range(0, rows, _ROWS):
        x[start : start + _ROWS] = numbers.integers(0, 256, x[start : start + _ROWS].shape, np.uint8)
    np.savez(path, x=x, y=numbers.integers(0, 10, rows))
    path.with_suffix(".x.npy").unlink()


def ragged(path: Path, size: int) -> None:
    """Write sequences of tokens of different lengths as Parquet, and a class of each."""
    import pyarrow as pa
    from pyarrow import parquet as files

    schema = pa.schema([("tokens", pa.list_(pa.int32())), ("label", pa.int64())])
    with files.ParquetWriter(path, schema) as writer:
        start = 0
        while not start or path.stat().st_size < size:
            numbers = np.random.default_rng([7, start])
            lengths = numbers.integers(1, _WORDS + 1, _ROWS)
            ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            tokens = numbers.integers(0, 30_000, ends[-1], np.int32)
            lists = pa.ListArray.from_arrays(pa.array(ends), pa.array(tokens))
            writer.write_table(pa.table({"tokens": lists, "label": numbers.integers(0, 3, _ROWS)}, schema=schema))
            start += _ROWS


KINDS: dict[str, Callable[[Path, int], None]] = {"csv": csv, "parquet": parquet, "npz": npz, "ragged": ragged}


# --- what a process measures ------------------------------------------------------------------------------------------


def measure(source: str, folder: str) -> dict[str, Any]:
    """Pack a file; return the memory beyond that after the imports, in megabytes, and the seconds."""
    from epochal.data import pack
    from epochal.data.packed.manifest import Manifest

    target = {} if source.endswith(".npz") else {"target": "label"}
    base, started = _most(), time.perf_counter()
    place = pack(source, folder, **target)
    found = {"base": base, "over": _most() - base, "seconds": time.perf_counter() - started}
    splits = Manifest.read(place).splits
    packed = sum(one.stat().st_size for one in place.iterdir())
    return {**found, "rows": sum(one.samples for one in splits.values()), "packed": packed / 1e6}


def _most() -> float:
    """Return the most memory that this process ever had; ``ru_maxrss`` would count the one that started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def measure_kind(kind: str, size: int, place: Path) -> dict[str, Any]:
    """Generate a file, pack it in a process of its own, and remove both."""
    source, folder = place / f"{kind}.{'parquet' if kind == 'ragged' else kind}", place / "pack"
    try:
        KINDS[kind](source, size)
        words = [sys.executable, __file__, "--measure", str(source), str(folder)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return {"kind": kind, "megabytes": source.stat().st_size / 1e6, **found}
    finally:
        source.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure one file, as the processes do, or all kinds."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--megabytes", type=int, default=986)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    given = parser.parse_args()

    print("kind        file MB       rows    pack MB    memory before MB    beyond it MB    seconds")
    for kind in given.kinds.split(","):
        with tempfile.TemporaryDirectory(dir=given.folder) as place:
            one = measure_kind(kind, given.megabytes * 1_000_000, Path(place))
        print(
            f"{kind:8} {one['megabytes']:10,.0f} {one['rows']:10,} {one['packed']:10,.0f} {one['base']:19,.0f} "
            f"{one['over']:15,.0f} {one['seconds']:10,.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
