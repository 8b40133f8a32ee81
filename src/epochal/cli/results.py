"""What commands print of a run that was worked on: planned beside counted, the test result, and what to try next."""

from __future__ import annotations

import dataclasses
import shlex

from rich.console import Console

from epochal import formats
from epochal.cli.screen import add_rows, build_table
from epochal.config import TrainConfig
from epochal.record.rows import EvaluationRow, Metrics, best_evaluation
from epochal.record.run_record import RunRecord

_FACTS = {
    "batches_per_epoch": "batches per epoch",
    "samples_per_epoch": "samples per epoch",
    "updates_after_10": "updates after 10 epochs",
    "full_epochs": "full epochs",
    "updates": "iterations = weight updates",
    "samples_used": "samples used",
    "exact_epochs": "epochs with each sample exactly once",
}


def print_result(run: RunRecord, console: Console) -> None:
    """Print what a run did: planned beside counted, the test result, where it lies, and what to try next."""
    if run.status == "finished":
        table = build_table(("", "left"), ("planned", "right"), ("counted", "right"), ("", "left"))
        rows = (
            (_FACTS[fact.name], formats.count(fact.planned), formats.count(fact.counted), "✓" if fact.agrees else "✗")
            for fact in run.facts()
        )
        console.print(add_rows(table, rows))
    else:
        position = run.position
        console.print(
            f"\n{run.status} at iteration {position.iteration:,}, in epoch {position.epoch + 1:,}; continue with:"
        )
        console.print(f"  {shlex.join(['epochal', 'resume', str(run.path)])}", soft_wrap=True)

    if run.history.tests:
        last = run.history.tests[-1]
        console.print(_evaluation(last), soft_wrap=not console.is_terminal)
        print_classes(last.metrics, console)
    best = best_evaluation(run.history.evaluations)
    if best is not None:
        console.print(f"best validation, at iteration {best.iteration:,}: {_evaluation(best)}", soft_wrap=True)

    rate = run.iterations_per_second
    console.print(f"{formats.duration(run.seconds)} in all, {rate:,.0f} iterations per second while training")

    console.print(f"run: {run.path}", soft_wrap=True)
    for line in _next_steps(run):
        console.print(f"  {line}", soft_wrap=True)


def _evaluation(row: EvaluationRow) -> str:
    """Return an evaluation in a line: the metrics that have one value each, the loss last."""
    single = [name for name in row.metrics if "/" not in name and name != "loss"]
    values = [f"{row.split} {name} {formats.metric(name, row.metrics[name])}" for name in single]
    return "   ".join([*values, f"{row.split} loss {formats.loss(row.loss)}", f"({row.samples:,} samples, each once)"])


def print_classes(metrics: Metrics, console: Console) -> None:
    """Print a row for each class with its values of metrics such as ``recall/cat``, where there are any."""
    values = {tuple(name.split("/", 1)): value for name, value in metrics.items() if "/" in name}
    if not values:
        return
    names, classes = (list(dict.fromkeys(key[place] for key in values)) for place in (0, 1))
    table = build_table(("class", "left"), *((name, "right") for name in names))
    cells = ([one, *(formats.metric(name, values.get((name, one))) for name in names)] for one in classes)
    console.print(add_rows(table, cells))


def _next_steps(run: RunRecord) -> list[str]:
    """Return commands that work as they stand: those that train need data that have a name."""
    steps = ["try next:", f"{shlex.join(['epochal', 'evaluate', str(run.path)])}   (each test sample once)"]
    if run.file.custom:
        return steps

    config = run.config
    same = TrainConfig(data=config.data, model=config.model, **config.loading)
    other: int | str = "all" if run.plan.method != "bgd" else min(100, max(1, run.plan.samples // 2))
    steps.append(f"{dataclasses.replace(same, batch_size=other).command()}   (another batch size)")
    if config.model in ("linear", "mlp") and len(run.file.data.sample_shape) >= 2:
        steps.append(f"{dataclasses.replace(same, model='cnn').command()}   (a model made for images)")
    return steps
