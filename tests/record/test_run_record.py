"""`RunRecord`: how a run stands, from its folder alone and without JAX."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from epochal import Run, resume, train
from epochal.clock import Position
from epochal.errors import RunError
from epochal.lock import locked
from epochal.record.checkpoint_file import checkpoint_files
from epochal.record.run_record import Reached, RunRecord
from epochal.record.run_toml import Change
from little import StopAfter

WITHOUT_JAX = """
import sys
from pathlib import Path
from epochal.cli import main
assert main(sys.argv[1:]) == 0
print(sorted({"jax", "optax", "epochal.engine", "epochal.run.run"} & set(sys.modules)))
"""


@pytest.mark.parametrize("command", [["runs", "."], ["show", "run"], ["show", "run", "--json"], ["show", "study"]])
def test_lists_and_descriptions_load_no_jax(
    command: list[str], run: Run, copy_without: object, finished: Run, workplace: Path
) -> None:
    shutil.copytree(run.path, workplace / "run")
    shutil.copytree(finished.path, workplace / "study")
    answer = subprocess.run([sys.executable, "-c", WITHOUT_JAX, *command], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"


def test_a_run_at_its_end(run: Run) -> None:
    record = RunRecord.read(run.path)
    assert record.status == "finished"
    assert record.is_over
    assert record.position == record.recorded == Position(18, 3, 0)
    assert record.training_seconds == pytest.approx(sum(row.seconds for row in record.history.epochs))
    assert 0 < record.training_seconds < record.seconds
    facts = {fact.name: (fact.planned, fact.counted) for fact in record.facts()}
    assert facts == {
        "batches_per_epoch": (6, 6),
        "samples_per_epoch": (23, 23),
        "full_epochs": (3, 3),
        "updates": (18, 18),
        "samples_used": (69, 69),
        "exact_epochs": (3, 3),
    }


def test_what_show_prints_as_json(run: Run) -> None:
    described = RunRecord.read(run.path).to_dict()
    promised = {"status", "plan", "position", "epochs", "weights_sha256", "seconds", "iterations_per_second"}
    assert promised <= described.keys()
    assert described["position"] == {"iteration": 18, "epoch": 3, "offset": 0}
    for row in described["epochs"]:
        assert {"train_loss", "test_loss", "test_accuracy", "seconds", "samples", "audit"} <= row.keys()
        assert row["audit"]["exact"] is True
    assert described["weights_sha256"] == run.weights_sha256


def test_weights_may_be_older_than_the_history(run: Run) -> None:
    """As after a kill between the history's commit and the checkpoint."""
    for path in checkpoint_files(run.folder.checkpoints)[:1]:
        path.unlink()
    record = RunRecord.read(run.path)
    assert record.position.iteration < record.recorded.iteration == 18


def test_the_recorded_position_goes_through_every_change(run: Run) -> None:
    file = dataclasses.replace(run.file, changes=(Change(8, {"batch_size": 23}), Change(10, {"batch_size": 5})))
    positions = [file.position_after(iterations) for iterations in (6, 8, 9, 10, 11, 15)]
    assert positions == [
        Position(6, 1, 0), Position(8, 1, 8), Position(9, 2, 0),
        Position(10, 3, 0), Position(11, 3, 5), Position(15, 4, 0),
    ]  # fmt: skip


def test_a_run_that_is_worked_on_and_one_whose_process_was_lost(little_data: Path, quick_path: Path) -> None:
    path = quick_path / "run"
    train(little_data, run=path, model="linear", batch_size=4, epochs=3, callbacks=StopAfter(7))
    assert RunRecord.read(path).status == "stopped"
    with locked(path / "run.lock"):
        seen: list[str] = []
    resume(path, listener=lambda what: seen.append(RunRecord.read(path).status))
    assert set(seen) == {"running"}
    assert RunRecord.read(path).status == "finished"


def test_a_run_that_was_lost_before_it_began(run: Run) -> None:
    shutil.rmtree(run.folder.checkpoints)
    run.folder.history_db.unlink()
    record = RunRecord.read(run.path)
    assert (record.status, record.history.iterations, record.position) == ("new", 0, Position())
    assert not record.is_over
    with pytest.raises(RunError, match=r"was stopped before its training began; start it: epochal resume"):
        record.checkpoint()


def test_where_a_target_was_reached(run: Run) -> None:
    record = RunRecord.read(run.path)
    accuracies = [row.test_accuracy or 0 for row in record.history.epochs]
    best = max(accuracies)
    first = accuracies.index(best)
    reached = record.reached(best)
    assert isinstance(reached, Reached)
    assert (reached.updates, reached.epochs) == (6 * (first + 1), first + 1)
    assert reached.seconds == pytest.approx(sum(row.seconds for row in record.history.epochs[: first + 1]))
    assert record.reached(1.01) is None
    assert record.reached(0.0, "f1") is None, "which was not measured"


def test_without_losses_it_counts_them_all_the_same(run: Run) -> None:
    record = RunRecord.read(run.path, losses=False)
    assert record.history.losses.size == 0
    assert record.history.iterations == 18
    assert record.status == "finished"
