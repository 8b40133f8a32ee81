"""What commands show of a study while it is worked on: its searches and its runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from epochal import formats
from epochal.cli.compared_landscape import BY_DEFAULT, LandscapeWork
from epochal.cli.fitted_tables import Column, print_table
from epochal.cli.lane_bars import LaneBars
from epochal.cli.screen import print_json
from epochal.cli.signals import stop_on_signal
from epochal.cli.study_tables import print_study
from epochal.cli.text_lines import print_text
from epochal.clock import Span, Unit
from epochal.config.study_config import StudyConfig
from epochal.config.train_config import DEFAULT_EPOCHS, TrainConfig
from epochal.plan_rows import batches_text
from epochal.record.study_record import TuningResult
from epochal.run.callbacks import Callback
from epochal.run.progress import ProgressBar
from epochal.study.comparison import resume_study
from epochal.study.runner import RunStart, StudyCallback
from epochal.study.study import Study
from epochal.words.catalogue import counted, tell


class StudyProgress(StudyCallback):
    """Shows a study's searches and runs as they happen."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lanes = LaneBars(console)
        self._told_of: tuple[object, ...] = ()

    def on_study(self, study: Study) -> None:
        """Print what is compared, and what all runs have in common."""
        config, data = study.config, study.data
        sizes = {"train": formats.count(data.train), "test": formats.count(data.test)}
        self._print(tell("study.data", data=data.name, **sizes))
        self._print(tell("study.each", runs=counted(len(config.members()), "run"), budget=_budget(config)))
        self._print(_in_common(config))

    def on_tuning(self, config: TrainConfig) -> None:
        """Say which learning rate is searched."""
        size = _batch_size(config)
        self._print(tell("study.searching", model=config.model, size=size), gap=True)

    def on_tuned(self, result: TuningResult) -> None:
        """Print the rates that were tried, and the validation loss of each."""
        updates, samples = counted(result.updates, "update"), counted(result.train, "sample")
        scored = formats.count(result.held_out)
        self._print(tell("study.each_rate", updates=updates, samples=samples, scored=scored))

        columns = (
            Column(tell("study.learning_rate")),
            Column(tell("study.validation_loss")),
            Column("", is_text=True, folds=True),
        )

        rows = [
            (
                f"{one.lr:g}",
                formats.loss(one.loss) if math.isfinite(one.loss) else tell("status.diverged"),
                tell("study.best") if one.lr == result.lr else "",
            )
            for one in result.tried
        ]
        print_table(self._console, columns, rows)

    @contextmanager
    def follow(self, run: RunStart) -> Iterator[Sequence[Callback]]:
        """Print what the run is, and follow it; of runs side by side, once what they are, and each one's end."""
        if run.at_once > 1:
            self._say_group(run)
            with self._lanes.follow(tell("study.number_of", number=run.number, count=run.count, name=run.name)) as bars:
                yield bars
            return
        self._print(
            tell("study.run_of", number=run.number, count=run.count, name=run.name, about=_about(run)), gap=True
        )
        with ProgressBar(self._console) as bar:
            yield (bar,)

    def _say_group(self, run: RunStart) -> None:
        """Say what runs side by side, before the first of them."""
        group = (run.config.model, run.config.optimizer, run.plan.batch_sizes)
        if group != self._told_of:
            self._told_of = group
            self._print(
                tell("study.side_by_side", count=run.at_once, name=run.config.model, about=_method(run)), gap=True
            )

    def _print(self, text: str, *, gap: bool = False) -> None:
        if gap:
            self._console.print()
        print_text(self._console, text)


def _batch_size(config: TrainConfig) -> str:
    size = config.batch_size
    return tell("study.whole_set") if size == "all" else str(size)


def _budget(config: StudyConfig) -> str:
    shared = config.shared
    if config.seconds is not None:
        return tell("study.seconds_of_training", seconds=f"{config.seconds:g}")
    if shared.iterations is not None:
        return str(counted(shared.iterations, "iteration"))
    if shared.budget is None:
        return str(counted(shared.epochs or DEFAULT_EPOCHS, "epoch"))

    span = Span.parse(shared.budget)
    if span.unit is Unit.MILLISECONDS:
        return tell("study.seconds_of_training", seconds=f"{span.amount / 1000:g}")
    units = {Unit.EPOCHS: "epoch", Unit.ITERATIONS: "iteration", Unit.SAMPLES: "sample"}
    return str(counted(span.amount, units[span.unit]))


def _in_common(config: StudyConfig) -> str:
    if len(config.models) == len(config.seeds) == 1:
        return tell("study.same_weights_and_order")
    return tell("study.same_for_each_seed")


def _method(run: RunStart) -> str:
    batches = counted(run.plan.batches_per_epoch, "batch")
    return tell("study.method_alone", method=run.plan.method.upper(), batches=batches)


def _about(run: RunStart) -> str:
    plan = run.plan
    if plan.is_schedule:
        batches = tell("study.schedule_of_batches", batches=batches_text(plan))
    else:
        batches = str(counted(plan.batches_per_epoch, "batch"))
    if run.config.lr is None:
        return _method(run)
    return tell("study.method_and_rate", method=plan.method.upper(), batches=batches, rate=f"{run.config.lr:g}")


def finish_study(path: Path, budget: Mapping[str, Any], console: Console) -> int:
    """Do what is left of a study, print it, and return the exit status. A quiet console stands for JSON."""
    with stop_on_signal() as stop:
        study = resume_study(path, callback=StudyProgress(console), should_stop=stop.is_asked, **budget)
        status = stop.exit_status
        LandscapeWork(study, console, stop.is_asked).add(BY_DEFAULT)
    print_end(study, console)
    return status


def print_end(study: Study, console: Console, *, offers_landscape: bool = False) -> None:
    """Print what a study led to: its tables, or on a quiet console JSON."""
    if console.quiet:
        print_json(study.to_dict())
    else:
        print_study(study, console, offers_landscape=offers_landscape)
