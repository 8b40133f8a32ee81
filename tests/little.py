"""Runs so small that one is trained hundreds of times in a test, in this process, compiled once."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal.config import TrainConfig
from epochal.data import Dataset
from epochal.run import run as run_module
from epochal.run import session, training
from epochal.run import setup as setup_module
from epochal.run.setup import Custom, Setup, set_up

SAMPLES = 23


def save_little_data(path: Path) -> Path:
    """Write 23 training and 11 test samples of 5 numbers, in 3 classes."""
    random = np.random.default_rng(5)
    x, y = random.normal(size=(SAMPLES + 11, 5)).astype(np.float32), random.integers(0, 3, SAMPLES + 11)
    np.savez(path, x_train=x[:SAMPLES], y_train=y[:SAMPLES], x_test=x[SAMPLES:], y_test=y[SAMPLES:])
    return path


def compile_once(patch: pytest.MonkeyPatch) -> None:
    """Let runs of one configuration share what was compiled, which has no memory of its own."""
    known: dict[tuple[TrainConfig, str], Setup] = {}

    def remembered(config: TrainConfig, data: Dataset, custom: Custom | None = None) -> Setup:
        if custom != (custom and Custom()):
            return set_up(config, data, custom)
        key = (config, data.fingerprint)
        if key not in known:
            known[key] = known.setdefault((set_up(config, data).config, data.fingerprint), set_up(config, data))
        return known[key]

    for module in (session, run_module, setup_module):
        patch.setattr(module, "set_up", remembered)


def one_iteration_at_a_time(patch: pytest.MonkeyPatch) -> None:
    """Make every chunk one iteration long, so that training can be stopped at each."""
    patch.setattr(training, "CAPACITY", 1)
    patch.setattr(training, "next_chunk_length", lambda length, count, seconds: 1)


def stop_after(iterations: int) -> Callable[[], bool]:
    """Return a question that is answered yes after so many chunks."""
    asked = itertools.count()
    return lambda: next(asked) >= iterations


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
    "B=N": {"model": "linear", "batch_size": "all", "epochs": 9, "optimizer": "adamw"},
}


@pytest.fixture(scope="session")
def little_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of 23 training samples; runs of one configuration are compiled once from here on."""
    with pytest.MonkeyPatch.context() as patch:
        compile_once(patch)
        yield save_little_data(tmp_path_factory.mktemp("little") / "little.npz")


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: for tests that make a thousand runs and cut no real power."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="epochal-", dir=memory) as folder:
        yield Path(folder)
