"""Trainings side by side against the same ones one after another: time, compilations, and bits.

python bench/scale_lanes.py [RUNS] [EPOCHS]

Both are alternated three times in one process, and the median counts: other load falls on both. ``programs`` are those
compiled for a whole batch, for an epoch's smaller last one, and at first for evaluations. The end compares one command
`epochal compare --repeat` with as many commands `epochal train --seed`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROUNDS = 3
_CASES = (("mlp", 1), ("mlp", 10), ("mlp", 100), ("rnn", 100))


def measure(model: str, batch_size: int, runs: int, epochs: int) -> None:
    """Print a row for one model and batch size."""
    from epochal.engine.compile import PROGRAMS
    from epochal.study import Study, compare

    def work(at_once: int | None, folder: Path) -> tuple[float, float, Study]:
        wall, processor = time.perf_counter(), time.process_time()
        study = compare(
            "digits", models=model, batch_sizes=[batch_size], repeat=runs, epochs=epochs, run=folder, at_once=at_once,
            snapshots=False,
        )  # fmt: skip
        return time.perf_counter() - wall, time.process_time() - processor, study

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        before = PROGRAMS.compilations
        work(None, place / "compiles")
        compiled = PROGRAMS.compilations - before
        work(1, place / "compiles-too")

        rows, same = [], True
        for turn in range(_ROUNDS):
            one_wall, one_processor, in_turn = work(1, place / f"in-turn-{turn}")
            wall, processor, at_once = work(None, place / f"at-once-{turn}")
            rows.append((wall / one_wall, processor / one_processor, one_wall, wall))
            same &= {name: run.weights_sha256 for name, run in in_turn.runs.items()} == {
                name: run.weights_sha256 for name, run in at_once.runs.items()
            }
    ratio, of_processor, one_wall, wall = (statistics.median(values) for values in zip(*rows, strict=True))
    load = os.getloadavg()[0]
    print(
        f"{model:5} {batch_size:5}  {one_wall:10.2f}  {wall:7.2f}  {ratio:5.2f}  {of_processor:9.2f}  {compiled:8}  "
        f"{'yes' if same else 'NO':>9}  {load:4.1f}",
        flush=True,
    )


def commands(runs: int, epochs: int) -> None:
    """Print how long one command takes, and as many commands as it has runs."""
    with tempfile.TemporaryDirectory() as folder:

        def seconds(words: str) -> float:
            started = time.perf_counter()
            call = [sys.executable, "-m", "epochal", *shlex.split(words)]
            subprocess.run(call, check=True, capture_output=True)
            return time.perf_counter() - started

        shared = f"digits --batch-size 100 --epochs {epochs} --run {folder}"
        one_each = sum(seconds(f"train {shared}/train-{seed} --seed {seed}") for seed in range(runs))
        together = seconds(f"compare {shared}/compare --repeat {runs} --no-landscape")
    print(f"{runs} commands 'train --seed': {one_each:.1f} s; one 'compare --repeat {runs}': {together:.1f} s")


def _count(word: str) -> int:
    """Return a number of at least 1."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is no number of at least 1")
    return int(word)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=_count, default=8, metavar="RUNS", help="default: 8")
    parser.add_argument("epochs", nargs="?", type=_count, default=20, metavar="EPOCHS", help="default: 20")
    given = parser.parse_args()
    runs, epochs = given.runs, given.epochs

    print(f"{runs} runs of {epochs} epochs on digits, {os.cpu_count()} processors")
    print("model batch  in turn, s  at once  ratio  processor  programs  same bits  load")
    for model, batch_size in _CASES:
        measure(model, batch_size, runs, epochs)
    commands(runs, epochs)


if __name__ == "__main__":
    main()
