"""What commands print of a run that was worked on: planned beside counted, the test result, and what to try next."""

from __future__ import annotations

import dataclasses

from rich.console import Console

from epochal import formats
from epochal.cli.fitted_tables import Column, print_table
from epochal.cli.screen import command_line, print_next
from epochal.config.train_config import TrainConfig
from epochal.model_names import read_model_name
from epochal.noise_words import noise_scale
from epochal.record.rows import EvaluationRow, Metrics, best_evaluation
from epochal.record.run_record import RunRecord
from epochal.words.catalogue import duration, metric_name, tell

_EVALUATED = {"test": "metric.of_test", "validation": "cell.of_validation"}


def print_result(run: RunRecord, console: Console) -> None:
    """Print what a run did: planned beside counted, the test result, where it lies, and what to try next."""
    if run.status == "finished":
        _print_facts(run, console)
    else:
        position = run.position
        status, iteration = tell(f"status.{run.status}"), f"{position.iteration:,}"
        if position.offset or not position.epoch:
            said = tell("result.stopped", status=status, iteration=iteration, epoch=f"{position.epoch + 1:,}")
        else:
            said = tell("result.stopped_after", status=status, iteration=iteration, epoch=f"{position.epoch:,}")
        console.print(f"\n{said}", soft_wrap=True)
        console.print(f"  {_go_on(run)}", soft_wrap=True)

    # what came out
    if run.history.tests:
        last = run.history.tests[-1]
        console.print(_evaluation(last), soft_wrap=not console.is_terminal)
        print_classes(last.metrics, console)
    best = best_evaluation(run.history.evaluations)
    if best is not None:
        said = tell("result.best", iteration=f"{best.iteration:,}", evaluation=_evaluation(best, names_split=False))
        console.print(said, soft_wrap=True)

    _print_noise(run, console)

    rate = f"{run.iterations_per_second:,.0f}"
    console.print(tell("result.speed", time=duration(run.seconds), rate=rate), soft_wrap=not console.is_terminal)

    console.print(tell("result.run", path=run.path), soft_wrap=True)
    print_next(_next_steps(run), console)


def _print_noise(run: RunRecord, console: Console) -> None:
    """Print the last noise scale of the gradients, of a run that measured it."""
    if not run.history.noise:
        return
    curve, whole = run.noise_curve(), run.noise_over_run()
    if not curve and whole is None:
        console.print(tell("result.noise_too_few"), soft_wrap=True)
    if curve:
        gradient, last = curve[-1]
        console.print(
            tell(
                "result.noise", scale=noise_scale(last), iteration=f"{gradient.iteration:,}",
                measured=f"{last.measured:,}", samples=f"{gradient.samples:,}",
            ),
            soft_wrap=True,
        )  # fmt: skip
    if whole is not None:
        console.print(tell("result.noise_over_run", scale=noise_scale(whole)), soft_wrap=True)


def _print_facts(run: RunRecord, console: Console) -> None:
    """Print what was planned beside what was counted."""
    names = {"updates": tell("key.updates"), "exact_epochs": tell("result.exact_epochs")}
    planned, counted = Column(tell("result.planned")), Column(tell("result.counted"))
    columns = (Column("", is_text=True, folds=True), planned, counted, Column("", is_text=True))
    rows = [
        (
            names[fact.name] if fact.name in names else tell(f"fact.{fact.name}"),
            formats.count(fact.planned),
            formats.count(fact.counted),
            "✓" if fact.agrees else "✗",
        )
        for fact in run.facts()
    ]
    print_table(console, columns, rows, gap=3)


def _evaluation(row: EvaluationRow, *, names_split: bool = True) -> str:
    """Return an evaluation in a line: the metrics that have one value each, the loss last."""

    def named(name: str) -> str:
        if not names_split or row.split not in _EVALUATED:
            return str(metric_name(name))
        return tell(_EVALUATED[row.split], metric=metric_name(name))

    single = [name for name in row.metrics if "/" not in name and name != "loss"]
    values = [f"{named(name)} {formats.metric(name, row.metrics[name])}" for name in single]
    samples = tell("result.samples", samples=f"{row.samples:,}")
    return "   ".join([*values, f"{named('loss')} {formats.loss(row.loss)}", samples])


def print_classes(metrics: Metrics, console: Console) -> None:
    """Print a row for each class with its values of metrics such as ``recall/cat``, where there are any."""
    values = {tuple(name.split("/", 1)): value for name, value in metrics.items() if "/" in name}
    if not values:
        return
    names, classes = (list(dict.fromkeys(key[place] for key in values)) for place in (0, 1))
    columns = (
        Column(tell("result.class"), is_text=True, folds=True),
        *(Column(str(metric_name(name))) for name in names),
    )
    rows = [[one, *(formats.metric(name, values.get((name, one))) for name in names)] for one in classes]
    print_table(console, columns, rows, gap=3)


def _go_on(run: RunRecord) -> str:
    """Return the command that continues a run, whose own model's code is named, as none is run unasked."""
    source = run.file.model.source
    return command_line("resume", run.path, *(("--model", source) if source else ()))


def _next_steps(run: RunRecord) -> list[tuple[str, str]]:
    """Return what to do next, each with a command that works as it stands: to train, data must have a name."""
    steps = [(tell("result.next_evaluate"), command_line("evaluate", run.path))]
    if run.file.custom:
        return steps

    config = run.config
    same = TrainConfig(data=config.data, model=config.model, **config.loading)

    given = config.model_options
    if config.settings:  # which may be the model's or the optimizer's
        given |= {"optimizer": config.optimizer, "settings": config.settings}
    other: int | str = "all" if run.plan.method != "bgd" else min(100, max(1, run.plan.samples // 2))
    another = dataclasses.replace(same, batch_size=other, **given)
    steps.append((tell("result.next_batch_size"), another.command()))
    if read_model_name(config.model).base in ("linear", "mlp") and len(run.file.data.sample_shape) >= 2:
        steps.append((tell("result.next_model"), dataclasses.replace(same, model="cnn").command()))
    return steps
