"""What all loggers do: everything once and in order, within their share of the time; a failure costs no training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from following import OPTIONS, SAMPLES, clouds

from epochal import Callback, Run, resume, train
from epochal.errors import OptionError
from epochal.loggers import logger as logger_module
from epochal.loggers.logger import Done, Logger, Values
from epochal.record.run_toml import RunFile
from epochal.run.callbacks import Start
from little import StopAfter, Warnings


class Tool:
    """What a tool holds: it cannot take anything back, and may fail."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.losses: list[tuple[int, float]] = []
        self.rows: list[tuple[int, Values]] = []
        self.configs: list[tuple[int, RunFile]] = []
        self.status: list[tuple[int, str]] = []
        self.fails_at = fails_at

    @property
    def steps(self) -> list[int]:
        return [step for step, _ in self.losses]


class ToTool(Logger):
    """Logs into it."""

    def __init__(self, tool: Tool, **options: Any) -> None:
        super().__init__(**options)
        self.tool = tool

    def begin(self, start: Start, notes: Mapping[str, Any]) -> Done:
        if self.tool.fails_at == 0:
            raise OSError("no such server")
        return Done.noted(notes)

    def configure(self, file: RunFile, iteration: int) -> None:
        self.tool.configs.append((iteration, file))

    def write_losses(self, first: int, losses: np.ndarray) -> None:
        for iteration, loss in enumerate(losses.tolist(), first + 1):
            if iteration == self.tool.fails_at:
                raise OSError("the server is gone")
            self.tool.losses.append((iteration, loss))

    def write_values(self, iteration: int, values: Values) -> None:
        self.tool.rows.append((iteration, values))

    def finish(self, iteration: int, status: str) -> None:
        self.tool.status.append((iteration, status))


def expected(run: Run) -> list[tuple[int, float]]:
    return list(enumerate(run.history.losses.tolist(), 1))


def test_it_gets_every_loss_every_epoch_the_configuration_and_the_end() -> None:
    tool = Tool()
    run = train(clouds(), run=False, callbacks=ToTool(tool), **OPTIONS)
    assert tool.losses == expected(run)
    assert [step for step, _ in tool.rows] == [row.end_iteration for row in run.history.epochs]
    for (_, values), row, test in zip(tool.rows, run.history.epochs, run.history.tests, strict=True):
        assert values["train/loss"] == row.train_loss
        assert values["test/accuracy"] == test.accuracy
        assert (values["audit/exact"], values["audit/samples"]) == (1.0, SAMPLES)
    ((iteration, file),) = tool.configs
    assert iteration == 0
    assert file.config.batch_size == 10
    assert file.config.lr is not None
    assert tool.status == [(60, "finished")]


def test_it_changes_no_bit() -> None:
    runs = [train(clouds(), run=False, callbacks=given, **OPTIONS) for given in ((), ToTool(Tool()))]
    assert len({run.weights_sha256 for run in runs}) == 1


def test_what_there_is_no_time_for_is_written_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    during: list[int] = []

    class Slow(ToTool):
        """A second for each write, in a training that takes next to none."""

        points_at_once = 1

        def write_losses(self, first: int, losses: np.ndarray) -> None:
            clock.now += 1.0
            super().write_losses(first, losses)

        def on_end(self, end: Any) -> None:
            during.append(len(self.tool.losses))
            super().on_end(end)

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

        time = monotonic

    clock, tool = Clock(), Tool()
    monkeypatch.setattr(logger_module, "time", clock)
    run = train(clouds(), run=False, callbacks=Slow(tool, share=0.5), **OPTIONS)
    assert during[0] < 10
    assert tool.losses == expected(run)


@pytest.mark.parametrize("fails_at", [1, 25, 60])
def test_a_tool_that_fails_is_named_and_the_training_goes_on(fails_at: int, tmp_path: Path) -> None:
    tool, warnings = Tool(fails_at), Warnings()
    run = train(clouds(), run=tmp_path / "run", callbacks=[ToTool(tool), warnings], **OPTIONS)
    whole = train(clouds(), run=False, **OPTIONS)
    assert run.status == "finished"
    assert run.weights_sha256 == whole.weights_sha256
    (message,) = warnings.messages
    assert message.startswith("ToTool failed after iteration ")
    assert message.endswith("left out from there on: OSError: the server is gone")
    warned = [event.detail["message"] for event in run.history.events if event.kind == "warned"]
    assert warned == [message]
    assert not tool.status


def test_a_tool_that_cannot_begin_ends_it_before_the_first_iteration(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="ToTool cannot begin: OSError: no such server"):
        train(clouds(), run=tmp_path / "run", callbacks=ToTool(Tool(fails_at=0)), **OPTIONS)
    assert Run.open(tmp_path / "run").history.iterations == 0


@pytest.mark.parametrize("stop", [1, 17, 20, 59])
def test_a_run_that_continues_goes_on_where_it_was(stop: int, tmp_path: Path) -> None:
    tool = Tool()
    run = train(clouds(), run=tmp_path / "run", callbacks=[ToTool(tool), StopAfter(stop)], **OPTIONS)
    run = resume(run.path, data=clouds(), callbacks=ToTool(tool))
    assert tool.losses == expected(run)
    assert [step for step, _ in tool.rows] == [row.end_iteration for row in run.history.epochs]
    assert tool.status == [(stop, "stopped"), (60, "finished")]


def test_a_logger_that_comes_later_gets_what_was_before_it(tmp_path: Path) -> None:
    tool = Tool()
    run = train(clouds(), run=tmp_path / "run", callbacks=StopAfter(34), **OPTIONS)
    run = resume(run.path, data=clouds(), callbacks=ToTool(tool))
    assert tool.losses == expected(run)
    assert [step for step, _ in tool.rows] == [10, 20, 30, 40, 50, 60]
    assert tool.rows[0][1]["test/loss"] == run.history.tests[0].loss


def test_what_a_failed_tool_missed_is_filled_in_when_the_run_continues(tmp_path: Path) -> None:
    tool = Tool(fails_at=25)
    train(clouds(), run=tmp_path / "run", callbacks=[ToTool(tool), StopAfter(40)], **OPTIONS)
    tool.fails_at = None
    run = resume(tmp_path / "run", data=clouds(), callbacks=ToTool(tool))
    assert sorted(set(tool.losses)) == expected(run)  # some of the block that failed came twice
    assert [step for step, _ in tool.rows] == [10, 20, 30, 40, 50, 60]


def test_a_change_is_told_and_the_tool_stays_open(tmp_path: Path) -> None:
    tool = Tool()
    run = train(clouds(), run=tmp_path / "run", callbacks=[ToTool(tool), StopAfter(25)], **OPTIONS)
    run = resume(run.path, data=clouds(), callbacks=ToTool(tool), lr=0.01)
    assert tool.losses == expected(run)
    assert [iteration for iteration, _ in tool.configs] == [0, 25]
    assert tool.configs[1][1].present_config.lr == 0.01


def test_an_epoch_that_the_budget_cut_short_is_replaced_when_it_is_complete(tmp_path: Path) -> None:
    tool = Tool()
    run = train(clouds(), run=tmp_path / "run", callbacks=ToTool(tool), **{**OPTIONS, "epochs": None, "iterations": 25})
    run = resume(run.path, data=clouds(), callbacks=ToTool(tool), epochs=4)
    assert tool.losses == expected(run)
    assert [step for step, _ in tool.rows] == [10, 20, 25, 30, 40]


def test_a_logger_can_follow_one_training_after_another_also_after_a_failure() -> None:
    tool = Tool(fails_at=25)
    logger = ToTool(tool)
    train(clouds(), run=False, callbacks=logger, **OPTIONS)
    tool.fails_at, tool.losses = None, []
    run = train(clouds(), run=False, callbacks=logger, **OPTIONS)
    assert tool.losses == expected(run)
    assert tool.status == [(60, "finished")]


@pytest.mark.filterwarnings("error")
def test_an_error_of_others_is_logged_as_the_end(tmp_path: Path) -> None:
    class Fails(Callback):
        def on_epoch(self, epoch: Any) -> None:
            if epoch.row.epoch == 2:
                raise ValueError("mine")

    tool = Tool()
    with pytest.raises(ValueError, match="mine"):
        train(clouds(), run=tmp_path / "run", callbacks=[ToTool(tool), Fails()], **OPTIONS)
    assert tool.steps == list(range(1, 21))
    assert tool.status == [(20, "failed")]


def test_a_share_is_a_part() -> None:
    with pytest.raises(OptionError, match="share"):
        ToTool(Tool(), share=2.0)
