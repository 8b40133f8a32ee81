"""Data larger than memory: a packed set warm and cold, under a limit of memory, and a training on 10¹² rows.

python bench/scale.py [--quick] [--folder FOLDER]      # everything, as tables; the set is made there and removed

The set is generated and packed as `epochal data pack` does it: 3,800,000 images of 28×28 (300,000 with
--quick), 3.1 GB.
Each measurement is a process of its own. What is compared is measured in turns, and the median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_ROWS, _QUICK_ROWS = 3_800_000, 300_000
_RESIDENT_ROWS = 300_000
_LIMIT = 1 << 30
_SIDE = 28
_BATCHES = (1, 100, 1_000)
_OF = np.uint64(0x9E3779B97F4A7C15)


class Generated:
    """So many images that are computed from their numbers, as a source of rows."""

    fingerprint = "generated"
    row_bytes = _SIDE * _SIDE

    def __init__(self, samples: int) -> None:
        from epochal.data import Split

        self.samples = samples
        self.layout = Split(np.zeros((0, _SIDE, _SIDE), np.uint8), np.zeros(0, np.int32))

    def hint(self, ids: np.ndarray) -> None:
        """Do nothing."""

    def read(self, ids: np.ndarray, into: Any) -> None:
        """Write these images and their labels: noise, and a bright row that tells the label."""
        into.ids[:] = ids
        words = np.arange(_SIDE * _SIDE // 8, dtype=np.uint64)
        noise = (ids.astype(np.uint64)[:, None] * _OF + words) * _OF
        noise ^= noise >> np.uint64(29)
        into.x[:] = noise.view(np.uint8).reshape(-1, _SIDE, _SIDE) >> 2
        into.y[:] = ids % 10
        into.x[np.arange(len(ids)), into.y * 2 + 4] = 255


def dataset(samples: int) -> Any:
    """Return a data set whose training samples are generated when they are read."""
    from epochal.data import Split
    from epochal.data.dataset import Dataset, Preprocessing
    from epochal.data.row_source import StoredSplit

    held_out = StoredSplit(Generated(2_000)).take(np.arange(2_000))
    return Dataset(
        "generated", StoredSplit(Generated(samples)), Split(held_out.x, held_out.y), Preprocessing.of(0, 1 / 255),
        tuple("0123456789"),
    )  # fmt: skip


# --- what a process measures ------------------------------------------------------------------------------------------


def make(folder: str, samples: str) -> dict[str, Any]:
    """Pack the set."""
    from epochal.data.packed.pack_writer import write_pack

    started = time.perf_counter()
    write_pack(Path(folder), dataset(int(samples)), what="generated")
    size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return {"seconds": time.perf_counter() - started, "bytes": size}


def warm(folder: str, batch: str, rounds: str) -> dict[str, Any]:
    """Compare the speed of the packed set, in the page cache, with that of the same samples in memory, in turns."""
    import dataclasses

    data = _packed(folder)
    memory = dataclasses.replace(data, train=data.train.whole())
    runners = [_Runner(one, int(batch)) for one in (memory, data)]
    for runner in runners:
        runner.run(0.5)
    turns = [[_with_processor(runner) for runner in runners] for _ in range(int(rounds))]
    rates, costs = ([[pair[kind] for pair in turn] for turn in turns] for kind in (0, 1))
    resident, packed = (statistics.median(column) for column in zip(*rates, strict=True))
    return {
        "batch": int(batch), "resident": resident, "packed": packed,
        "ratio": statistics.median(packed / resident for resident, packed in rates),
        "processor_ratio": statistics.median(resident / packed for resident, packed in costs),
    }  # fmt: skip


def _with_processor(runner: _Runner) -> tuple[float, float]:
    """Train for a second; return samples a second, and the processor's seconds a sample, which others disturb less."""
    began, started = time.process_time(), time.perf_counter()
    rate = runner.run(1.0)
    return rate, (time.process_time() - began) / (rate * (time.perf_counter() - started))


class _Runner:
    """Trains `mlp` on a data set, some seconds at a time."""

    def __init__(self, data: Any, batch_size: int, order: str | None = None) -> None:
        from epochal.clock import Position
        from epochal.config.train_config import TrainConfig
        from epochal.run.setup import set_up

        self.setup = set_up(TrainConfig(model="mlp", batch_size=batch_size, epochs=100, order=order), data)
        self.engine, self.batch_size, self.position = self.setup.engine, batch_size, Position()
        self.state = self.engine.initial_state()
        self.engine.prepare(self.state, batch_size)
        self.chunk = max(1, min(20_000 // batch_size, 10_000))

    def run(self, seconds: float) -> float:
        """Train for about so long; return samples per second."""
        from epochal.clock import Span

        started, samples = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            left = (self.setup.plan.samples - self.position.offset) // self.batch_size
            count = min(self.chunk, left)
            if not count:
                self.position = self.setup.plan.advance(self.position, Span.iterations(1))
                continue
            self.state, _ = self.engine.run(self.state, self.position, self.batch_size, count)
            self.position = self.setup.plan.advance(self.position, Span.iterations(count))
            samples += count * self.batch_size
        return samples / (time.perf_counter() - started)


def cold(folder: str, batch: str, order: str, seconds: str) -> dict[str, Any]:
    """Return the speed from a disk whose files are in no cache."""
    forget(folder)
    runner = _Runner(_packed(folder), int(batch), order)
    forget(folder)
    return {"batch": int(batch), "order": order, "rate": runner.run(float(seconds)), "peak": _peak()}


def whole(folder: str, batch: str, order: str) -> dict[str, Any]:
    """Train two epochs as a user does; return their audits, the speed and the most memory."""
    import epochal

    forget(folder)  # pages that another group brought are not counted in this one
    with tempfile.TemporaryDirectory() as run_folder:
        run = epochal.train(
            _packed(folder), model="mlp", batch_size=int(batch), epochs=2, order=order, run=f"{run_folder}/run"
        )
        epochs = run.history.epochs
        rate = sum(row.samples for row in epochs) / sum(row.seconds for row in epochs)
        return {
            "batch": int(batch), "order": order, "rate": rate, "peak": _peak(),
            "samples": [row.samples for row in epochs], "exact": [row.is_exact for row in epochs],
        }  # fmt: skip


def start(samples: str) -> dict[str, Any]:
    """Begin a training on so many generated rows, for ten iterations; return the seconds until it ended."""
    import epochal

    started = time.perf_counter()
    data = dataset(int(samples))
    results = {}
    for order in ("exact", "blocks"):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            run = epochal.train(data, model="mlp", batch_size=100, iterations=10, order=order, run=f"{folder}/run")
            results[order] = {"seconds": time.perf_counter() - began, "iterations": run.history.iterations}
    return {"samples": int(samples), "all_seconds": time.perf_counter() - started, **results}


def change(folder: str) -> dict[str, Any]:
    """Change the batch size on the way; return what it cost beside the compilation, in seconds."""
    from epochal.clock import Position

    runner = _Runner(_packed(folder), 100)
    runner.run(0.5)
    before, started = runner.engine.compile_seconds, time.perf_counter()
    state, position = runner.state, Position()
    state, _ = runner.engine.run(state, position, 200, 50)
    first = time.perf_counter() - started
    compiled = runner.engine.compile_seconds - before
    times = []
    for number in range(1, 8):
        started = time.perf_counter()
        state, _ = runner.engine.run(state, Position(50 * number, 0, 10_000 * number), 200, 50)
        times.append(time.perf_counter() - started)
    return {"first": first, "compilation": compiled, "usual": statistics.median(times)}


def seek() -> dict[str, Any]:
    """Return the microseconds for 1,000 rows of both orders, from positions 10 and 10¹²; and a row's in a window."""
    from epochal import Order
    from epochal.block_order import BlockOrder

    found = {}
    for name, order in (("exact", Order(10**13, 1)), ("blocks", BlockOrder(10**13, 1, 334, 64))):
        pairs = [tuple(_microseconds(order, start, 1_000) for start in (10, 10**12)) for _ in range(31)]
        near, far = (statistics.median(column) for column in zip(*pairs, strict=True))
        row = statistics.median(_microseconds(order, 10**12, 21_376) for _ in range(15)) / 21_376
        found[name] = {"near": near, "far": far, "row": row}
    return found


def _microseconds(order: Any, begin: int, rows: int) -> float:
    started = time.perf_counter()
    order.indices(3, begin, begin + rows)
    return (time.perf_counter() - started) * 1e6


def _packed(folder: str) -> Any:
    from epochal.data.packed.opening import load_pack

    return load_pack(Path(folder))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def forget(folder: str) -> None:
    """Drop the pages of the set's files from the cache, where the system lets us."""
    for path in Path(folder).rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# --- a limit of memory ------------------------------------------------------------------------------------------------


@contextmanager
def limited(size: int) -> Iterator[Path | None]:
    """Make a control group of so many bytes below this process's own, page cache included; else give ``None``.

    Version 1 has a hierarchy for memory; version 2 has one for everything.
    """
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    places = [
        (Path("/sys/fs/cgroup/memory" + path), "memory.limit_in_bytes") for _, kind, path in own if kind == "memory"
    ]
    places += [(Path("/sys/fs/cgroup" + path), "memory.max") for _, kind, path in own if not kind]
    for parent, limit in places:
        group = parent / f"epochal-bench-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(size))
            yield group
            return
        except OSError:
            continue
        finally:
            _remove(group)
    yield None


def _remove(group: Path) -> None:
    for _ in range(50):
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.1)  # its last process is still ending
        else:
            return


def measured(what: str, *arguments: Any, group: Path | None = None) -> dict[str, Any]:
    """Measure in a process of its own, in a control group if there is one."""
    enter = f"echo $$ > {group}/cgroup.procs && " if group is not None else ""
    words = " ".join([sys.executable, __file__, what, *map(str, arguments)])
    done = subprocess.run(["sh", "-c", f"{enter}exec {words}"], capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": f"status {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if group is not None:
        most = [group / name for name in ("memory.max_usage_in_bytes", "memory.peak") if (group / name).exists()]
        found["group_peak"] = int(most[0].read_text()) / 2**20 if most else None
    return found


# --- everything, as tables --------------------------------------------------------------------------------------------


def measure_scale(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Make the set, measure everything, and remove it."""
    samples, rounds, seconds = (_QUICK_ROWS, 5, 5) if quick else (_ROWS, 15, 15)
    needed = 2 * samples * (_SIDE * _SIDE + 32)
    if shutil.disk_usage(folder).free < needed:
        raise SystemExit(f"{folder} has less than {needed / 1e9:.1f} GB free; give --folder")
    found: dict[str, Any] = {"samples": samples, "seek": measured("seek"), "start": measured("start", 10**12)}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        large, small = f"{place}/large", f"{place}/small"
        found["pack"] = measured("make", large, samples)
        measured("make", small, min(samples, _RESIDENT_ROWS))
        found["warm"] = [measured("warm", small, batch, rounds) for batch in _BATCHES]
        found["change"] = measured("change", small)

        with limited(_LIMIT if not quick else _LIMIT // 2) as group:
            found["limited"] = group is not None
            found["whole"] = [measured("whole", large, 1_000, order, group=group) for order in ("exact", "blocks")]
            turns = [
                [measured("cold", large, 1_000, order, seconds, group=group) for order in ("exact", "blocks")]
                for _ in range(3)
            ]
        found["cold"] = [one for turn in turns for one in turn]
    return found


def print_scale(found: dict[str, Any]) -> None:
    """Print the tables."""
    print("order    µs for 1,000 rows at 10    at 10¹²    µs a row in a window")
    for name, one in found["seek"].items():
        print(f"{name:8} {one['near']:24,.0f} {one['far']:10,.0f} {one['row']:23.3f}")
    for name in ("exact", "blocks"):
        print(f"start of a training on 10¹² rows, {name}: {found['start'][name]['seconds']:.1f} s")
    print(f"packed {found['pack']['bytes'] / 1e9:.2f} GB in {found['pack']['seconds']:.0f} s")
    print("warm: batch size    in memory, samples/s    packed    ratio    ratio by processor time")
    for one in found["warm"]:
        rates = f"{one['resident']:23,.0f} {one['packed']:9,.0f} {one['ratio']:8.2f}"
        print(f"{one['batch']:16,} {rates} {one['processor_ratio']:26.2f}")
    other = found["change"]
    beside = other["first"] - other["compilation"] - other["usual"]
    print(f"change of the batch size: {beside:.3f} s beside its compilation of {other['compilation']:.1f}")
    print(f"in a control group: {'yes' if found['limited'] else 'none could be made'}")
    print("two epochs: order    samples/s    peak MiB    every audit exact")
    for one in found["whole"]:
        print(
            one
            if "failed" in one
            else f"{one['order']:>17} {one['rate']:12,.0f} {one['peak']:11,.0f}    {all(one['exact'])}"
        )
    print("cold, batch size 1,000: order    samples/s")
    by_order: dict[str, list[float]] = {}
    for one in found["cold"]:
        by_order.setdefault(one.get("order", "failed"), []).append(one.get("rate", 0.0))
    for name, values in by_order.items():
        print(f"{name:>29} {statistics.median(values):12,.0f}")


def main() -> None:
    """Measure one thing, as the processes do, or everything."""
    kinds = {"make": make, "warm": warm, "cold": cold, "whole": whole, "start": start, "change": change, "seek": seek}
    if len(sys.argv) > 1 and sys.argv[1] in kinds:
        print(json.dumps(kinds[sys.argv[1]](*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", type=Path, help="keep the numbers in this file")
    given = parser.parse_args()
    found = measure_scale(given.folder, quick=given.quick)
    print_scale(found)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
