"""Progress in Python: a bar where there is a terminal or a notebook, lines for epochs, and nothing where not wanted."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from epochal import train
from epochal.clock import Plan, Position
from epochal.record.rows import EpochRow
from epochal.run import progress
from epochal.run.callbacks import EpochEnd
from epochal.run.epoch_lines import epoch_line
from epochal.run.progress import ProgressBar
from epochal.run.standing import Standing
from epochal.words.console import PlainConsole
from epochal.words.layout import cells
from epochal.words.phrases import translate
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

    monkeypatch.setattr(progress, "PlainConsole", console)
    train(little_data, progress=wanted, callbacks=EachIteration(), **OPTIONS)
    text = "".join(one.file.getvalue() for one in made)
    assert ("iteration 12/12" in text) is shown
    assert ("\x1b[?25h" in text) is shown, "and the cursor is there again"


def test_a_budget_of_time_is_shown_in_seconds(little_data: Path) -> None:
    with ProgressBar(Terminal()) as bar:
        train(little_data, callbacks=bar, progress=False, **{**OPTIONS, "epochs": None, "budget": "0.05s"})
        assert bar._standing.share == 1.0


# --- which epochs are shown -----------------------------------------------------------------------------------------


def epochs_shown(console: Console, epochs: int, plan: Plan, *, first: int = 1, stop: str = "finished") -> None:
    """Show these epochs of a training that took place nowhere, an iteration each."""
    point: Any = SimpleNamespace(position=Position(), seconds=0.0)
    with ProgressBar(console) as bar:
        bar.on_start(SimpleNamespace(plan=plan, point=point, position=point.position))  # type: ignore[arg-type]
        for epoch in range(first, epochs + 1):
            bar.on_epoch(EpochEnd(Position(), row(epoch=epoch, end_iteration=epoch, test={}), None))
        bar.on_end(SimpleNamespace(point=point, status=stop))  # type: ignore[arg-type]


def numbers(text: str) -> list[int]:
    return [int(one.replace(",", "")) for one in re.findall(r"^epoch +([\d,]+).* it/s", text, re.MULTILINE)]


def written(epochs: int, plan: Plan, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    epochs_shown(console, epochs, plan, **options)
    return console.file.getvalue()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("epochs", [1, 10, 49, 50])
def test_up_to_fifty_epochs_all_leave_a_line(epochs: int) -> None:
    text = written(epochs, Plan(10, 10, epochs=epochs))
    assert numbers(text) == list(range(1, epochs + 1))
    assert "one line for every" not in text


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("epochs", "every"), [(51, 2), (100, 2), (101, 5), (1_000, 20), (1_234, 50), (9_999, 200)])
def test_more_are_thinned_by_a_rule_that_is_said_before(epochs: int, every: int) -> None:
    text = written(epochs, Plan(10, 10, epochs=epochs))
    assert text.startswith(f"one line for every {every:,} of {epochs:,} epochs, and for the first and the last\n")
    assert numbers(text) == sorted({1, *range(every, epochs + 1, every), epochs})
    assert len(numbers(text)) <= 52


@pytest.mark.usefixtures("unchecked")
def test_an_open_number_of_epochs_is_thinned_by_their_number() -> None:
    text = written(2_345, Plan(10, 10, budget="9s"))
    expected = [*range(1, 11), *range(20, 101, 10), *range(200, 1_001, 100), 2_000, 2_345]
    assert numbers(text) == expected
    said = [line for line in text.splitlines() if line.startswith("from here on")]
    assert [re.findall(r"every ([\d,]+) epochs", line)[0] for line in said] == ["10", "100", "1,000"]
    lines = text.splitlines()
    assert lines.index(said[0]) == 10, "before the first epoch that is left out"


@pytest.mark.usefixtures("unchecked")
def test_a_stopped_training_shows_its_last_epoch() -> None:
    assert numbers(written(30, Plan(10, 10, epochs=1_000))) == [1, 20, 30]
    assert numbers(written(30, Plan(10, 10, epochs=1_000), stop="changed")) == [1, 20], "it goes on at once"


@pytest.mark.usefixtures("unchecked")
def test_a_resumed_training_shows_the_same_epochs_and_its_first() -> None:
    assert numbers(written(1_000, Plan(10, 10, epochs=1_000), first=943)) == [943, 960, 980, 1_000]


@pytest.mark.usefixtures("unchecked")
def test_a_terminal_shows_the_same_lines_as_a_file() -> None:
    """However fast they come: time decides nothing."""
    terminal = Terminal()
    epochs_shown(terminal, 1_000, Plan(10, 10, epochs=1_000))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.file.getvalue()).replace("\r", "\n")
    assert numbers(shown) == numbers(written(1_000, Plan(10, 10, epochs=1_000)))
    assert len(numbers(shown)) == 51


# --- the bar --------------------------------------------------------------------------------------------------------

WORKED = Plan(60_000, 100, iterations=30_000)
AT = Position(29_999, 49, 59_900)


def drawn(width: int, standing: Standing) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, force_terminal=True, color_system=None)
    console.print(standing)
    return console.file.getvalue().rstrip("\n")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_the_bar_fits_and_cuts_no_number(width: int, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHAL_LANG", language)
    standing = Standing.at(AT, WORKED, 0.99).with_speed(0.01234, 12_345.6, 3_725.0)
    line = drawn(width, standing)
    assert "\n" not in line
    assert cells(line) <= width
    whole = {"49", "50", "599", "600", "29,999", "30,000", "0.0123", "12,346", "1:02:05"}
    assert set(re.findall(r"[\d][\d,.:]*", line)) <= whole
    assert "50/50" in line


def test_what_matters_less_is_left_out_first() -> None:
    standing = Standing.at(AT, WORKED, 0.5).with_speed(0.01234, 2_345.6, 12.0)

    def parts(width: int) -> set[str]:
        line = standing.line(width)
        words = {"epoch": "epoch 50", "batch": "batch 599", "iteration": "iteration 29,999", "loss": "loss 0.0123",
                 "rate": "2,346 it/s", "bar": "\0", "left": "0:12 left"}  # fmt: skip
        return {name for name, word in words.items() if word in line}

    assert parts(20) == {"epoch", "bar"}
    assert parts(40) == {"epoch", "iteration"}
    assert parts(60) == {"epoch", "iteration", "rate", "bar"}
    assert parts(80) == {"epoch", "iteration", "rate", "bar", "batch"}
    assert parts(120) == {"epoch", "batch", "iteration", "loss", "rate", "bar", "left"}


def test_the_bar_is_as_long_as_what_is_done() -> None:
    def bar(share: float) -> str:
        return drawn(120, Standing({"epoch": "epoch 1/2"}, share)).removeprefix("epoch 1/2  ")

    assert [bar(share).count("━") for share in (0.0, 0.25, 0.5, 1.0)] == [0, 4, 8, 16]
    assert len(bar(0.3)) == 16


# --- in Chinese -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked")
def test_lines_and_warnings_are_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHAL_LANG", "zh")
    line = epoch_line(row(), Plan(60_000, 100, epochs=50), rate=5432.1)
    assert line == "第  3/50 轮  第  1,800 次迭代  损失 0.2500  测试 0.1250  98.12 %  均方根误差 2.0000  5,432 次/秒"
    assert cells(epoch_line(row(test={"loss": 0.125, "accuracy": 0.98}), WORKED, rate=5432.1)) <= 80
    console = Console(file=io.StringIO(), width=100, highlight=False)
    ProgressBar(console).on_warning("interrupted")
    assert console.file.getvalue() == f"警告：{translate('interrupted', 'zh')}\n"
    assert "每 20 轮显示一行" in written(1_000, Plan(10, 10, epochs=1_000))


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error")])
def test_a_reader_that_has_gone_does_not_end_the_training(error: OSError, little_data: Path) -> None:
    class Gone(io.StringIO):
        written = 0

        def write(self, text: str) -> int:
            self.written += 1
            raise error

    console = PlainConsole(width=80)
    console.file = Gone()
    with ProgressBar(console) as bar:
        run = train(little_data, progress=False, callbacks=(bar, EachIteration()), **OPTIONS)
    assert run.status == "finished"
    assert console.file.written == 1, "nothing more is tried"
