"""Measure what a run's safety costs, how soon a killed run trains again, and how a long history reads.

    python bench/durability.py [--repeats 7] [--only cost|resume|history]

The cost is that of checkpoints and history together: the same training with and without them, in turns, in one process,
from the first iteration to the last word. MNIST is used where EPOCHAL_DATA has it, else digits-60k.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epochal import TrainConfig, load_data
from epochal.record.folder import RunFolder
from epochal.record.history import read_history
from epochal.record.writer import HistoryWriter
from epochal.run import set_up
from epochal.run.api import start, train_in_memory
from epochal.run.callbacks import Callback, Start
from epochal.run.setup import Setup

ITERATIONS = 30_000
LONG_HISTORY, BLOCK = 3_000_000, 16_384
_READY = "import time, sys; from epochal.cli.main import main; sys.exit(main(sys.argv[1:]))"


@dataclass
class Stopwatch(Callback):
    """Notes when a training begins, so that compilation does not count."""

    started: float = 0.0

    def on_start(self, start: Start) -> None:
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started


def data_name() -> str:
    folder = os.environ.get("EPOCHAL_DATA")
    return "mnist" if folder and (Path(folder) / "mnist").is_dir() else "digits-60k"


def with_and_without(setup: Setup) -> tuple[float, float]:
    """Return the seconds of one training with checkpoints and history, and of one without."""
    safe, bare = Stopwatch(), Stopwatch()
    with tempfile.TemporaryDirectory(dir=".") as name:
        start(setup, Path(name) / "run", safe)
        with_all = safe.seconds
    train_in_memory(setup, bare)
    return with_all, bare.seconds


def print_cost(repeats: int) -> None:
    data = load_data(data_name())
    for batch_size in (100, 1):
        setup = set_up(TrainConfig(data=data.name, model="mlp", batch_size=batch_size, iterations=ITERATIONS), data)
        with_and_without(setup)  # compiled, and warm
        pairs = [with_and_without(setup) for _ in range(repeats)]
        shares = sorted(100 * (safe / bare - 1) for safe, bare in pairs)
        safe, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"mlp, B={batch_size}, {ITERATIONS:,} iterations: {safe:.3f} s with checkpoints and history, "
            f"{bare:.3f} s without; medians {100 * (safe / bare - 1):+.2f} %, "
            f"pairs {shares[0]:+.2f} to {shares[-1]:+.2f} %, {repeats} pairs",
            flush=True,
        )


def print_resume(repeats: int) -> None:
    """Kill a run, and take the time from the command to the first iteration after it."""
    command = [sys.executable, "-c", _READY]
    with tempfile.TemporaryDirectory(dir=".") as name:
        run = Path(name) / "run"
        options = ["--model", "mlp", "--epochs", "10000", "--checkpoint-every", "1", "--run", str(run)]
        process = subprocess.Popen([*command, "train", data_name(), *options], stdout=subprocess.DEVNULL)
        while not list((run / "checkpoints").glob("*.safetensors")):
            time.sleep(0.05)
        seconds = []
        for _ in range(repeats):
            process.send_signal(signal.SIGKILL)
            process.wait()
            before = sessions(run)
            started = time.perf_counter()
            process = subprocess.Popen([*command, "resume", str(run)], stdout=subprocess.DEVNULL)
            while sessions(run) == before:
                time.sleep(0.01)
            seconds.append(time.perf_counter() - started)
        process.kill()
        process.wait()
    print(
        f"resume, ready to train: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f} s"
    )


def sessions(run: Path) -> int:
    return len(read_history(RunFolder(run).history_db, losses=False).sessions)


def print_history(repeats: int) -> None:
    """Write a history of three million iterations as training does, and read it."""
    losses = np.random.default_rng(0).random(LONG_HISTORY, np.float32)
    with tempfile.TemporaryDirectory(dir=".") as name:
        path = Path(name) / "history.db"
        with HistoryWriter(path) as writer:
            first = 0
            for epoch in range(50):
                for start in range(60_000 * epoch, 60_000 * (epoch + 1), BLOCK):
                    end = min(start + BLOCK, 60_000 * (epoch + 1))
                    writer.add_losses(first, losses[start:end])
                    first = end
                writer.commit()
        opened, checked = [], []
        for _ in range(repeats):
            started = time.perf_counter()
            assert read_history(path).losses.tobytes() == losses.tobytes()
            opened.append(time.perf_counter() - started)
            read_history(path, check=True)
            checked.append(time.perf_counter() - started)
        print(
            f"history of {LONG_HISTORY:,} iterations: {path.stat().st_size / 1e6:.1f} MB, all losses read in "
            f"{1000 * statistics.median(opened):.0f} ms; checked as before a resume as well, "
            f"{1000 * statistics.median(checked):.0f} ms in all"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", choices=("cost", "resume", "history"))
    arguments = parser.parse_args()
    for name, work in (("history", print_history), ("resume", print_resume), ("cost", print_cost)):
        if arguments.only in (None, name):
            work(arguments.repeats)


if __name__ == "__main__":
    main()
