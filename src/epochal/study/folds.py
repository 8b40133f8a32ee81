"""Cross-validation: as many trainings as there are folds, each tested on the part that it did not see."""

from __future__ import annotations

import dataclasses
import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epochal.config import TrainConfig
from epochal.data import Dataset, load_data
from epochal.errors import OptionError
from epochal.record.folder import create_run_folder
from epochal.run.api import start
from epochal.run.callbacks import Callback, followers
from epochal.run.run import Run
from epochal.run.setup import Setup, set_up

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
        options: the fields of `TrainConfig`.

    Raises:
        EpochalError: for anything that the user can fix.
    """
    if not isinstance(data, (str, os.PathLike)):
        raise OptionError("a cross-validation reads its data from a name or a file; save the arrays by numpy.savez")
    config = TrainConfig.from_dict({"data": data, **options})
    return train_folds(config, folds, run, should_stop=should_stop)


def train_folds(
    config: TrainConfig,
    folds: int,
    path: str | os.PathLike[str] | None = None,
    *,
    follow: Follow = lambda number, setup: nullcontext(()),
    should_stop: Callable[[], bool] | None = None,
    load: Callable[[Mapping[str, Any]], Dataset] | None = None,
) -> CrossValidation:
    """Train the folds of a configuration; as `cross_validate` does."""
    if folds < 2:
        raise OptionError(f"folds must be at least 2, got {folds}")
    runs: list[Run] = []
    folder: Path | None = None
    for number in range(1, folds + 1):
        one = dataclasses.replace(config, fold=f"{number}/{folds}")
        data = load_data(one.data, **one.loading) if load is None else load(one.loading)
        setup = set_up(one, data)

        # the first one is set up before anything is written
        if folder is None:
            folder = create_run_folder(None if path is None else Path(path), f"{data.name}-folds").path
        with follow(number, setup) as callbacks:
            run = start(setup, folder / f"fold-{number}", (*callbacks, *followers(should_stop=should_stop)))
        if should_stop is not None and should_stop():
            break
        runs.append(run)
    assert folder is not None
    return CrossValidation(folder, folds, tuple(runs))
