"""Progress below a cell: one output, written a few times a second, which ends as a table of the last epochs."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from epochal import compare, train
from epochal.run import cell_progress, progress, surroundings
from epochal.run.cell_progress import CellProgress
from epochal.run.surroundings import CellOutput, JupyterOutput, MarimoOutput, cell_output, is_interactive
from epochal.study import cell_callback
from little import EachIteration, StopAfter, little_data

__all__ = ["little_data"]

OPTIONS: dict[str, Any] = {"model": "linear", "batch_size": 4, "epochs": 7, "run": False}


class Kept(CellOutput):
    """An output that remembers all that it was told."""

    def __init__(self) -> None:
        self.html: list[str] = []
        self.texts: list[str] = []

    def show(self, html: str, text: str) -> None:
        self.html.append(re.sub("<style>.*?</style>", "", html, flags=re.DOTALL))
        self.texts.append(text)


def test_it_ends_as_a_table_of_the_last_epochs(little_data: Path) -> None:
    output = Kept()
    with CellProgress(output) as shown:
        train(little_data, callbacks=shown, progress=False, **OPTIONS)
    assert output.texts[0] == "compiling …"
    assert re.match(r"finished · epoch 7 / 7 · batch 6 / 6 · iteration 42 / 42 · loss [\d.]+ · ", output.texts[-1])
    rows = re.findall(r'<th scope="row">(.*?)</th>', output.html[-1])
    assert rows == ["3", "4", "5", "6", "7"]
    assert "test accuracy" in output.html[-1]
    assert 'class="bar"' not in output.html[-1]


def test_no_flood(little_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 42 chunks may be shown where a quarter of a second has gone by, and none where it has not."""
    for seconds_each, most in ((0.0, 4), (1.0, 46)):
        now = iter(range(10_000))
        monkeypatch.setattr(
            cell_progress,
            "time",
            types.SimpleNamespace(monotonic=lambda now=now, each=seconds_each: next(now) * each),
        )
        output = Kept()
        with CellProgress(output) as shown:
            train(little_data, callbacks=[shown, EachIteration()], progress=False, **OPTIONS)
        assert len(output.html) <= most
    assert len(output.html) > 40
    assert " left" in output.texts[20]
    assert 'class="bar"' in output.html[20]


def test_a_stopped_training_and_its_warnings_stay_there(little_data: Path) -> None:
    output = Kept()
    with CellProgress(output) as shown:
        shown.on_warning("<b>look</b>")
        train(little_data, callbacks=[shown, StopAfter(8)], progress=False, **OPTIONS)
    assert output.texts[-1].startswith("stopped · epoch 2 / 7 · batch 2 / 6 · iteration 8 / 42")
    assert "&lt;b&gt;look" in output.html[-1]
    assert 'class="bar"' in output.html[-1]


def test_a_budget_of_time_has_a_bar_too(little_data: Path) -> None:
    output = Kept()
    with CellProgress(output) as shown:
        train(little_data, callbacks=shown, progress=False, **{**OPTIONS, "epochs": None, "budget": "0.05s"})
    assert re.match(r"finished · epoch [\d,]+ · batch \d / 6 · iteration [\d,]+ · loss", output.texts[-1])


@pytest.mark.parametrize(("wanted", "shown"), [(None, True), (True, True), (False, False)])
def test_a_notebook_has_it_unless_it_is_not_wanted(
    wanted: bool | None, shown: bool, little_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    output = Kept()
    monkeypatch.setattr(progress, "cell_output", lambda: output)
    train(little_data, progress=wanted, **OPTIONS)
    assert bool(output.html) is shown
    assert capsys.readouterr().out == ""


def test_a_study_is_one_output_with_a_line_for_each_run(
    little_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    output = Kept()
    monkeypatch.setattr(cell_callback, "cell_output", lambda: output)
    compare(little_data, models="linear", batch_sizes=[4, "all"], epochs=2, run=tmp_path / "study")
    lines = re.findall(r"<b>(batch-\w+)</b> · (\w+) · epoch 2 / 2", output.html[-1])
    assert lines == [("batch-4", "finished"), ("batch-all", "finished")]
    assert "run 2 of 2: batch-all" in output.html[-2]


def test_where_there_is_no_notebook_there_is_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cell_output() is None
    assert not is_interactive()
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert is_interactive()


def test_jupyter_gets_one_output_and_then_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []

    def publish(data: dict[str, str], metadata: dict[str, str], **options: Any) -> None:
        told.append({"data": data, **options})

    shell = types.SimpleNamespace(display_pub=types.SimpleNamespace(publish=publish), kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    output = cell_output()
    assert isinstance(output, JupyterOutput)
    output.show("<p>1", "1")
    output.show("<p>2", "2")
    assert [one["update"] for one in told] == [False, True]
    assert told[0]["transient"] == told[1]["transient"]
    assert told[1]["data"] == {"text/html": "<p>2", "text/plain": "2"}

    del shell.kernel  # IPython in a terminal
    assert cell_output() is None
    assert is_interactive()


def test_marimo_gets_its_cells_output_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    marimo = types.SimpleNamespace(
        running_in_notebook=lambda: True, Html=str, output=types.SimpleNamespace(replace=told.append)
    )
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    output = cell_output()
    assert isinstance(output, MarimoOutput)
    output.show("<p>1", "1")
    assert told == ["<p>1"]
    marimo.running_in_notebook = lambda: False
    assert cell_output() is None
    monkeypatch.setitem(sys.modules, "marimo", types.SimpleNamespace())
    assert not surroundings.is_marimo()
