"""Studies so small that they train in milliseconds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal.data import Dataset, from_arrays
from epochal.run.callbacks import Callback, ChunkEnd, EpochEnd
from epochal.study import Study, StudyCallback, compare
from epochal.study.runner import RunStart

MODEL = {"models": "mlp", "hidden": (5,)}


def three_clouds(n: int = 60, test: int = 20, seed: int = 0) -> Dataset:
    """Points of four features around three centres."""
    rng = np.random.default_rng(seed)
    y = np.arange(n + test, dtype=np.int32) % 3
    x = (rng.normal(0, 0.5, (n + test, 4)) + 2 * np.eye(3, 4)[y]).astype(np.float32)
    return from_arrays(x[:n], y[:n], test=(x[n:], y[n:]), name="clouds")


def small_study(path: str | Path, data: Dataset | None = None, **options: Any) -> Study:
    """Batches of 10 of 60 points, one epoch, unless the options say otherwise."""
    given = {"batch_sizes": [10], "epochs": 1, **MODEL, **options}
    return compare(data or three_clouds(), run=path, **given)


class Log(StudyCallback):
    """Remembers what a study did; asks to stop once ``stop_when`` says so of what a run's callback was told."""

    def __init__(self, stop_when: Callable[[str, object], bool] = lambda name, what: False) -> None:
        self.stop_when = stop_when
        self.begun: list[RunStart] = []
        self.warnings: list[str] = []
        self.stopped = False

    def follow(self, run: RunStart) -> AbstractContextManager[Sequence[Callback]]:
        self.begun.append(run)
        return nullcontext((_Told(self, run.name),))

    def is_stopped(self) -> bool:
        return self.stopped

    @property
    def names(self) -> list[str]:
        return [begun.name for begun in self.begun]


class _Told(Callback):
    """What one run's callback is told."""

    def __init__(self, log: Log, name: str) -> None:
        self.log, self.name = log, name

    def on_warning(self, message: str) -> None:
        self.log.warnings.append(message)

    def on_chunk(self, chunk: ChunkEnd) -> None:
        self.log.stopped = self.log.stopped or self.log.stop_when(self.name, chunk)

    def on_epoch(self, epoch: EpochEnd) -> None:
        self.log.stopped = self.log.stopped or self.log.stop_when(self.name, epoch)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three batch sizes, the smaller last batch of 60 = 8 × 7 + 4 included. Not to be changed."""
    path = tmp_path_factory.mktemp("studies") / "finished"
    return small_study(path, batch_sizes=[1, 7, "all"], lrs=[0.02, 0.1, 0.3], epochs=4, target_accuracy=0.8)


@pytest.fixture
def copy_without(finished: Study, tmp_path: Path) -> Callable[..., Study]:
    """Copies of the finished study, as if it had been stopped before the named runs began."""

    def copy(*names: str) -> Study:
        path = tmp_path / "copy"
        shutil.copytree(finished.path, path)
        for name in names:
            shutil.rmtree(path / name)
        return Study.open(path)

    return copy
