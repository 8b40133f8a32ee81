"""Runs of a study side by side: each is the run that it would be alone, and only its seconds tell."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from epochal.cli import main
from epochal.errors import OptionError, PlanError
from epochal.models import from_functions
from epochal.run import rerun, train
from epochal.run.callbacks import Callback, ChunkEnd
from epochal.study import Study, StudyCallback, compare
from epochal.study.folds import cross_validate
from epochal.study.runner import RunStart
from small import Log, small_study, three_clouds


def hashes(study: Study) -> dict[str, str]:
    return {name: run.weights_sha256 for name, run in study.runs.items()}


def at_once_of(study: Study) -> set[int]:
    return {row.at_once for row in study.compared_runs()}


def test_each_run_is_the_training_of_its_seed(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s", repeat=4, epochs=3, lrs=0.1, at_once=2)
    in_turn = small_study(tmp_path / "t", repeat=4, epochs=3, lrs=0.1, at_once=1)
    assert list(study.runs) == [f"batch-10-seed-{seed}" for seed in range(4)]
    assert hashes(study) == hashes(in_turn)
    assert (at_once_of(study), at_once_of(in_turn)) == ({2}, {1})

    alone = train(three_clouds(), batch_size=10, lr=0.1, epochs=3, hidden=(5,), seed=3, run=tmp_path / "alone")
    assert study.runs["batch-10-seed-3"].weights_sha256 == alone.weights_sha256
    again = rerun(study.path / "batch-10-seed-2", tmp_path / "again", data=three_clouds())
    assert again.is_same, "a run like any other"


def test_batch_sizes_are_trained_one_after_the_other(tmp_path: Path) -> None:
    """Their seconds are what a comparison compares; only what differs in seed or rate shares the processors."""
    assert at_once_of(small_study(tmp_path / "s", batch_sizes=[1, 7, "all"])) == {1}
    assert at_once_of(small_study(tmp_path / "t", lrs=[0.1, 0.2, 0.3], at_once=3)) == {3}


def test_a_run_that_diverges_is_alone_in_that(tmp_path: Path) -> None:
    log = Log()
    study = small_study(tmp_path / "s", lrs=[0.1, 1e30, 0.2], epochs=3, at_once=3, callback=log)
    assert [run.status for run in study.runs.values()] == ["finished", "diverged", "finished"]
    assert study.is_finished
    assert len(log.warnings) == 1
    others = small_study(tmp_path / "t", lrs=[0.1, 0.2], epochs=3)
    assert study.runs["batch-10-lr-0.2"].weights_sha256 == hashes(others)["batch-10-lr-0.2"]


def test_a_stop_ends_all_that_run_and_the_same_call_goes_on(tmp_path: Path) -> None:
    options: dict[str, Any] = {"repeat": 5, "epochs": 40}
    whole = small_study(tmp_path / "whole", **options, at_once=1)
    log = Log(lambda name, what: isinstance(what, ChunkEnd) and what.position.iteration > 60)
    study = small_study(tmp_path / "s", **options, at_once=3, callback=log, should_stop=log.is_stopped)
    assert {run.status for run in study.runs.values()} == {"stopped"}
    assert 1 <= len(study.runs) <= 3
    assert hashes(small_study(tmp_path / "s", **options, at_once=2)) == hashes(whole)


def test_an_error_in_a_callback_stops_the_others_and_is_raised(tmp_path: Path) -> None:
    def fail(name: str, what: object) -> bool:
        if name == "batch-10-seed-1":
            raise ZeroDivisionError
        return False

    with pytest.raises(ZeroDivisionError):
        small_study(tmp_path / "s", repeat=3, epochs=3, at_once=3, callback=Log(fail))
    study = small_study(tmp_path / "s", repeat=3, epochs=3, at_once=3)
    assert hashes(study) == hashes(small_study(tmp_path / "t", repeat=3, epochs=3, at_once=1))


@pytest.mark.slow
def test_a_killed_study_is_finished_by_the_same_command(tmp_path: Path) -> None:
    words = ["compare", "digits", "--batch-size", "1", "--repeat", "4", "--epochs", "8", "--at-once", "2",
             "--no-landscape", "--json", "--run"]  # fmt: skip
    begin = subprocess.Popen([sys.executable, "-m", "epochal", *words, str(tmp_path / "s")], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(tmp_path.glob("s/*/history.db")) and time.monotonic() < until:
        time.sleep(0.02)
    begin.send_signal(signal.SIGKILL)
    begin.wait(60)

    assert main([*words, str(tmp_path / "s")]) == 0
    assert main([*words, str(tmp_path / "t")]) == 0
    killed, whole = (Study.open(tmp_path / name) for name in "st")
    assert hashes(killed) == hashes(whole)
    assert killed.is_finished


class Overlap(StudyCallback):
    """Notes whether its callbacks are ever called while another one is; each call leaves others the time to try."""

    def __init__(self) -> None:
        self.inside = threading.Lock()
        self.overlaps = self.calls = 0
        self.threads: set[int] = set()

    @contextmanager
    def follow(self, run: RunStart) -> Iterator[Sequence[Callback]]:
        with self.alone():
            pass
        yield (_Slow(self),)
        with self.alone():
            pass

    @contextmanager
    def alone(self) -> Iterator[None]:
        is_first = self.inside.acquire(blocking=False)
        self.overlaps += not is_first
        self.calls += 1
        self.threads.add(threading.get_ident())
        time.sleep(0.002)
        yield
        if is_first:
            self.inside.release()


class _Slow(Callback):
    def __init__(self, told: Overlap) -> None:
        self.told = told

    def on_chunk(self, chunk: ChunkEnd) -> None:
        with self.told.alone():
            pass


def test_callbacks_are_called_one_at_a_time(tmp_path: Path) -> None:
    overlap = Overlap()
    small_study(tmp_path / "s", repeat=6, epochs=5, at_once=3, callback=overlap)
    assert overlap.calls >= 6 * 7
    assert (overlap.overlaps, len(overlap.threads)) == (0, 3)


def test_rates_are_tried_side_by_side_with_the_same_result(tmp_path: Path) -> None:
    studies = [small_study(tmp_path / str(n), tune_lr=True, epochs=3, at_once=n) for n in (1, 3)]
    assert studies[0].tuned == studies[1].tuned
    assert hashes(studies[0]) == hashes(studies[1])


def test_folds_are_trained_side_by_side_with_the_same_weights(workplace: Path) -> None:
    runs = [cross_validate("digits", 3, epochs=2, run=f"folds-{n}", at_once=n).runs for n in (1, 3)]
    one, other = ([(run.path.name, run.weights_sha256) for run in those] for those in runs)
    assert one == other
    assert len({sha for _, sha in one}) == 3


def test_what_would_not_be_the_same_at_once_is_refused(tmp_path: Path) -> None:
    model = from_functions(lambda key: {"w": __import__("jax").numpy.zeros((4, 3))}, lambda params, x: x @ params["w"])
    for options, words in (
        ({"seconds": 0.1, "epochs": None, "repeat": 2}, "would share the seconds"),
        ({"models": model, "hidden": None, "repeat": 2}, "of your own may hold values"),
        ({"repeat": 2, "seeds": [3, 4]}, "not both"),
    ):
        with pytest.raises(OptionError, match=words):
            small_study(tmp_path / "s", at_once=2, **options)
    with pytest.raises(PlanError, match="repeat must be at least 1"):
        small_study(tmp_path / "s", repeat=0)
    assert not (tmp_path / "s").exists()
    with pytest.raises(OptionError, match="share the seconds"):
        cross_validate("digits", 2, budget="0.1s", run=tmp_path / "f", at_once=2)


def test_repeat_counts_from_the_seed(tmp_path: Path) -> None:
    study = compare(three_clouds(), batch_sizes=[10], epochs=1, repeat=3, seeds=7, run=tmp_path / "s")
    assert study.config.seeds == (7, 8, 9)
    assert small_study(tmp_path / "t", repeat=1).config.seeds == (0,)


def test_the_command_line_says_what_is_side_by_side(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "compare digits --batch-size 100 --repeat 3 --epochs 2 --no-landscape --run s --at-once 2"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert "2 side by side  mlp: MBGD" in said
    lines = [line for line in said.splitlines() if "of 3  batch-100-seed-" in line]
    assert len(lines) == 3
    assert all("epoch 2/2" in line for line in lines)
    assert "seconds of 2 trainings at once" in said
