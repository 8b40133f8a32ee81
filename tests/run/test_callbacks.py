"""Callbacks: what they are told, in which order, and that they end a training and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal import Run, rerun, resume, train
from epochal.clock import Position
from epochal.errors import DivergedError
from epochal.run.callbacks import Callback, Callbacks, ChunkEnd, EarlyStop, End, EpochEnd, Start, StopWhen
from epochal.run.point import Point
from little import EachIteration, StopAfter, little_data, quick_path

__all__ = ["little_data", "quick_path"]

OPTIONS: dict[str, Any] = {"model": "linear", "batch_size": 4, "epochs": 3}


class Log(Callback):
    """Writes down all that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def on_start(self, start: Start) -> None:
        self.told.append(("start", start.position))

    def on_chunk(self, chunk: ChunkEnd) -> None:
        self.told.append(("chunk", chunk))

    def on_epoch(self, epoch: EpochEnd) -> None:
        self.told.append(("epoch", epoch))

    def on_point(self, point: Point) -> None:
        self.told.append(("point", point.position))

    def on_end(self, end: End) -> None:
        self.told.append(("end", end))

    def named(self, name: str) -> list[Any]:
        return [what for kind, what in self.told if kind == name]


class Raises(Callback):
    """Fails at the given iteration."""

    def __init__(self, iteration: int, error: BaseException) -> None:
        self.iteration, self.error = iteration, error

    def next_stop(self, position: Position) -> int | None:
        return self.iteration

    def on_chunk(self, chunk: ChunkEnd) -> None:
        if chunk.position.iteration == self.iteration:
            raise self.error


def test_they_are_told_every_loss_once_and_every_epoch(little_data: Path) -> None:
    log = Log()
    run = train(little_data, run=False, callbacks=log, **OPTIONS)
    chunks, epochs = log.named("chunk"), log.named("epoch")
    assert np.concatenate([chunk.losses for chunk in chunks]).tobytes() == run.history.losses.tobytes()
    assert [chunk.first for chunk in chunks] == [0, *(chunk.position.iteration for chunk in chunks[:-1])]
    assert {chunk.batch_size for chunk in chunks} == {4, 3}
    assert tuple(epoch.row for epoch in epochs) == run.history.epochs
    assert [epoch.evaluation.metrics for epoch in epochs] == [row.metrics for row in run.history.tests]


def test_an_epoch_is_told_before_the_point_after_it(little_data: Path) -> None:
    log = Log()
    train(little_data, run=False, callbacks=log, **OPTIONS)
    kinds = [kind for kind, _ in log.told]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    for place, kind in enumerate(kinds):
        if kind == "epoch":
            assert kinds[place - 1 : place + 2] == ["chunk", "epoch", "point"]


def test_they_change_no_weights(little_data: Path) -> None:
    hashes = {
        train(little_data, run=False, callbacks=callbacks, **OPTIONS).weights_sha256
        for callbacks in ((), Log(), EachIteration(), (Log(), EarlyStop(patience=99)))
    }
    assert len(hashes) == 1


@pytest.mark.parametrize("iterations", [0, 1, 5, 6, 7])
def test_one_of_them_stops_the_training(iterations: int, little_data: Path, quick_path: Path) -> None:
    run = train(little_data, run=quick_path / "run", callbacks=[Log(), StopAfter(iterations)], **OPTIONS)
    assert run.status == "stopped"
    assert run.position.iteration == run.history.iterations == iterations


def test_it_is_asked_before_each_chunk_and_not_at_the_end(little_data: Path) -> None:
    asked: list[None] = []

    def question() -> bool:
        asked.append(None)
        return False

    log = Log()
    train(little_data, run=False, callbacks=[log, StopWhen(question)], **OPTIONS)
    assert len(asked) == len(log.named("chunk"))


def test_chunks_end_where_they_ask(little_data: Path) -> None:
    class AtFour(Callback):
        def next_stop(self, position: Position) -> int | None:
            return 4 if position.iteration < 4 else None

    log = Log()
    train(little_data, run=False, callbacks=[log, AtFour()], **OPTIONS)
    assert 4 in [chunk.position.iteration for chunk in log.named("chunk")]


@pytest.mark.parametrize(("error", "status"), [(ValueError("mine"), "failed"), (KeyboardInterrupt(), "interrupted")])
def test_an_error_in_one_ends_all_and_is_raised(
    error: BaseException, status: str, little_data: Path, quick_path: Path
) -> None:
    log, path = Log(), quick_path / "run"
    with pytest.raises(type(error)):
        train(little_data, run=path, callbacks=[log, Raises(8, error)], **OPTIONS)
    (end,) = log.named("end")
    assert end.status == status
    assert end.failed
    assert Run.open(path).history.last_status == status
    whole = train(little_data, run=False, **OPTIONS)
    assert resume(path).weights_sha256 == whole.weights_sha256


def test_an_error_at_the_end_comes_after_the_last_point_was_saved(little_data: Path, quick_path: Path) -> None:
    class FailsAtTheEnd(Callback):
        def on_end(self, end: End) -> None:
            raise ValueError("mine")

    log, path = Log(), quick_path / "run"
    with pytest.raises(ValueError, match="mine"):
        train(little_data, run=path, callbacks=[log, FailsAtTheEnd(), log], **OPTIONS)
    run = Run.open(path)
    assert run.status == "finished"
    assert run.position.iteration == run.history.iterations == 18
    assert log.named("end")


@pytest.mark.parametrize(("stop", "status"), [(5, "stopped"), (12, "changed")])
def test_only_a_recorded_change_is_called_one(stop: int, status: str, little_data: Path, tmp_path: Path) -> None:
    run = train(little_data, run=tmp_path / "run", callbacks=StopAfter(9), **OPTIONS)
    resume(run.path, lr=0.01)
    again = rerun(run.path, tmp_path / "again", callbacks=StopAfter(stop)).repeated
    kinds = [event.kind for event in again.history.events]
    assert again.status == "stopped"
    assert ("changed" in kinds) == (status == "changed")


def test_they_end_in_reverse_order_and_each_once() -> None:
    ended: list[str] = []

    class Named(Callback):
        def __init__(self, name: str, *, fails: bool = False) -> None:
            self.name, self.fails = name, fails

        def on_end(self, end: End) -> None:
            ended.append(self.name)
            if self.fails:
                raise ValueError(self.name)

    members = Callbacks.of(Named("a"), None, Named("b", fails=True), Named("c"), told=[Named("d"), Named("e")])
    point: Any = Point.__new__(Point)
    members._running.extend(members.members)
    with pytest.raises(ValueError, match="b"):
        members.end(End(point, "finished"))
    members.fail(End(point, "failed"))
    members.fail(End(point, "failed"))
    assert ended == ["e", "d", "c", "b", "a"]


def test_early_stopping_waits_for_a_better_value(little_data: Path) -> None:
    options = {**OPTIONS, "epochs": 50, "lr": 3.0, "on_nan": "continue"}
    log = Log()
    run = train(little_data, run=False, callbacks=[log, EarlyStop(patience=2)], **options)
    losses = [row.loss for row in run.history.tests]
    assert run.status == "stopped"
    assert len(losses) < 50
    assert min(losses[-2:]) >= min(losses[:-2]), "the last two were not better"
    assert EarlyStop(metric="accuracy")._sign == 1.0
    assert EarlyStop(metric="rmse")._sign == -1.0


def test_a_divergence_is_recorded_and_names_what_helps(little_data: Path, quick_path: Path) -> None:
    options = {**OPTIONS, "model": "mlp", "lr": 1e30, "epochs": 20}
    with pytest.raises(DivergedError, match=r"(?s)at iteration \d+; no checkpoint yet.*resume .*--lr 3\.3e\+29"):
        train(little_data, run=quick_path / "run", **options)
    assert Run.open(quick_path / "run").status == "diverged"
    with pytest.raises(DivergedError, match=r"A smaller learning rate usually helps \(it is 1e\+30\)"):
        train(little_data, run=False, **options)


def test_functions_do_for_simple_cases(little_data: Path) -> None:
    """A function that listens and one that is asked, in place of a callback."""
    told: list[Any] = []
    run = train(
        little_data, run=False, listener=told.append, should_stop=lambda: told[-1].position.epoch >= 1, **OPTIONS
    )
    assert run.status == "stopped"
    assert run.position.epoch == 1
    kinds = [type(one).__name__ for one in told]
    assert (kinds[0], kinds[-1]) == ("Start", "End")
    assert {"ChunkEnd", "EpochEnd"} < set(kinds)
