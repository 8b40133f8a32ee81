"""Runs so small that one is trained hundreds of times in a test, in this process, compiled once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal.clock import Position
from epochal.run.callbacks import Callback, ChunkEnd, Start

SAMPLES = 23


def save_little_data(path: Path) -> Path:
    """Write 23 training and 11 test samples of 5 numbers, in 3 classes."""
    random = np.random.default_rng(5)
    x, y = random.normal(size=(SAMPLES + 11, 5)).astype(np.float32), random.integers(0, 3, SAMPLES + 11)
    np.savez(path, x_train=x[:SAMPLES], y_train=y[:SAMPLES], x_test=x[SAMPLES:], y_test=y[SAMPLES:])
    return path


class EachIteration(Callback):
    """Makes every chunk one iteration long."""

    def next_stop(self, position: Position) -> int:
        return position.iteration + 1


class StopAfter(EachIteration):
    """Makes every chunk one iteration long, and stops after so many."""

    def __init__(self, iterations: int) -> None:
        self.left = iterations

    def on_start(self, start: Start) -> None:
        self.should_stop = self.left == 0

    def on_chunk(self, chunk: ChunkEnd) -> None:
        self.left -= 1
        self.should_stop = self.left == 0


class Warnings(Callback):
    """Remembers what the user was warned of."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def on_warning(self, message: str) -> None:
        self.messages.append(message)


LITTLE: dict[str, dict[str, Any]] = {
    "B=1": {"model": "linear", "batch_size": 1, "epochs": 2},
    "ragged B, adam, dropout": {
        "model": "mlp",
        "hidden": (4,),
        "dropout": 0.3,
        "batch_size": 4,
        "epochs": 4,
        "optimizer": "adam",
        "schedule": "cosine",
        "warmup": "1ep",
    },
    "micro-batches, dropped rest, part of an epoch": {
        "model": "mlp",
        "hidden": (4,),
        "batch_size": 9,
        "micro_batch": 2,
        "last": "drop",
        "iterations": 11,
        "optimizer": "nesterov",
        "evaluate_every": 2,
    },
    "a growing batch": {
        "model": "mlp",
        "hidden": (4,),
        "batch_size": "6,4@2it,9@30sa,all@3ep",
        "epochs": 4,
        "optimizer": "momentum",
        "schedule": "linear",
        "warmup": "1ep",
    },
    "B=N": {"model": "linear", "batch_size": "all", "epochs": 9, "optimizer": "adamw"},
}


@pytest.fixture(scope="session")
def little_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 23 training samples."""
    return save_little_data(tmp_path_factory.mktemp("little") / "little.npz")


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: for tests that make a thousand runs and cut no real power."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="epochal-", dir=memory) as folder:
        yield Path(folder)
