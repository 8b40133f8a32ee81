"""A batch that grows by plan: the bits of the changes that it stands for, compiled ahead, and shown as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal import Plan, Position, Run, rerun, resume, train
from epochal.clock import Span
from epochal.engine import placement
from epochal.engine.compile import Programs
from epochal.errors import OptionError, PlanError
from epochal.record.run_toml import Stretch
from epochal.run.callbacks import Callback, Start, updates_in
from little import SAMPLES, StopAfter, little_data

__all__ = ["little_data"]

SMALL: dict[str, Any] = {"model": "mlp", "hidden": (4,), "seed": 3}
SCHEDULE = "2,4@3ep,8@45it"  # 12 iterations an epoch of 23 samples, then 6: 36, and from 45 on (epoch 4, offset 12) 3


def until(budget: int, data: Path, path: Path, **options: Any) -> Run:
    """A run that is stopped after so many iterations."""
    return train(data, run=path, callbacks=StopAfter(budget), **{**SMALL, "epochs": 8, **options})


# --- the bits of what it stands for -----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("momentum", marks=pytest.mark.slow)])
def test_a_schedule_has_the_bits_of_a_run_that_was_resumed_with_each_size(
    optimizer: str, little_data: Path, tmp_path: Path
) -> None:
    planned = train(
        little_data, run=tmp_path / "planned", batch_size=SCHEDULE, epochs=8, optimizer=optimizer, lr=0.05, **SMALL
    )
    begun = until(36, little_data, tmp_path / "changed", batch_size=2, optimizer=optimizer, lr=0.05)
    resume(begun.path, batch_size=4, callbacks=StopAfter(9))
    changed = resume(begun.path, batch_size=8)

    assert planned.file.changes == ()
    assert [change.iteration for change in changed.file.changes] == [36, 45]
    assert planned.weights_sha256 == changed.weights_sha256
    assert planned.history.losses.tobytes() == changed.history.losses.tobytes()
    assert [row.audit_hash for row in planned.history.epochs] == [row.audit_hash for row in changed.history.epochs]
    assert list(planned.file.stretches(99)) == list(changed.file.stretches(99))

    other = train(little_data, run=tmp_path / "o", batch_size="2,4@2ep,8@45it", epochs=8, optimizer=optimizer, **SMALL)
    assert other.weights_sha256 != planned.weights_sha256, "control: another schedule"


@pytest.mark.parametrize("last", ["keep", "drop"])
@pytest.mark.parametrize("budget", ["8ep", "61it", "150sa"])
def test_what_was_planned_is_what_was_counted(last: str, budget: str, little_data: Path, tmp_path: Path) -> None:
    run = train(little_data, run=tmp_path / "run", batch_size="3,8@2ep,5@20it", budget=budget, last=last, **SMALL)
    plan, rows = run.plan, run.history.epochs
    assert (run.history.iterations, run.position) == (plan.iterations, plan.end)
    assert sum(row.samples for row in rows) == plan.samples_used
    assert all(row.is_exact for row in rows)
    assert all(fact.agrees for fact in run.record.facts())
    assert run.record.to_dict()["plan"]["batch_size"] == "3,8@2ep,5@20it"


def test_a_schedule_is_repeated_with_the_same_bits(little_data: Path, tmp_path: Path) -> None:
    run = until(40, little_data, tmp_path / "run", batch_size=SCHEDULE)
    resume(run.path)
    assert rerun(run.path, tmp_path / "again").is_same


def test_a_run_may_change_to_a_schedule_which_holds_from_there(little_data: Path, tmp_path: Path) -> None:
    """Lengths are the run's: at iteration 20, in epoch 1, iteration 15 is past, and epoch 3 is to come."""
    run = until(20, little_data, tmp_path / "run", batch_size=2)
    changed = resume(run.path, batch_size="1,4@15it,8@3ep")
    assert [change.options for change in changed.file.changes] == [{"batch_size": "1,4@15it,8@3ep"}]
    sizes = [(stretch.start.iteration, stretch.batches.size) for stretch in changed.file.stretches(99)]
    assert sizes == [(0, 2), (20, 4), (28, 8)]
    assert all(row.is_exact for row in changed.history.epochs)
    assert rerun(run.path, tmp_path / "again").is_same


def test_a_change_replaces_the_rest_of_a_schedule(little_data: Path, tmp_path: Path) -> None:
    run = until(40, little_data, tmp_path / "run", batch_size=SCHEDULE)
    changed = resume(run.path, batch_size=23)
    assert [stretch.batches.size for stretch in changed.file.stretches(99)] == [2, 4, 23]
    assert changed.file.position_after(41) == Position(41, 4, 0)


def test_a_larger_budget_lets_later_phases_begin(little_data: Path, tmp_path: Path) -> None:
    short = train(little_data, run=tmp_path / "run", batch_size=SCHEDULE, epochs=3, **SMALL)
    whole = train(little_data, run=tmp_path / "whole", batch_size=SCHEDULE, epochs=8, **SMALL)
    assert resume(short.path, epochs=8).weights_sha256 == whole.weights_sha256


# --- compiled once, uploaded once -------------------------------------------------------------------------------------


def test_every_size_is_compiled_before_the_first_batch(
    little_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[int] = []
    whole = Programs.get

    def get(self: Programs, key: Any, *args: Any, **more: Any) -> Any:
        if hasattr(key, "batch_size"):
            compiled.append(key.batch_size)
        return whole(self, key, *args, **more)

    monkeypatch.setattr(Programs, "get", get)
    seen: list[list[int]] = []

    class First(Callback):
        def on_start(self, start: Start) -> None:
            seen.append(list(compiled))

    train(little_data, run=tmp_path / "run", batch_size=SCHEDULE, epochs=8, callbacks=First(), **SMALL)
    assert seen == [[2, 4, 8]]
    assert sorted(set(compiled)) == [1, 2, 3, 4, 7, 8], "the last batches of epochs are compiled as they come"
    assert len(compiled) == len(set(compiled))


@pytest.mark.parametrize("by_plan", [True, False])
def test_data_are_copied_to_the_device_once(
    by_plan: bool, little_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[int] = []
    whole = placement.put_on_device

    def put(split: Any, data: Any) -> Any:
        copied.append(len(split))
        return whole(split, data)

    monkeypatch.setattr(placement, "put_on_device", put)
    if by_plan:
        train(little_data, run=tmp_path / "run", batch_size=SCHEDULE, epochs=8, **SMALL)
    else:
        run = until(20, little_data, tmp_path / "run", batch_size=2)
        copied.clear()
        resume(run.path, batch_size=8)
    assert sorted(copied) == [11, SAMPLES]


def test_a_later_size_that_cannot_be_cut_is_refused_before_anything_is_written(
    little_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="a batch of 9 cannot be cut into 2 equal shards"):
        train(little_data, run=tmp_path / "run", batch_size="8,9@1ep", shards=2, **SMALL)
    assert not (tmp_path / "run").exists()


# --- what depends on a batch size -------------------------------------------------------------------------------------


def test_the_learning_rate_is_that_of_the_first_size_and_stays(little_data: Path, tmp_path: Path) -> None:
    grown = train(little_data, run=tmp_path / "grown", batch_size="4,16@1ep", epochs=2, **SMALL)
    plain = train(little_data, run=tmp_path / "plain", batch_size=4, epochs=1, **SMALL)
    assert grown.config.lr == plain.config.lr
    assert grown.config.batch_size == "4,16@1ep"
    np.testing.assert_array_equal(grown.history.losses[:6], plain.history.losses)


def test_patience_in_epochs_is_counted_through_the_phases() -> None:
    plan = Plan(100, "10,50@2ep", epochs=9)
    assert [updates_in(Span.epochs(2), plan, since) for since in (0, 10, 20, 22)] == [20, 12, 4, 4]
    assert updates_in(Span.samples(150), plan, 10) == 11
    assert updates_in(Span.iterations(7), plan, 10) == 7


def test_a_size_that_no_rest_of_an_epoch_holds_ends_it(little_data: Path, tmp_path: Path) -> None:
    run = train(little_data, run=tmp_path / "run", batch_size="4,20@2it", iterations=4, last="drop", **SMALL)
    assert [(row.iterations, row.samples) for row in run.history.epochs] == [(2, 8), (1, 20), (1, 20)]
    assert all(row.is_exact for row in run.history.epochs)


def test_a_run_that_stands_where_no_batch_fits_refuses_a_schedule_too(little_data: Path, tmp_path: Path) -> None:
    run = until(5, little_data, tmp_path / "run", batch_size=4, last="drop", epochs=3)
    run = resume(run.path, batch_size=2, callbacks=StopAfter(2))
    with pytest.raises(PlanError, match="which hold no batch of 20"):
        resume(run.path, batch_size="3,20@1it")


def test_stretches_go_through_phases_and_changes(little_data: Path, tmp_path: Path) -> None:
    run = until(40, little_data, tmp_path / "run", batch_size=SCHEDULE)
    file = resume(run.path, lr=0.01).file
    assert [(one.start, one.end) for one in file.stretches(60)] == [
        (Position(), 36), (Position(36, 3, 0), 40), (Position(40, 3, 16), 45), (Position(45, 4, 12), 60),
    ]  # fmt: skip
    assert all(isinstance(one, Stretch) for one in file.stretches(60))
