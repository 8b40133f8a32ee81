"""What a notebook's cell shows of a plan, a history, a run or a study: the report's tables and curves, without scripts.

The rows are those of the report; the numbers of curves are thinned as the report's are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from epochal.clock import Plan
from epochal.formats import count, decimal
from epochal.plan_rows import batch_size_text, batches_text
from epochal.record.history import History
from epochal.record.rows import metric_names
from epochal.record.run_record import RunRecord
from epochal.report import series, tables, views
from epochal.report.page_model import Notice, Page, PageRun
from epochal.web.epochs_table import epochs_table, mark
from epochal.web.fragment import Fragment, Text
from epochal.web.static_chart import Curve, chart, swatch
from epochal.words.catalogue import duration, metric, metric_word, percent, say

_POINTS = 400
_MOST_METRICS = 2
_TRAIN, _TEST, _VALIDATION, _BATCH = 0, 1, 2, 6  # styles


def plan_fragment(plan: Plan, write: Fragment) -> str:
    """Return a plan's arithmetic."""
    return write.whole(write.head(say(f"method.{plan.method}")), _plan_table(tables.arithmetic(plan), write))


def history_fragment(history: History, write: Fragment) -> str:
    """Return the curves of a history, and a table of its epochs."""
    return write.whole(
        history_charts(history, write),
        *_notes(history, write),
        _epochs(history, write),
    )


def run_fragment(run: RunRecord, write: Fragment) -> str:
    """Return a run's key numbers, curves, epochs and arithmetic."""
    view = views.RunView.of(PageRun(run, run.name, Notice("while_training", {})))
    rows = tables.plan_table(run)
    return write.whole(
        write.head(run.name, views.status_words(run.status)),
        write.line(view.about, "soft"),
        write.keys(view.key_numbers),
        write.line(how_to_go_on(run, write), "soft"),
        history_charts(run.history, write),
        *_notes(run.history, write),
        write.folded(say("cell.epochs"), _epochs(run.history, write), is_open=True),
        write.folded(say("plan.arithmetic"), _plan_table(rows, write), *(write.line(one) for one in view.changes)),
    )


def study_fragment(page: Page, write: Fragment) -> str:
    """Return the table of a study's runs, and their curves over epochs."""
    metrics, target = views.metrics_of(page), page.target_accuracy
    names = ["run", "method", "batch_size", "batches", "updates", "epochs", "seconds", "train_loss"]
    headings: list[Text] = [say(f"compare.{name}") for name in names]
    headings += [metric_word(name, "test") for name in metrics]
    if target is not None:
        headings += [say(f"compare.{name}_to", target=percent(target, 0)) for name in ("updates", "seconds")]

    rows = []
    for style, run in enumerate(page.runs):
        row, record = views.comparison_row(run, metrics, target), run.record
        name = Markup("{} {}").format(swatch(_line("", style)), run.name)
        if record.status != "finished":
            name = Markup("{} ({})").format(name, write.text(views.status_words(record.status)))
        reached = [] if target is None else [row.updates_to, row.seconds_to]
        rows.append([
            name, record.plan.method.upper(), batch_size_text(record.plan), batches_text(record.plan),
            count(record.history.iterations), row.epochs, duration(record.training_seconds), row.train_loss,
            *row.test, *reached,
        ])  # fmt: skip

    bands = [[name, seeds, *spreads] for name, seeds, spreads in views.band_rows(page)]
    band_names = [say("compare.run"), say("compare.seeds"), say("compare.train_loss"), *headings[8 : 8 + len(metrics)]]
    return write.whole(
        write.head(page.title, views.subject(page)),
        *(write.line(views.notice_words(notice), "soft") for notice in page.notices),
        write.table(headings, rows),
        write.folded(say("compare.bands"), write.table(band_names, bands), is_open=True) if bands else Markup(""),
        write.charts(*_study_charts(page, metrics, write)),
    )


def how_to_go_on(run: RunRecord, write: Fragment) -> Markup:
    """Say how an unfinished run is continued; nothing for one that is over."""
    if run.status in ("finished", "running", "diverged"):
        return write.text("")
    return write.say("cell.kept_in_memory") if run.path is None else write.say("cell.go_on", command=run.resume_command)


def history_charts(history: History, write: Fragment) -> Markup:
    """Return the curves of the loss, and of the first metrics that evaluations measured."""
    ends = [row for row in history.epochs if row.complete]
    marks = [(float(row.end_iteration), count(row.epoch)) for row in ends]
    iterations = say("script.axis_iterations")
    drawn = [
        chart(
            write, say("cell.every"), loss_curves(history),
            x_name=iterations, y_name=metric_word("loss"), marks=marks, mark_name=say("cell.epoch"),
        )
    ]  # fmt: skip
    names = metric_names(row for row in history.evaluations)
    for name in [one for one in names if one != "loss"][:_MOST_METRICS]:
        word = metric_word(name)
        curves = metric_curves(history, name)
        drawn.append(
            chart(write, word, curves, x_name=iterations, y_name="", marks=marks, mark_name=say("cell.epoch"),
                  is_share=name.endswith("accuracy"))
        )  # fmt: skip

    return write.charts(*drawn)


def loss_curves(history: History) -> list[Curve]:
    """Return the loss of every iteration, thinned, and of each epoch: training, validation and test."""
    curves = []
    losses = history.losses
    if losses.size:
        bucket = bucket_of(history)
        low, mean, high = series.thinned(losses, bucket)
        ends = np.minimum(bucket * np.arange(1, mean.size + 1), losses.size) - (bucket - 1) / 2
        is_thin, last = bucket > 1, decimal(float(losses[-1]))
        curves.append(
            Curve(
                say("cell.batch"), ends, mean, _BATCH, low if is_thin else None, high if is_thin else None,
                faint=True, last=last,
            )
        )  # fmt: skip

    ends = np.array([row.end_iteration for row in history.epochs], np.float64)
    train = np.array([row.train_loss for row in history.epochs])
    if train.size:
        curves.append(_thin(say("cell.train"), ends, train, _TRAIN, "loss"))

    return [*curves, *metric_curves(history, "loss")]


def metric_curves(history: History, name: str) -> list[Curve]:
    """Return a metric of the validation and test sets, by iteration."""
    curves = []
    for split, style in (("validation", _VALIDATION), ("test", _TEST)):
        rows = [row for row in history.evaluations if row.split == split and name in row.metrics]
        if rows:
            x = np.array([row.iteration for row in rows], np.float64)
            y = np.array([row.metrics[name] for row in rows])
            curves.append(_thin(say(f"cell.{split}"), x, y, style, name))
    return curves


def bucket_of(history: History) -> int:
    """Return how many iterations one point of a small curve stands for."""
    return series.bucket_for(history.losses.size, 3 * _POINTS) if history.losses.size > _POINTS else 1


def _epochs(history: History, write: Fragment) -> Markup:
    return epochs_table(history.epochs, history.evaluations, write)


def _plan_table(rows: Sequence[tables.PlanTableRow], write: Fragment) -> Markup:
    is_counted = any(row.counted is not None for row in rows)
    names = ("quantity", "how", "planned", "counted")[: 4 if is_counted else 3]

    def counted(row: tables.PlanTableRow) -> Text:
        if row.counted is None:
            return ""
        sign = mark(write, "✓" if row.agrees else say("plan.differs"), bool(row.agrees))
        return Markup("{} {}").format(row.counted, sign)

    cells = ([row.name, row.how, row.planned, counted(row)][: len(names)] for row in rows)
    return write.table([say(f"plan.{name}") for name in names], cells, texts=(1,))


def _notes(history: History, write: Fragment) -> Iterator[Markup]:
    """Say what the curves cannot show."""
    bucket = bucket_of(history)
    if bucket > 1:
        words = say("cell.bucketed", bucket=count(bucket), iterations=count(history.losses.size))
        yield write.line(words, "soft")


def _study_charts(page: Page, metrics: Sequence[str], write: Fragment) -> Iterator[Markup]:
    """Return charts over epochs with a line for each run: the training loss, and test metrics."""
    tables_of_time = [series.time_table(one.record.file, one.record.history.iterations, (), 0.0) for one in page.runs]

    def curves(name: str | None) -> list[Curve]:
        found = []
        for style, (run, time) in enumerate(zip(page.runs, tables_of_time, strict=True)):
            history = run.record.history
            pairs = [(row.end_iteration, row.train_loss) for row in history.epochs]
            if name is not None:
                pairs = [(row.iteration, row.metrics[name]) for row in history.tests if name in row.metrics]
            if pairs:
                iteration, y = np.array(pairs, np.float64).T
                x = np.interp(iteration, time["iteration"], time["epoch"])
                found.append(_thin(run.name, x, y, style, name or "loss"))
        return found

    epochs = say("curves.epochs")
    yield chart(write, say("compare.train_loss"), curves(None), x_name=epochs, y_name="")
    for name in metrics[: 1 + _MOST_METRICS]:
        word, is_share = metric_word(name, "test"), name.endswith("accuracy")
        yield chart(write, word, curves(name), x_name=epochs, y_name="", is_share=is_share)


def _thin(name: Text, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], style: int, measured: str) -> Curve:
    """Return a curve of at most so many points, each with its band where it stands for several."""
    last = metric(measured, float(y[-1]))
    if y.size <= _POINTS:
        return Curve(name, x, y, style, last=last)
    bucket = -(-y.size // _POINTS)
    low, mean, high = series.thinned(y.astype(np.float32), bucket)
    return Curve(name, series.thinned(x.astype(np.float32), bucket)[1], mean, style, low, high, last=last)


def _line(name: Text, style: int) -> Curve:
    return Curve(name, np.zeros(0), np.zeros(0), style)
