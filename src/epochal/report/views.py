"""What the page's template needs of each run, in the order in which it is read."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from epochal.report import series, tables
from epochal.report.tables import Cell, PlanRow
from epochal.study.records import Notice, Predictions, Records, RunRecord
from epochal.study.summary import Spread
from epochal.web.words import Words, count, decimal, duration, percent, say

_LARGEST_MATRIX = 26
_PAIRS_SHOWN = 20
_EVENTS_SHOWN = 50
_LONGEST_PLAN = 10**12


@dataclass(frozen=True, slots=True)
class RunView:
    """A run, its plan and its results in the words of the page."""

    run: RunRecord
    about: Words
    method: Words
    batches: list[Cell]
    epochs: list[Cell]
    strip_epoch: Words
    strip_run: Words
    plan: list[PlanRow]
    changes: list[Words]
    key_numbers: list[tuple[Words, str | Words]]
    matrix: Matrix | None
    commands: list[tuple[Words, str]]
    environment: list[tuple[Words, str | Words]]
    now: dict[str, int]

    @classmethod
    def of(cls, run: RunRecord) -> RunView:
        """Put a run into words."""
        plan = run.plan
        return cls(
            run=run,
            about=_about(run),
            method=say(f"method.{plan.method}"),
            batches=tables.batch_cells(plan),
            epochs=tables.epoch_cells(plan) if plan.iterations < _LONGEST_PLAN else [],
            strip_epoch=say(
                _numbered("plan.strip_epoch", plan.batches_per_epoch),
                samples=count(plan.samples),
                batches=count(plan.batches_per_epoch),
            ),
            strip_run=_strip_run(run),
            plan=tables.plan_rows(run),
            changes=[
                say("plan.change", iteration=count(change.iteration), options=_options(change.options))
                for change in run.file.changes
            ],
            key_numbers=_key_numbers(run),
            matrix=Matrix.of(run.predictions) if isinstance(run.predictions, Predictions) else None,
            commands=_commands(run),
            environment=_environment(run),
            now=tables.counters(run.position, plan),
        )

    @property
    def exact_epochs(self) -> Words:
        """How many full epochs used each sample as planned."""
        full = [row for row in self.run.epochs if row.complete]
        return say("audit.proved", exact=count(sum(row.is_exact for row in full)), epochs=count(len(full)))


def _about(run: RunRecord) -> Words:
    data, model, config = run.file.data, run.file.model, run.file.present_config
    return say(
        "plan.about",
        samples=count(data["train"]),
        tests=count(data["test"]),
        data=data["name"],
        model=model["name"],
        parameters=count(model["parameters"]),
        optimizer=config.optimizer,
        lr="–" if config.lr is None else f"{config.lr:g}",
        loss=config.loss or "–",
        seed=config.seed,
    )


def _strip_run(run: RunRecord) -> Words:
    plan = run.plan
    if plan.iterations >= _LONGEST_PLAN:
        return say("plan.endless")
    key = "plan.strip_rest" if plan.extra_iterations else _numbered("plan.strip_run", plan.full_epochs)
    return say(
        key, iterations=count(plan.iterations), epochs=count(plan.full_epochs), rest=count(plan.extra_iterations)
    )


def _numbered(key: str, number: int) -> str:
    """Return the key of the sentence for one, where there is one."""
    return f"{key}_one" if number == 1 else key


def _options(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in options.items())


def _key_numbers(run: RunRecord) -> list[tuple[Words, str | Words]]:
    """Return the few numbers that a run is asked for first."""
    tests, seconds, iterations = run.tests, run.training_seconds, run.losses.size
    numbers: list[tuple[Words, str | Words]] = []
    if tests and tests[-1].accuracy is not None:
        numbers.append((say("key.accuracy"), percent(tests[-1].accuracy)))
    elif tests:
        numbers.append((say("key.loss"), decimal(tests[-1].loss)))
    return [
        *numbers,
        (say("key.epochs"), count(run.position.epoch)),
        (say("key.batches"), count(run.plan.batches_per_epoch)),
        (say("key.updates"), count(iterations)),
        (say("key.seconds"), duration(seconds)),
        (say("key.rate"), count(round(iterations / seconds)) if seconds else "–"),
    ]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A confusion matrix as the page shows it.

    Attributes:
        rows: for each true class its name, its cells as (count, share of the class, whether right), and its recall.
        pairs: for too many classes: (true, answer, count), the most frequent first; then ``rows`` is empty.
    """

    names: tuple[str, ...]
    rows: list[tuple[str, list[tuple[int, float, bool]], float | None]]
    pairs: list[tuple[str, str, int]]

    @classmethod
    def of(cls, predictions: Predictions) -> Matrix:
        """Prepare the matrix, or the most frequent confusions of very many classes."""
        names, confusion = predictions.class_names, predictions.confusion
        if len(names) > _LARGEST_MATRIX:
            return cls(names, [], _pairs(predictions))
        rows = []
        for true, name in enumerate(names):
            total = int(confusion[true].sum())
            cells = [
                (int(number), int(number) / total if total else 0.0, true == answer)
                for answer, number in enumerate(confusion[true])
            ]
            rows.append((name, cells, cells[true][1] if total else None))
        return cls(names, rows, [])


def _pairs(predictions: Predictions) -> list[tuple[str, str, int]]:
    names = predictions.class_names
    wrong = predictions.confusion * (1 - np.eye(len(names), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS_SHOWN]
    places = (divmod(int(place), len(names)) for place in order)
    return [(names[true], names[answer], int(wrong[true, answer])) for true, answer in places if wrong[true, answer]]


def _commands(run: RunRecord) -> list[tuple[Words, str]]:
    """Return the commands that repeat a run, each with what it is for."""
    if run.file.custom:
        return [(say("again.custom", parts=", ".join(run.file.custom)), "")]
    commands = [(say("again.folder"), shlex.join(["epochal", "rerun", run.path]))]
    if not run.file.changes:
        commands.insert(0, (say("again.command"), run.file.config.command()))
    return commands


def page_commands(records: Records) -> list[tuple[Words, str]]:
    """Return the commands that make this page again, and go on with its study."""
    paths = [run.path for run in records.runs] if records.study is None else [records.study]
    commands = [(say("again.page"), shlex.join(["epochal", "report", *paths]))]
    if records.study is not None:
        commands.insert(0, (say("again.study"), shlex.join(["epochal", "compare", "--run", records.study])))
    return commands


def _environment(run: RunRecord) -> list[tuple[Words, str | Words]]:
    file = run.file
    device = ", ".join(str(value) for value in (file.device["kind"], file.device["platform"], file.device["count"]))
    shape = " × ".join(map(str, file.data["sample_shape"]))
    rows: list[tuple[Words, str | Words]] = [
        (say("about.folder"), run.path),
        (say("about.data"), f"{file.data['name']}, {shape}"),
        (say("about.fingerprint"), file.data["fingerprint"]),
        (say("about.weights"), run.weights_sha256 or "–"),
        (say("about.device"), device),
        (say("about.versions"), ", ".join(f"{name} {number}" for name, number in file.versions.items())),
        (say("about.config"), _options(file.present_config.to_dict())),
    ]
    for session in run.sessions:
        text = say(
            "about.session",
            started=session.started[:19].replace("T", " "),
            first=count(session.first_iteration),
            end=count(session.end_iteration),
            status=say(f"status.{session.status}"),
            seconds=duration(session.seconds),
        )
        rows.append((say("about.sessions"), text))
    for event in run.events[-_EVENTS_SHOWN:]:
        plain = {name: value for name, value in event.detail.items() if isinstance(value, (str, int, float))}
        detail = f" ({_options(plain)})" if plain else ""
        when = event.time[:19].replace("T", " ")
        text = say("about.event", time=when, iteration=count(event.iteration), kind=event.kind + detail)
        rows.append((say("about.events"), text))
    return rows


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One run in the table of runs; texts are ready to show."""

    run: RunRecord
    method: Words
    epochs: str
    train_loss: str
    test_loss: str
    accuracy: str
    updates_to: str | Words
    seconds_to: str | Words


def subject(records: Records) -> str:
    """Return the data and models that the page is about."""
    data = dict.fromkeys(run.file.data["name"] for run in records.runs)
    models = dict.fromkeys(run.file.model["name"] for run in records.runs)
    return " · ".join([*data, *models])


def comparison(records: Records) -> list[ComparisonRow]:
    """Return a row for each run, where there are several."""
    if len(records.runs) < 2:
        return []
    return [_comparison_row(run, records.target_accuracy) for run in records.runs]


def _comparison_row(run: RunRecord, target: float | None) -> ComparisonRow:
    test = run.tests[-1] if run.tests else None
    updates, seconds = (None if target is None else run.first_with(target)) or (None, None)
    return ComparisonRow(
        run=run,
        method=say(f"method.{run.plan.method}"),
        epochs=_epochs_done(run),
        train_loss=decimal(run.epochs[-1].train_loss if run.epochs else None),
        test_loss=decimal(test.loss if test else None),
        accuracy=percent(test.accuracy if test else None),
        updates_to=count(updates) if updates is not None else say("compare.never"),
        seconds_to=duration(seconds) if seconds is not None else say("compare.never"),
    )


def tell(notice: Notice) -> Words:
    """Put a notice into words; its numbers are grouped, and a status is named in each language."""
    values = {
        name: count(value) if isinstance(value, int) else say(f"status.{value}") if name == "status" else value
        for name, value in notice.values.items()
    }
    return say(f"notice.{notice.key}", **values)


def curve_notes(records: Records, watch: bool) -> Iterator[Words]:
    """Say what the curves cannot show."""
    for run, bucket in zip(records.runs, series.buckets(records.runs, growing=watch), strict=True):
        if bucket > 1:
            yield say("curves.bucketed", run=run.name, iterations=count(run.losses.size), bucket=count(bucket))
        gaps = int(np.count_nonzero(~np.isfinite(run.losses)))
        if gaps:
            yield say("curves.not_finite", run=run.name, count=count(gaps))


def _epochs_done(run: RunRecord) -> str:
    """Write epochs with two digits where one is cut short, never rounded up to one more."""
    if not run.position.offset:
        return count(run.position.epoch)
    hundredths = 100 * run.position.offset // run.plan.samples_per_epoch
    return f"{count(run.position.epoch)}.{hundredths:02d}"


def band_rows(records: Records) -> list[tuple[str, str, str, str, str]]:
    """Return what repeated seeds agree on: name, seeds, train loss, test loss, accuracy; each as mean (low … high)."""
    return [
        (
            band.group,
            ", ".join(map(str, band.seeds)),
            _spread(band.train_loss, decimal),
            _spread(band.test_loss, decimal),
            _spread(band.test_accuracy, percent),
        )
        for band in records.bands
    ]


def _spread(spread: Spread | None, write: Callable[[float], str]) -> str:
    return "–" if spread is None else f"{write(spread.mean)} ({write(spread.low)} … {write(spread.high)})"
