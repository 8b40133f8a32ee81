"""`plot()`: axes named in the field's words, epochs marked, one line for each split or run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal import Run, compare, from_arrays, train
from epochal.errors import OptionError, RunError
from epochal.run.callbacks import StopWhen

pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'epochal[pictures]'")


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("Agg")
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def run() -> Run:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
    data = from_arrays(x[:40], y[:40], test=(x[40:50], y[40:50]), validation=(x[50:], y[50:]), name="$a$ <b>")
    return train(data, model="linear", batch_size=10, epochs=5, run=False, progress=False)


def names(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_loss_has_a_line_for_batches_and_each_split(run: Run) -> None:
    ax = run.plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("iterations", "loss")
    assert names(ax) == ["each batch", "training", "validation", "test"]
    (top,) = ax.child_axes
    assert top.get_xlabel() == "epoch"
    assert [label.get_text() for label in top.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    assert top.get_xticks().tolist() == [4, 8, 12, 16, 20]
    train_line = ax.get_lines()[1]
    assert train_line.get_ydata().tolist() == [row.train_loss for row in run.history.epochs]
    ax.figure.savefig("loss.png")  # a name with dollars is no formula


def test_another_metric_on_axes_of_ones_own(run: Run) -> None:
    from matplotlib import pyplot

    _, (left, right) = pyplot.subplots(1, 2)
    assert run.plot("accuracy", ax=right) is right
    assert names(right) == ["validation", "test"]
    assert not left.get_lines()


def test_a_metric_that_was_not_measured_is_named(run: Run) -> None:
    with pytest.raises(OptionError, match="unknown metric 'acuracy': did you mean 'accuracy'"):
        run.plot("acuracy")


def test_a_run_without_anything_says_so(run: Run) -> None:
    empty = train(run.data, model="linear", run=False, progress=False, callbacks=StopWhen(lambda: True))
    with pytest.raises(RunError, match="nothing to draw of 'loss' yet"):
        empty.plot()


def test_a_study_has_a_line_for_each_run(run: Run, tmp_path: Path) -> None:
    study = compare(run.data, models="linear", batch_sizes=[10, "all"], epochs=3, run=tmp_path / "study")
    ax = study.plot("accuracy")
    assert names(ax) == ["batch-10", "batch-all"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epochs", "test accuracy")
    assert [line.get_xdata().tolist() for line in ax.get_lines()] == [[1, 2, 3], [1, 2, 3]]
    assert repr(study) == f"Study '{tmp_path / 'study'}': 2 runs of {run.file.data.name} (batch-10, batch-all)"


def test_without_matplotlib_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionError, match=r"pip install 'epochal\[pictures\]'"):
        run.plot()
