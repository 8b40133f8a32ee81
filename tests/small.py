"""Studies so small that they train in milliseconds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from epochal.record.events import Event, Listener
from epochal.study.working import Begun, Watcher

from epochal.data import Dataset, from_arrays
from epochal.study import Study, compare

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


@dataclass
class Log(Watcher):
    """Remembers what a study did; asks to stop once ``stop_when`` says so of an event."""

    stop_when: Callable[[str, Event], bool] = lambda name, event: False
    begun: list[Begun] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    stopped: bool = False

    def run(self, begun: Begun) -> AbstractContextManager[Listener]:
        self.begun.append(begun)

        def listen(event: Event) -> None:
            self.events.append(event)
            self.stopped = self.stopped or self.stop_when(begun.name, event)

        return nullcontext(listen)

    def is_stopped(self) -> bool:
        return self.stopped

    @property
    def names(self) -> list[str]:
        return [begun.name for begun in self.begun]


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
