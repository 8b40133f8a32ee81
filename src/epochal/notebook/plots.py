"""`plot()` of runs and studies: curves on Matplotlib's axes, named in the field's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from epochal.errors import OptionError, RunError, unknown_name
from epochal.formats import count
from epochal.record.rows import metric_names
from epochal.report import fragments, series
from epochal.web.fragment import Fragment, Text
from epochal.web.static_chart import COLOURS, Curve, Scale
from epochal.words.catalogue import metric_word, say

if TYPE_CHECKING:
    from epochal.record.history import History
    from epochal.record.run_record import RunRecord
    from epochal.record.study_record import StudyRecord

_DASHES = ("-", "--", ":", "-.")
_MOST_EPOCHS_MARKED = 60
_ENGLISH = Fragment()  # Matplotlib's own font has no Chinese characters


def plot_run(run: RunRecord, what: str = "loss", ax: Any = None) -> Any:
    """Draw a run's loss or another metric by iteration, with the ends of epochs marked; return the axes."""
    history = run.history
    write = _ENGLISH
    curves = fragments.loss_curves(history) if what == "loss" else fragments.metric_curves(history, what)
    if not curves:
        _refuse(what, [history], run.name)
    ax = _axes(ax)
    for curve in curves:
        _draw(ax, curve, write)
    _finish(ax, curves, write, say("script.axis_iterations"), metric_word(what), run.name)
    _mark_epochs(ax, history, write)
    _mark_phases(ax, run)
    return ax


def plot_study(study: StudyRecord, what: str = "loss", ax: Any = None) -> Any:
    """Draw a metric of the test set over epochs, with a line for each run; return the axes."""
    from epochal.report.reader import read

    page, write = read([study.path]), _ENGLISH
    curves = []
    for style, run in enumerate(page.runs):
        record = run.record
        rows = [(row.iteration, row.metrics[what]) for row in record.history.tests if what in row.metrics]
        if rows:
            iteration, y = np.array(rows, np.float64).T
            time = series.time_table(record.file, record.history.iterations, (), 0.0)
            curves.append(Curve(run.name, np.interp(iteration, time["iteration"], time["epoch"]), y, style))
    if not curves:
        _refuse(what, [run.record.history for run in page.runs], page.title)
    ax = _axes(ax)
    for curve in curves:
        _draw(ax, curve, write)
    _finish(ax, curves, write, say("curves.epochs"), metric_word(what, "test"), page.title)

    return ax


def _axes(ax: Any) -> Any:
    """Return these axes, or new ones. Raises `OptionError` where Matplotlib is not installed."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise OptionError("plot needs Matplotlib, which is not installed: pip install 'epochal[pictures]'") from error
    return pyplot.subplots(figsize=(7.2, 4.2), layout="constrained")[1]


def _refuse(what: str, histories: list[History], name: str) -> None:
    """Raise `OptionError` for a metric that was not measured, and `RunError` where nothing was."""
    known = metric_names(row for history in histories for row in history.evaluations)
    if what not in known and known:
        raise OptionError(unknown_name("metric", what, known))
    raise RunError(f"{name} holds nothing to draw of '{what}' yet")


def _draw(ax: Any, curve: Curve, write: Fragment) -> None:
    colour, dash = COLOURS[curve.style % len(COLOURS)], _DASHES[curve.style % len(_DASHES)]
    if curve.low is not None and curve.high is not None:
        ax.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    dots = "o" if curve.y.size <= 40 and not curve.faint else None
    look = {"linewidth": 0.8, "alpha": 0.7} if curve.faint else {"linewidth": 1.8, "zorder": 3}
    ax.plot(
        curve.x, curve.y, color=colour, linestyle="-" if curve.faint else dash, marker=dots, markersize=4,
        label=_plain(write, curve.name), **look,
    )  # fmt: skip


def _finish(ax: Any, curves: list[Curve], write: Fragment, x_name: Text, y_name: Text, title: str) -> None:
    """Name the axes, and choose the vertical scale as the report does."""
    values = np.concatenate([curve.y for curve in curves])
    if Scale.of(values[np.isfinite(values)]).is_log:
        ax.set_yscale("log")
    ax.set_xlabel(_plain(write, x_name))
    ax.set_ylabel(_plain(write, y_name))
    ax.set_title(title.replace("$", r"\$"), fontsize="medium")
    ax.grid(alpha=0.2)
    ax.legend(frameon=False)


def _mark_epochs(ax: Any, history: History, write: Fragment) -> None:
    """Mark the ends of epochs: light lines, and their numbers along the top."""
    ends = [row for row in history.epochs if row.complete]
    every = -(-len(ends) // _MOST_EPOCHS_MARKED) or 1
    for row in ends[every - 1 :: every]:
        ax.axvline(row.end_iteration, color="0.5", alpha=0.25, linewidth=0.6, linestyle=":", zorder=0)

    every = -(-len(ends) // 10) or 1
    named = ends[every - 1 :: every]
    top = ax.secondary_xaxis("top")
    top.set_xticks([row.end_iteration for row in named], [count(row.epoch) for row in named], fontsize="small")
    top.set_xlabel(_plain(write, say("cell.epoch")), fontsize="small")


def _mark_phases(ax: Any, run: RunRecord) -> None:
    """Mark where the batch size changed, and write the size from there on."""
    size = None
    for stretch in run.file.stretches(run.history.iterations):
        if size not in (None, stretch.batches.size):
            at = stretch.start.iteration
            ax.axvline(at, color="0.4", linewidth=0.9, linestyle=(0, (2, 3)), zorder=0)
            text = f" B = {count(stretch.batches.size)}"
            ax.text(at, 0.98, text, transform=ax.get_xaxis_transform(), fontsize="small", va="top")
        size = stretch.batches.size


def _plain(write: Fragment, text: Text) -> str:
    """Return a text as it is, without what Matplotlib would take for a formula."""
    return (text if isinstance(text, str) else text.texts[write.lang]).replace("$", r"\$")
