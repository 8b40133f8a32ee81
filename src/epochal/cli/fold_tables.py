"""`epochal train --folds`: the trainings of a cross-validation, and one table of their test metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from epochal import formats
from epochal.cli.before_training import print_setup
from epochal.cli.fitted_tables import Column, print_table
from epochal.cli.lane_bars import LaneBars
from epochal.cli.load import load_with_progress
from epochal.cli.screen import open_console, print_json
from epochal.cli.signals import stop_on_signal
from epochal.cli.text_lines import print_text, print_whole
from epochal.config.train_config import TrainConfig
from epochal.run.callbacks import Callback
from epochal.run.progress import ProgressBar
from epochal.run.setup import Setup
from epochal.study.folds import CrossValidation, train_folds
from epochal.words.catalogue import metric_word, tell


def work_on_folds(config: TrainConfig, folds: int, path: Path | None, *, quiet: bool) -> int:
    """Train the folds, print their table, and return the exit status. ``quiet`` stands for JSON."""
    console = open_console(quiet=quiet)
    lanes = LaneBars(console)

    @contextmanager
    def follow(number: int, setup: Setup) -> Iterator[Sequence[Callback]]:
        if number == 1:
            print_setup(setup, console)
        sizes = {"train": formats.count(len(setup.data.train)), "test": formats.count(len(setup.data.test))}
        print_text(console, tell("folds.fold_of", number=number, count=folds, **sizes))
        if setup.engine.at_once > 1:
            with lanes.follow(f"fold-{number}") as bars:
                yield bars
            return
        with ProgressBar(console, lines=False) as bar:
            yield (bar,)

    with stop_on_signal() as stop:
        result = train_folds(
            config,
            folds,
            path,
            follow=follow,
            should_stop=stop.is_asked,
            load=lambda options: load_with_progress(console, config.data, **options),
        )
    if quiet:
        print_json(to_dict(result))
    else:
        print_folds(result, console)
    return stop.exit_status


def to_dict(result: CrossValidation) -> dict[str, object]:
    """Return a cross-validation as plain values."""
    means = {name: {"mean": mean, "deviation": deviation} for name, (mean, deviation) in result.metrics.items()}
    runs = [{"run": str(run.path), **run.with_weights().test_metrics} for run in result.runs]
    return {"folder": str(result.path), "folds": result.folds, "metrics": means, "runs": runs}


def print_folds(result: CrossValidation, console: Console) -> None:
    """Print a row for each fold, and the mean of each metric with its deviation."""
    means = result.metrics
    if not means:
        print_whole(console, tell("folds.none_done", path=result.path))
        return

    columns = (
        Column(tell("folds.fold"), is_text=True, folds=True),
        *(Column(str(metric_word(name))) for name in means),
    )
    rows = [
        [run.path.name, *(formats.metric(name, run.with_weights().test_metrics[name]) for name in means)]
        for run in result.runs
    ]
    summary = [
        formats.metric(name, mean) + ("" if math.isnan(deviation) else f" ± {formats.metric(name, deviation)}")
        for name, (mean, deviation) in means.items()
    ]
    console.print()
    print_table(console, columns, [*rows, [tell("folds.summary"), *summary]])

    if len(result.runs) < result.folds:
        print_text(console, tell("folds.stopped", done=len(result.runs), count=result.folds))
    print_whole(console, tell("folds.folder", path=result.path))
