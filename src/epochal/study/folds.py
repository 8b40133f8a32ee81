"""Cross-validation: as many trainings as there are folds, each tested on the part that it did not see."""

from __future__ import annotations

import dataclasses
import math
import os
import statistics
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from epochal.config.train_config import TrainConfig
from epochal.data import Dataset, load_data
from epochal.engine.lanes import Lanes, lanes_for
from epochal.errors import OptionError
from epochal.record.folder import create_run_folder
from epochal.run.api import start
from epochal.run.callbacks import Callback, StopWhen
from epochal.run.custom import Custom
from epochal.run.run import Run
from epochal.run.setup import Setup, set_up
from epochal.study.in_turn import FollowedInTurn

Follow = Callable[[int, Setup], AbstractContextManager[Sequence[Callback]]]
"""``(number of the fold, what is trained) -> callbacks``, as a context around its training."""


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """The runs of a cross-validation, in the order of their folds; fewer than ``folds`` where it was stopped."""

    path: Path
    folds: int
    runs: tuple[Run, ...]

    @property
    def metrics(self) -> dict[str, tuple[float, float]]:
        """Each metric's mean over the folds' test sets, and its standard deviation (NaN for a single fold)."""
        rows = [run.with_weights().test_metrics for run in self.runs]
        values = {name: [row[name] for row in rows] for name in (rows[0] if rows else ()) if "/" not in name}
        return {
            name: (statistics.fmean(those), statistics.stdev(those) if len(those) > 1 else math.nan)
            for name, those in values.items()
        }


def cross_validate(
    data: Any = "digits",
    folds: int = 5,
    *,
    run: str | os.PathLike[str] | None = None,
    should_stop: Callable[[], bool] | None = None,
    at_once: int | None = None,
    **options: Any,
) -> CrossValidation:
    """Train once for each fold, in a folder each, and return the runs with the mean of their test metrics.

    Every sample is a test sample of exactly one fold; of classes, each fold has its share. Preprocessing is fitted
    within each training.

    Args:
        data: a data set's name, or your own file or folder; what has a test split keeps it aside, unused.
        folds: how many, at least 2.
        run: the folder to make. Default: ``runs/DATA-folds-1``, or the next free number.
        should_stop: asked before each chunk of iterations; a true answer ends the cross-validation there.
        at_once: how many folds are trained side by side. Default: as many as there are processors, at most 8.
        options: the fields of `TrainConfig`.

    Raises:
        EpochalError: for anything that the user can fix.
    """
    if not isinstance(data, (str, os.PathLike)):
        raise OptionError("a cross-validation reads its data from a name or a file; save the arrays by numpy.savez")
    config = TrainConfig.from_dict({"data": data, **options})
    return train_folds(config, folds, run, should_stop=should_stop, at_once=at_once)


def train_folds(
    config: TrainConfig,
    folds: int,
    path: str | os.PathLike[str] | None = None,
    *,
    follow: Follow = lambda number, setup: nullcontext(()),
    should_stop: Callable[[], bool] | None = None,
    load: Callable[[Mapping[str, Any]], Dataset] | None = None,
    at_once: int | None = None,
) -> CrossValidation:
    """Train the folds of a configuration; as `cross_validate` does."""
    if folds < 2:
        raise OptionError(f"folds must be at least 2, got {folds}")
    one = _Folds(
        config,
        folds,
        follow,
        should_stop or (lambda: False),
        load or (lambda options: load_data(config.data, **options)),
    )

    # the first one is set up before anything is written
    setup = one.set_up(1, at_once=1)
    folder = create_run_folder(None if path is None else Path(path), f"{setup.data.name}-folds").path
    lanes = Lanes(one.lanes(setup, at_once), one.is_stopping)
    runs = lanes.run([partial(one.train, number, folder, lanes) for number in range(1, folds + 1)])
    return CrossValidation(folder, folds, tuple(run for run in runs if run is not None))


@dataclass(slots=True)
class _Folds:
    """The work on a cross-validation."""

    config: TrainConfig
    folds: int
    follow: Follow
    should_stop: Callable[[], bool]
    load: Callable[[Mapping[str, Any]], Dataset]
    _turn: threading.RLock = field(default_factory=threading.RLock, init=False)

    def lanes(self, setup: Setup, at_once: int | None) -> int:
        """Return how many folds are trained at once; a budget of seconds is shared by nobody."""
        if not setup.plan.is_open:
            return lanes_for(at_once, self.folds, setup.data, setup.engine.count_parameters())
        if at_once is not None and at_once > 1:
            raise OptionError(
                f"{at_once} folds at once: they would share the seconds of their budget; leave out at_once, and they "
                "are trained one after another"
            )
        return 1

    def set_up(self, number: int, at_once: int) -> Setup:
        """Load a fold's data, and build what is trained on them."""
        fold = dataclasses.replace(self.config, fold=f"{number}/{self.folds}")
        with self._turn:
            data = self.load(fold.loading)
        return set_up(fold, data, Custom(at_once=at_once))

    def train(self, number: int, folder: Path, lanes: Lanes) -> Run | None:
        """Train a fold; return nothing where it was stopped."""
        setup = self.set_up(number, lanes.at_once)
        with FollowedInTurn(lambda _: self.follow(number, setup), number, self._turn) as callbacks:
            run = start(setup, folder / f"fold-{number}", (*callbacks, StopWhen(lambda: lanes.is_stopping)))
        return None if self.is_stopping() else run

    def is_stopping(self) -> bool:
        """Return whether a stop is asked for."""
        with self._turn:
            return self.should_stop()
