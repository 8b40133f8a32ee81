"""`epochal train`: the plan, live progress, and what was planned beside what was counted."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import given, json_option
from epochal.config import TRAIN, TrainConfig
from epochal.options import FOLDER, option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

    from epochal.record.events import Listener
    from epochal.run.run import Run
    from epochal.run.setup import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainCommand:
    """Train a model, count every epoch, batch and iteration, and keep the run in a folder.

    Example: epochal train mnist --model mlp --batch-size 100 --iterations 30000
    """

    given: Mapping[str, Any] = given(TRAIN)
    run: Path | None = option(
        None, "The run's folder.", FOLDER, text="runs/DATA-MODEL-1, or the next free number", part="run"
    )
    json: bool = json_option()

    def execute(self) -> int:
        """Train; a first Ctrl-C stops after the current iterations and saves."""
        from epochal.cli.progress import load_with_progress
        from epochal.cli.screen import open_console
        from epochal.run.session import start
        from epochal.run.setup import set_up

        console = open_console(quiet=self.json)
        config = TrainConfig(**self.given)
        setup = set_up(config, load_with_progress(console, config.data, config.target, config.task))
        _print_setup(setup, console)
        return work_and_print(console, lambda listener, should_stop: start(setup, self.run, listener, should_stop))


def work_and_print(console: Console, work: Callable[[Listener, Callable[[], bool]], Run]) -> int:
    """Let a run be worked on with progress and signals, print its result, and return the exit status.

    A quiet console stands for JSON.
    """
    from epochal.cli.progress import TrainingProgress
    from epochal.cli.screen import print_json
    from epochal.cli.signals import stop_on_signal
    from epochal.record.summary import describe_run

    with stop_on_signal() as stop, TrainingProgress(console) as progress:
        run = work(progress, stop.is_asked)
    if console.quiet:
        print_json(describe_run(run))
    else:
        print_result(run, console)
    return stop.exit_status


def _print_setup(setup: Setup, console: Console) -> None:
    from epochal.cli.plan import print_plan

    config, data = setup.config, setup.data
    sizes = f"{len(data.train):,} training and {len(data.test):,} test samples"
    console.print(f"{data.name}: {sizes}")
    console.print(f"model {setup.model.name}, {config.optimizer} at learning rate {config.lr:g}\n")
    print_plan(setup.plan, console)
    console.print()


def print_result(run: Run, console: Console) -> None:
    """Print what a run did: planned beside counted, the test result, where it lies, and what to try next."""
    from epochal.cli.screen import add_rows, build_table, duration, percent
    from epochal.record.summary import planned_beside_counted

    history = run.history
    if run.status == "finished":
        table = build_table(("", "left"), ("planned", "right"), ("counted", "right"), ("", "left"))
        facts = planned_beside_counted(run.plan, history)
        rows = [(fact.name, f"{fact.planned:,}", f"{fact.counted:,}", "✓" if fact.agrees else "✗") for fact in facts]
        console.print(add_rows(table, rows))
    else:
        position = run.position
        console.print(
            f"\n{run.status} at iteration {position.iteration:,}, in epoch {position.epoch + 1:,}; continue with:"
        )
        console.print(f"  {shlex.join(['epochal', 'resume', str(run.path)])}", soft_wrap=True)

    evaluations = history.evaluations
    if evaluations:
        last = evaluations[-1]
        accuracy = "" if last.accuracy is None else f"test accuracy {percent(last.accuracy)}   "
        console.print(f"{accuracy}test loss {last.loss:.4f}   ({last.samples:,} samples, each once)")
    rate = run.iterations_per_second
    console.print(f"{duration(run.seconds)} in all, {rate:,.0f} iterations per second while training")

    console.print(f"run: {run.path}", soft_wrap=True)
    for line in _next_steps(run):
        console.print(f"  {line}", soft_wrap=True)


def _next_steps(run: Run) -> list[str]:
    """Return commands that work as they stand: those that train need data that have a name."""
    steps = ["try next:", f"{shlex.join(['epochal', 'evaluate', str(run.path)])}   (each test sample once)"]
    if run.file.custom:
        return steps

    config = run.config
    same = TrainConfig(data=config.data, target=config.target, task=config.task, model=config.model)
    other: int | str = "all" if run.plan.method != "bgd" else min(100, max(1, run.plan.samples // 2))
    steps.append(f"{dataclasses.replace(same, batch_size=other).command()}   (another batch size)")
    if config.model in ("linear", "mlp") and len(run.file.data["sample_shape"]) >= 2:
        steps.append(f"{dataclasses.replace(same, model='cnn').command()}   (a model made for images)")
    return steps
