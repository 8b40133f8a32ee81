"""What the page's template needs of each run, in the order in which it is read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from epochal.config.command_words import shell_word
from epochal.formats import count, decimal
from epochal.plan_rows import batches_text, counters, totals
from epochal.record.rows import EvaluationRow, metric_names
from epochal.record.run_record import RunRecord
from epochal.record.study_record import Spread
from epochal.report import series, tables
from epochal.report.noise_view import NoiseView
from epochal.report.page_model import Notice, Page, PageRun, Predictions
from epochal.report.strip_words import strip_epoch, strip_run
from epochal.report.tables import Cell, PlanTableRow
from epochal.report.timeline import Timeline
from epochal.words.catalogue import Words, duration, known, metric, metric_word, phrase, say

_LARGEST_MATRIX = 26
_PAIRS_SHOWN = 20
_EVENTS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class RunView:
    """A run, its plan and its results in the words of the page.

    Attributes:
        now: epoch, batch and iteration as a running training counts them.
        totals: what ``now`` counts towards; no iterations and epochs for a plan with an open end.
        metrics: the metrics of its test set, the loss first.
    """

    run: PageRun
    about: Words
    method: Words
    batches: list[Cell]
    epochs: list[Cell]
    strip_epoch: Words
    strip_run: Words
    plan: list[PlanTableRow]
    changes: list[Words]
    key_numbers: list[tuple[Words | str, str | Words]]
    matrix: Matrix | None
    class_values: ClassValues | None
    commands: list[tuple[Words, str]]
    environment: list[tuple[Words, str | Words]]
    now: dict[str, int]
    totals: dict[str, int]
    metrics: list[str]

    @classmethod
    def of(cls, run: PageRun) -> RunView:
        """Put a run into words."""
        record, plan = run.record, run.record.plan
        timeline = Timeline.of(record)
        return cls(
            run=run,
            about=_about(record),
            method=say(f"method.{plan.method}"),
            batches=tables.batch_cells(timeline) if timeline.epochs else [],
            epochs=tables.epoch_cells(timeline),
            strip_epoch=strip_epoch(plan),
            strip_run=strip_run(record, timeline),
            # the arithmetic and what became of it
            plan=tables.plan_table(record),
            changes=[
                say("plan.change", iteration=count(change.iteration), options=_options(change.options))
                for change in record.file.changes
            ],
            # what it led to
            key_numbers=key_numbers(record),
            matrix=Matrix.of(run.predictions) if isinstance(run.predictions, Predictions) else None,
            class_values=ClassValues.of(record.history.tests),
            # how to make it again, and with what it was made
            commands=_commands(run),
            environment=_environment(run),
            now=counters(record.recorded, plan),
            totals=totals(plan, record.recorded),
            metrics=metric_names(record.history.tests),
        )

    @property
    def exact_epochs(self) -> Words:
        """How many full epochs used each sample as planned."""
        full = [row for row in self.run.record.history.epochs if row.complete]
        return say("audit.proved", exact=count(sum(row.is_exact for row in full)), epochs=count(len(full)))


def _about(run: RunRecord) -> Words:
    data, model, config = run.file.data, run.file.model, run.config
    return say(
        "plan.about",
        samples=count(data.train),
        tests=count(data.test),
        data=data.name,
        model=model.name,
        parameters=count(model.parameters),
        optimizer=config.optimizer,
        lr="–" if config.lr is None else f"{config.lr:g}",
        loss=config.loss or "–",
        seed=config.seed,
    )


def _options(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in options.items())


def key_numbers(run: RunRecord) -> list[tuple[Words | str, str | Words]]:
    """Return the few numbers that a run is asked for first: its last test metrics, then its counts."""
    tests, seconds, iterations = run.history.tests, run.training_seconds, run.history.iterations
    values = tests[-1].metrics if tests else {}
    shown = [name for name in values if "/" not in name and (name != "loss" or len(values) == 1)]
    return [
        *((metric_word(name, "test"), metric(name, values[name])) for name in shown),
        (say("key.epochs"), count(run.recorded.epoch)),
        (say("key.batches"), batches_text(run.plan)),
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


@dataclass(frozen=True, slots=True)
class ClassValues:
    """Metrics of single classes at the last evaluation, such as ``recall/cat``.

    Attributes:
        metrics: their names, one for each column.
        rows: for each class its name and a value for each metric.
    """

    metrics: list[str]
    rows: list[tuple[str, list[float | None]]]

    @classmethod
    def of(cls, tests: Sequence[EvaluationRow]) -> ClassValues | None:
        """Return the table; ``None`` where no such metric was recorded."""
        values = {name.partition("/")[::2]: value for name, value in tests[-1].metrics.items()} if tests else {}
        metrics = list(dict.fromkeys(name for name, one in values if one))
        classes = dict.fromkeys(one for _, one in values if one)
        rows = [(one, [values.get((name, one)) for name in metrics]) for one in classes]
        return cls(metrics, rows) if rows else None


def _commands(run: PageRun) -> list[tuple[Words, str]]:
    """Return the commands that repeat a run, each with what it is for."""
    file = run.record.file
    if file.custom:
        return [(say("again.custom", parts=", ".join(file.custom)), "")]
    commands = [(say("again.folder"), f"epochal rerun {shell_word(run.path)}")]
    if not file.changes:
        commands.insert(0, (say("again.command"), file.config.command()))
    return commands


def page_commands(page: Page) -> list[tuple[Words, str]]:
    """Return the commands that make this page again, and continue its study."""
    paths = [run.path for run in page.runs] if page.study is None else [page.study]
    commands = [(say("again.page"), " ".join(["epochal report", *map(shell_word, paths)]))]
    if page.study is not None:
        commands.insert(0, (say("again.study"), f"epochal compare --run {shell_word(page.study)}"))
    return commands


def landscape_command(page: Page) -> str | None:
    """Return the command that computes a study's landscape; ``None`` where the page is of no study."""
    return None if page.study is None else f"epochal compare --run {shell_word(page.study)} --landscape"


def _shape(shape: Any) -> str:
    """Return the shape of a sample; of several parts, each with its name."""
    if isinstance(shape, dict):
        return ", ".join(f"{name} {_shape(one)}" for name, one in shape.items())
    return " × ".join(map(str, shape))


def _environment(run: PageRun) -> list[tuple[Words, str | Words]]:
    file, history = run.record.file, run.record.history
    device = ", ".join(map(str, (file.device.kind, file.device.platform, file.device.count)))
    shape = _shape(file.data.sample_shape)

    rows: list[tuple[Words, str | Words]] = [
        (say("about.folder"), run.path),
        (say("about.data"), f"{file.data.name}, {shape}"),
        (say("about.fingerprint"), file.data.fingerprint),
        (say("about.weights"), run.weights_sha256 or "–"),
        (say("about.device"), device),
        (say("about.versions"), ", ".join(f"{name} {number}" for name, number in file.versions.items())),
        (say("about.config"), _options(file.present_config.to_dict())),
        *_surroundings(run.record),
    ]

    for session in history.sessions:
        text = say(
            "about.session",
            started=session.started[:19].replace("T", " "),
            first=count(session.first_iteration),
            end=count(session.end_iteration),
            status=status_words(session.status),
            seconds=duration(session.seconds),
        )
        rows.append((say("about.sessions"), text))

    for event in history.events[-_EVENTS_SHOWN:]:
        plain = {name: value for name, value in event.detail.items() if isinstance(value, (str, int, float))}
        detail = f" ({_options(plain)})" if plain else ""
        when = event.time[:19].replace("T", " ")

        text = say("about.event", time=when, iteration=count(event.iteration), kind=event.kind + detail)
        rows.append((say("about.events"), text))
    return rows


def _surroundings(run: RunRecord) -> Iterator[tuple[Words, str | Words]]:
    """Yield the order of samples, the processes and the trainings at once, where they are not the usual ones."""
    if run.config.order is not None:
        yield say("about.order"), run.config.order
    if run.hosts:
        yield (
            say("about.hosts"),
            say("about.processes", processes=sum(run.hosts.values()), hosts=", ".join(run.hosts)),
        )
    if run.at_once > 1:
        yield say("about.lanes"), count(run.at_once)


def printed_environment(page: Page) -> list[tuple[Words, str | Words]]:
    """Return the environment of a page's first run, and how to repeat it, for paper."""
    run = page.runs[0]
    wanted = {say(f"about.{key}").texts["en"] for key in ("data", "fingerprint", "weights", "device", "versions")}
    rows = [(name, value) for name, value in _environment(run) if name.texts["en"] in wanted]
    commands = page_commands(page)[:1] if page.study is not None else _commands(run)[:1]
    return [*rows, *((words, command) for words, command in commands if command)]


def audited(page: Page) -> Words:
    """Say how many full epochs of all runs used each sample as planned."""
    full = [row for run in page.runs for row in run.record.history.epochs if row.complete]
    return say("audit.proved", exact=count(sum(row.is_exact for row in full)), epochs=count(len(full)))


def status_words(status: str) -> Words | str:
    """Return a run's status in words."""
    return say(f"status.{status}") if known(f"status.{status}") else status


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One run in the table of runs; texts are ready to show.

    Attributes:
        test: the last evaluation's value of each metric on the page.
    """

    run: PageRun
    epochs: str
    train_loss: str
    test: list[str]
    updates_to: str | Words
    seconds_to: str | Words


def subject(page: Page) -> str:
    """Return the data and models that the page is about."""
    data = dict.fromkeys(run.record.file.data.name for run in page.runs)
    models = dict.fromkeys(run.record.file.model.name for run in page.runs)
    return " · ".join([*data, *models])


def metrics_of(page: Page) -> list[str]:
    """Return the test metrics that any run has, the loss first."""
    return metric_names(row for run in page.runs for row in run.record.history.tests)


def comparison(page: Page) -> list[ComparisonRow]:
    """Return a row for each run, where there are several."""
    if len(page.runs) < 2:
        return []
    return [comparison_row(run, metrics_of(page), page.target_accuracy) for run in page.runs]


def comparison_row(run: PageRun, metrics: Sequence[str], target: float | None) -> ComparisonRow:
    """Return the row of one run, with these metrics of the test set."""
    history = run.record.history
    test = history.tests[-1].metrics if history.tests else {}
    reached = None if target is None else run.record.reached(target)
    return ComparisonRow(
        run=run,
        epochs=_epochs_done(run.record),
        train_loss=decimal(history.epochs[-1].train_loss if history.epochs else None),
        test=[metric(name, test.get(name)) for name in metrics],
        updates_to=say("compare.never") if reached is None else count(reached.updates),
        seconds_to=say("compare.never") if reached is None else duration(reached.seconds),
    )


def notice_words(notice: Notice) -> Words:
    """Put a notice into words; its numbers are grouped, and status and reason are in each language."""

    def words(name: str, value: str | int) -> Words | str:
        if isinstance(value, int):
            return count(value)
        if name == "reason":
            return phrase(value)
        return status_words(value) if name == "status" else value

    return say(f"notice.{notice.key}", **{name: words(name, value) for name, value in notice.values.items()})


def noise_views(page: Page) -> list[NoiseView]:
    """Return what the runs measured of their gradients' noise; nothing for those that measured none."""
    found = (NoiseView.of(run.name, run.record) for run in page.runs)
    return [view for view in found if view is not None]


def curve_notes(page: Page, watch: bool) -> Iterator[Words]:
    """Say what the curves cannot show."""
    for run, bucket in zip(page.runs, series.buckets(page.runs, growing=watch), strict=True):
        losses = run.record.history.losses
        if bucket > 1:
            yield say("curves.bucketed", run=run.name, iterations=count(losses.size), bucket=count(bucket))
        phases = _phases(run.record)
        if phases:
            yield say("curves.phases", run=run.name, sizes=", ".join(phases))
        gaps = int(np.count_nonzero(~np.isfinite(losses)))
        if gaps:
            yield say("curves.not_finite", run=run.name, count=count(gaps))


def _phases(run: RunRecord) -> list[str]:
    """Return after which iterations the batch size changed in what the run has done, and to what."""
    stretches = list(run.file.stretches(run.history.iterations))
    return [
        f"{count(after.start.iteration)} → B = {count(after.batches.size)}"
        for before, after in itertools.pairwise(stretches)
        if before.batches.size != after.batches.size
    ]


def _epochs_done(run: RunRecord) -> str:
    """Write epochs with two digits where one is cut short, never rounded up to one more."""
    position = run.recorded
    if not position.offset:
        return count(position.epoch)
    hundredths = 100 * position.offset // run.plan.batches_at(position).used
    return f"{count(position.epoch)}.{hundredths:02d}"


def band_rows(page: Page) -> list[tuple[str, str, list[str]]]:
    """Return what repeated seeds agree on: name, seeds, and train loss and each metric as mean (low … high)."""
    metrics = metrics_of(page)
    return [
        (
            band.group,
            ", ".join(map(str, band.seeds)),
            [_spread(band.train_loss, "loss"), *(_spread(band.test.get(name), name) for name in metrics)],
        )
        for band in page.bands
    ]


def _spread(spread: Spread | None, name: str) -> str:
    if spread is None:
        return "–"
    return f"{metric(name, spread.mean)} ({metric(name, spread.low)} … {metric(name, spread.high)})"
