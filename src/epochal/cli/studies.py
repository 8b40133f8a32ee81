"""What commands show of a study while it is worked on: searches, runs, and landscapes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from epochal import formats
from epochal.cli.screen import add_rows, build_table, print_json
from epochal.cli.signals import stop_on_signal
from epochal.cli.study_tables import print_study
from epochal.config import DEFAULT_EPOCHS, StudyConfig, TrainConfig
from epochal.formats import duration, percent, plural
from epochal.landscape import Cancelled, LandscapeOptions
from epochal.record.study_record import TuningResult
from epochal.run.callbacks import Callback
from epochal.run.progress import ProgressBar
from epochal.study.comparison import resume_study
from epochal.study.landscapes import landscape_of
from epochal.study.runner import Parts, RunStart, StudyCallback
from epochal.study.study import Study

_LOSSES_MEASURED, _LONG_SECONDS = 4, 60.0


class StudyProgress(StudyCallback):
    """Shows a study's searches and runs as they happen."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def on_study(self, study: Study) -> None:
        """Print what is compared, and what all runs have in common."""
        config, data = study.config, study.data
        runs = plural(len(config.members()), "run")
        self._console.print(f"{data.name}: {data.train:,} training and {data.test:,} test samples")
        self._console.print(f"{runs} of {_budget(config)} each")
        self._console.print(_in_common(config))

    def on_tuning(self, config: TrainConfig) -> None:
        """Say which learning rate is searched."""
        self._console.print(f"\nsearching the learning rate of {config.model}, batch size {config.batch_size} …")

    def on_tuned(self, result: TuningResult) -> None:
        """Print the rates that were tried, and the validation loss of each."""
        updates, samples = plural(result.updates, "update"), plural(result.train, "sample")
        scored = plural(result.held_out, "validation sample")
        self._console.print(f"Each learning rate: {updates} on {samples}, scored on {scored}")
        table = build_table(("learning rate", "right"), ("validation loss", "right"), ("", "left"))
        rows = (
            (
                f"{one.lr:g}",
                formats.loss(one.loss) if math.isfinite(one.loss) else "diverged",
                "← best" * (one.lr == result.lr),
            )
            for one in result.tried
        )
        self._console.print(add_rows(table, rows))

    @contextmanager
    def follow(self, run: RunStart) -> Iterator[Sequence[Callback]]:
        """Print what the run is, and follow it."""
        self._console.print(f"\n{run.number} of {run.count}  {run.name}: {_about(run)}")
        with ProgressBar(self._console) as bar:
            yield (bar,)


def _budget(config: StudyConfig) -> str:
    shared = config.shared
    if config.seconds is not None:
        return f"{config.seconds:g} seconds of training"
    if shared.iterations is not None:
        return f"{shared.iterations} iterations"
    return shared.budget or f"{shared.epochs or DEFAULT_EPOCHS} epochs"


def _in_common(config: StudyConfig) -> str:
    if len(config.models) == len(config.seeds) == 1:
        return "same initial weights, same order of samples"
    return "one seed: one order of samples; one model and seed: one set of initial weights"


def _about(run: RunStart) -> str:
    plan = run.plan
    batches = plural(plan.batches_per_epoch, "batch")
    rate = "" if run.config.lr is None else f", learning rate {run.config.lr:g}"
    return f"{plan.method.upper()}, {batches} per epoch{rate}"


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=12), TimeRemainingColumn(compact=True))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def show_landscape(
    study: Study, options: LandscapeOptions, parts: Parts, console: Console, should_stop: Callable[[], bool]
) -> None:
    """Compute a landscape with a bar, unless a stop is asked for."""
    if should_stop():
        return
    with _bar(console) as bar:
        task = bar.add_task(f"landscape ({options.kind})")
        estimate = _Estimate(console)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            estimate.update(done, total)

        try:
            record = landscape_of(study, options, parts=parts, progress=advance, should_stop=should_stop)
        except Cancelled:
            console.print("the landscape was not finished, and not saved")
            return

    losses = f"{options.grid} × {options.grid} losses over {record.samples:,} of {record.of:,} training samples"
    explained = sum(record.explained)
    share = f"; the plane explains {percent(explained)} of the trajectories' variance" if record.explained else ""
    console.print(f"\nlandscape ({options.kind}): {losses} in {record.seconds:.0f} s{share}")
    for run, why in record.left_out:
        console.print(Text(f"  without {run}: {why}"))


@dataclass(slots=True)
class _Estimate:
    """Says once how long a landscape will take, where that is long, and what makes it shorter."""

    console: Console
    started: float | None = None
    said: bool = False

    def update(self, done: int, total: int) -> None:
        """Measure from the second loss on, since the first includes a compilation."""
        now = time.monotonic()
        if done == 1:
            self.started = now
        elif not self.said and self.started is not None and done > _LOSSES_MEASURED:
            self.said = True
            seconds = (now - self.started) / (done - 1) * total
            if seconds > _LONG_SECONDS:
                shorter = "--landscape-samples 1000 or --grid 21 make it shorter"
                self.console.print(f"\nlandscape: {total:,} losses, about {duration(seconds)}; {shorter}")


def finish_study(path: Path, budget: Mapping[str, Any], console: Console) -> int:
    """Do what is left of a study, print it, and return the exit status. A quiet console stands for JSON."""
    with stop_on_signal() as stop:
        study = resume_study(path, callback=StudyProgress(console), should_stop=stop.is_asked, **budget)
    if console.quiet:
        print_json(study.to_dict())
    else:
        print_study(study, console)
    return stop.exit_status
