"""Progress in Python: a bar where there is a terminal or a notebook, lines for epochs, and nothing where not wanted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from epochal import train
from epochal.clock import Plan
from epochal.record.rows import EpochRow
from epochal.run import progress
from epochal.run.progress import ProgressBar, epoch_line
from little import EachIteration, little_data

__all__ = ["little_data"]

OPTIONS: dict[str, Any] = {"model": "linear", "batch_size": 4, "epochs": 2, "run": False}


def row(**others: Any) -> EpochRow:
    values = {
        "epoch": 3, "end_iteration": 1800, "iterations": 600, "samples": 60_000, "expected_samples": 60_000,
        "complete": True, "train_loss": 0.25, "seconds": 1.0, "audit_hash": "", "expected_hash": "",
        "test": {"loss": 0.125, "accuracy": 0.9812, "recall/cat": 0.5, "rmse": 2.0},
    }  # fmt: skip
    return EpochRow(**{**values, **others})


def test_an_epoch_is_a_line_of_80_columns_with_every_metric() -> None:
    line = epoch_line(row(), Plan(60_000, 100, epochs=50), rate=5432.1)
    assert line == "epoch  3/50  iteration  1,800  loss 0.2500  test 0.1250  98.12 %  rmse 2.0000  5,432 it/s"
    plain = epoch_line(row(test={"loss": 0.125, "accuracy": 0.9812}), Plan(60_000, 100, epochs=50), rate=5432.1)
    assert len(plain) <= 80
    assert "(part)" in epoch_line(row(complete=False), Plan(60_000, 100, iterations=1801), rate=1.0)
    assert "/" not in epoch_line(row(test={}), Plan(60_000, 100, budget="9s"), rate=1.0).removesuffix("it/s")


def test_python_shows_nothing_where_nobody_looks(little_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(little_data, **OPTIONS)
    assert capsys.readouterr() == ("", "")


def test_python_shows_epochs_where_it_is_asked_to(little_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(little_data, progress=True, **OPTIONS)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1/2"], ["epoch", "2/2"]]


class Terminal(Console):
    """A terminal whose output can be read."""

    def __init__(self) -> None:
        super().__init__(file=io.StringIO(), width=100, force_terminal=True, highlight=False)


@pytest.mark.parametrize(("wanted", "shown"), [(None, True), (True, True), (False, False)])
def test_a_terminal_has_a_bar_unless_it_is_not_wanted(
    wanted: bool | None, shown: bool, little_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Terminal] = []

    def console(**options: Any) -> Terminal:
        made.append(Terminal())
        return made[-1]

    monkeypatch.setattr(progress, "Console", console)
    train(little_data, progress=wanted, callbacks=EachIteration(), **OPTIONS)
    text = "".join(one.file.getvalue() for one in made)
    assert ("iteration 12/12" in text) is shown
    assert ("\x1b[?25h" in text) is shown, "and the cursor is there again"


def test_a_budget_of_time_is_shown_in_seconds(little_data: Path) -> None:
    terminal = Terminal()
    with ProgressBar(terminal) as bar:
        train(little_data, callbacks=bar, progress=False, **{**OPTIONS, "epochs": None, "budget": "0.05s"})
        assert bar._bar is not None
        (task,) = bar._bar.tasks
        assert task.total == 0.05
        assert task.completed == 0.05
