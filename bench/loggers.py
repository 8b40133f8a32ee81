"""Measure what each logger costs a training: while it runs, and when it ends.

    python bench/loggers.py [--rounds 7] [--epochs 4] [--batch-size 1 100] [--loggers TensorBoard WandB]

The same training of `mlp` runs without a logger and with each of them, in turns, without a run folder. Two times are
compared: the time from the first iteration to the end of the last epoch, by the clock and as processor time of the
process. A third training without a logger shows how far two equal ones differ. What a logger itself needs is timed at
its calls: as a share of the training while that runs, and in seconds when it ends.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from epochal import Callback, load_data, train
from epochal import loggers as epochal_loggers
from epochal.errors import EpochalError
from epochal.run.callbacks import ChunkEnd, End, EpochEnd, Start


class Watch(Callback):
    """Takes the time from the beginning to the end, before any logger writes the rest."""

    def on_start(self, start: Start) -> None:
        self.started, self.processor = time.perf_counter(), time.process_time()

    def on_end(self, end: End) -> None:
        self.seconds = time.perf_counter() - self.started
        self.processor = time.process_time() - self.processor


class Timed(Callback):
    """Hands on what it is told, and takes the time that a logger needs for it while the training runs."""

    def __init__(self, logger: Callback) -> None:
        self.logger, self.spent = logger, 0.0

    def on_start(self, start: Start) -> None:
        self.logger.on_start(start)

    def on_chunk(self, chunk: ChunkEnd) -> None:
        started = time.perf_counter()
        self.logger.on_chunk(chunk)
        self.spent += time.perf_counter() - started

    def on_epoch(self, epoch: EpochEnd) -> None:
        started = time.perf_counter()
        self.logger.on_epoch(epoch)
        self.spent += time.perf_counter() - started

    def on_end(self, end: End) -> None:
        self.logger.on_end(end)


class After(Callback):
    """Takes the time when the loggers, which end before it, have written the rest."""

    def on_end(self, end: End) -> None:
        self.ended = time.perf_counter()


def logger(name: str, folder: Path) -> tuple[Timed, ...]:
    """Return a logger that writes below a folder; none for other names."""
    options: dict[str, dict[str, Any]] = {
        "TensorBoard": {"folder": folder / "tensorboard"},
        "WandB": {"mode": "offline", "dir": folder, "project": "bench"},
        "MLflow": {"tracking_uri": f"sqlite:///{folder}/mlflow.db"},
        "Trackio": {"project": "bench"},
    }
    return (Timed(getattr(epochal_loggers, name)(**options[name])),) if name in options else ()


def measure(name: str, data: Any, batch_size: int, epochs: int) -> tuple[float, float, float, float]:
    """Return the training's seconds and processor seconds; the logger's seconds during it, and afterwards."""
    watch, after = Watch(), After()
    with tempfile.TemporaryDirectory() as folder:
        # they begin in this order and end in the reverse one: the logger between the two
        logged = logger(name, Path(folder))
        members = [after, *logged, watch]
        train(data, model="mlp", batch_size=batch_size, epochs=epochs, run=False, progress=False, callbacks=members)
    spent = sum(one.spent for one in logged)
    return watch.seconds, watch.processor, spent, after.ended - watch.started - watch.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[100])
    parser.add_argument("--loggers", nargs="+", default=["TensorBoard", "WandB"])
    options = parser.parse_args()
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        data = load_data("mnist")
    except EpochalError:
        data = load_data("digits-60k")

    names = ["none", "none again", *options.loggers]
    for batch_size in options.batch_size:
        times: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in names}
        for number in range(options.rounds + 1):
            for name in names if number % 2 else reversed(names):
                times[name].append(measure(name, data, batch_size, options.epochs))

        iterations = options.epochs * -(-len(data.train) // batch_size)
        print(f"B={batch_size}: {iterations:,} iterations, medians of {options.rounds} (from the least to the most)")
        plain = np.array(times["none"][1:])
        for name in names:
            own = np.array(times[name][1:])  # the first warms up
            shares = [sorted(100 * (own[:, column] / plain[:, column] - 1)) for column in (0, 1)]
            wall, processor = (f"{statistics.median(s):+.1f} % ({s[0]:+.1f} to {s[-1]:+.1f})" for s in shares)
            rate, rest = iterations / statistics.median(own[:, 0]), statistics.median(own[:, 3])
            calls = sorted(100 * own[:, 2] / own[:, 0])
            print(
                f"  {name:12} {rate:8,.0f} it/s; time {wall}; processor {processor}; in its calls "
                f"{statistics.median(calls):.2f} % ({calls[0]:.2f} to {calls[-1]:.2f}); afterwards {rest:.3f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
