"""Several processes train as one: the same bits, one run folder, and one end."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

import epochal
from epochal.run.run import Run
from several import several

TRAINING = {"batch_size": 128, "shards": 4, "epochs": 2, "seed": 3}
WORDS = ("train", "digits", "--batch-size", 128, "--shards", 4, "--seed", 3)
LONG = (*WORDS, "--epochs", 100_000, "--checkpoint-every", 0.1, "--evaluate-every", 1000)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The training by one process."""
    return epochal.train("digits", run=tmp_path_factory.mktemp("alone") / "run", **TRAINING)


def stopped(tmp_path: Path, run: Path, rank: int, number: signal.Signals) -> Any:
    """Start a long training by two processes, send one of them a signal once there is a checkpoint; how they ended."""
    with several((*LONG, "--run", run), tmp_path / "output") as processes:
        processes.wait_for(run / "checkpoints")
        processes.running[rank].send_signal(number)
        return processes.wait()


def test_two_processes_have_the_bits_and_figures_of_one_and_the_first_one_alone_writes(
    tmp_path: Path, alone: Run
) -> None:
    with several((*WORDS, "--epochs", 2, "--run", tmp_path / "run", "--json"), tmp_path / "output") as processes:
        first, second = processes.wait()

    assert (first.status, second.status, second.output, second.errors) == (0, 0, "", ""), first.errors
    shown = json.loads(first.output)
    assert shown["weights_sha256"] == alone.weights_sha256
    epochs = alone.record.to_dict()["epochs"]
    for row, expected in zip(shown["epochs"], epochs, strict=True):
        assert {**row, "seconds": 0} == {**expected, "seconds": 0}
    run = Run.open(tmp_path / "run")
    assert run.file.device.count == 2
    assert [sum(event.detail["hosts"].values()) for event in run.history.events if event.kind == "started"] == [2]
    assert epochal.rerun(run.path, tmp_path / "again").is_same


@pytest.mark.slow  # tests/faults has a quick one
def test_a_signal_to_one_stops_all_at_one_iteration_and_another_number_goes_on_with_the_same_bits(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    ended = stopped(tmp_path, run, rank=1, number=signal.SIGTERM)
    assert [one.status for one in ended] == [143, 143], ended[0].errors

    record = Run.open(run).record
    assert (record.status, record.position.iteration) == ("stopped", record.history.iterations)
    resumed = epochal.resume(run, iterations=record.position.iteration + 20)
    whole = epochal.train("digits", run=False, **{**TRAINING, "epochs": None, "iterations": resumed.position.iteration})
    assert resumed.weights_sha256 == whole.weights_sha256


@pytest.mark.slow  # tests/faults has a quick one
def test_who_loses_another_says_which_and_leaves_a_run_to_go_on_with(tmp_path: Path) -> None:
    run = tmp_path / "run"
    first, second = stopped(tmp_path, run, rank=1, number=signal.SIGKILL)
    assert (first.status, second.status) == (75, -signal.SIGKILL)
    assert first.errors.startswith("epochal: process 1 on ")
    assert first.errors.count("\n") == 1
    assert Run.open(run).position.iteration > 0


def test_processes_that_differ_are_refused_in_one_line_before_anything_is_written(tmp_path: Path) -> None:
    words = (*WORDS, "--run", tmp_path / "run")
    with several(words, tmp_path / "output", own_words={1: (*words, "--lr", 0.5)}) as processes:
        ended = processes.wait()
    assert [one.status for one in ended] == [2, 2]
    assert ended[0].errors.count("\n") == 1
    assert "lr is 0.4 in process 0 and 0.5 in process 1" in ended[0].errors
    assert not (tmp_path / "run").exists()


def test_a_first_process_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with several(
        WORDS, tmp_path / "output", own={1: {"EPOCHAL_JOIN_TIMEOUT": "1"}}, own_words={0: ("--version",)}
    ) as processes:
        _, second = processes.wait()
    assert second.status == 2
    assert second.errors.startswith("epochal: process 0 does not answer at 127.0.0.1:")
    assert second.errors.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "cnn", "rnn"])
def test_bits_and_figures_do_not_depend_on_processes_and_devices(tmp_path: Path, model: str) -> None:
    """With several slices to evaluate; a sum by the library would give others (test_placement)."""
    words = ("train", "digits-60k", "-m", model, "-b", 200, "--shards", 4, "--iterations", 40, "--seed", 3, "--json")
    found = {}
    for count, devices in [(1, 1), (1, 2), (2, 1), (4, 1), (2, 2)]:
        folder = tmp_path / f"{count}x{devices}"
        with several((*words, "--run", folder / "run"), folder, count, devices=devices) as processes:
            ended = processes.wait(600)
        assert [one.status for one in ended] == [0] * count, ended[0].errors
        shown = json.loads(ended[0].output)
        found[count, devices] = (shown["weights_sha256"], [{**row, "seconds": 0} for row in shown["epochs"]])
    assert all(one == found[1, 1] for one in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_whoever_is_lost_the_other_leaves_in_time(tmp_path: Path, rank: int, number: signal.Signals) -> None:
    run = tmp_path / "run"
    with several((*LONG, "--run", run), tmp_path / "output") as processes:
        processes.wait_for(run / "checkpoints")
        processes.running[rank].send_signal(number)
        assert processes.running[1 - rank].wait(10 + 5) == 75


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_a_run_is_repeated_by_any_number_of_processes(tmp_path: Path, count: int) -> None:
    """Of one that was stopped by time and changed, so that its file says what was not planned."""
    original = epochal.train("digits", run=tmp_path / "run", **{**TRAINING, "epochs": None, "budget": "200ms"})
    original = epochal.resume(original.path, lr=0.05, iterations=original.position.iteration + 9)

    words = ("rerun", original.path, "--run", tmp_path / "again", "--json")
    with several(words, tmp_path / "output", count) as processes:
        first, *others = processes.wait()
    assert [(one.status, one.output) for one in others] == [(0, "")] * (count - 1)
    shown = json.loads(first.output)
    assert (first.status, shown["same_bits"], shown["repeated"]) == (0, True, original.weights_sha256)
    assert Run.open(tmp_path / "again").file.changes == original.file.changes


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1, 3])
def test_a_signal_to_one_of_four_stops_a_resumed_run_too(tmp_path: Path, rank: int) -> None:
    run = epochal.train("digits", run=tmp_path / "run", **{**TRAINING, "iterations": 1, "epochs": None})
    words = ("resume", run.path, "--epochs", 100_000, "--checkpoint-every", 0.1, "--evaluate-every", 1000)
    with several(words, tmp_path / "output", 4) as processes:
        processes.wait_until(lambda: Run.open(run.path).position.iteration > 1)
        processes.running[rank].send_signal(signal.SIGTERM)
        ended = processes.wait()
    assert [one.status for one in ended] == [143] * 4, ended[0].errors
    record = Run.open(run.path).record
    assert (record.status, record.position.iteration) == ("stopped", record.history.iterations)


@pytest.mark.slow
def test_a_loss_that_diverges_ends_all(tmp_path: Path) -> None:
    words = (*WORDS, "--epochs", 20, "--lr", 1e9, "--run", tmp_path / "run")
    with several(words, tmp_path / "output") as processes:
        ended = processes.wait()
    assert [one.status for one in ended] == [2, 2]
    assert ended[0].errors.startswith("epochal: the loss is nan at iteration ")
