"""`epochal compare`, end to end on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from epochal.cli.arguments import _groups
from epochal.cli.compare import CompareCommand
from epochal.cli.main import main
from epochal.config.study_config import VARIED
from epochal.config.train_config import TRAIN
from epochal.study import Study

QUICK = ("digits", "--model", "linear", "--batch-size", "100,all", "--epochs", "2")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["compare", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_it_trains_each_and_ends_with_tables_of_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, *QUICK, "--target-accuracy", "0.5", "--landscape", "--grid", "3")
    assert status == 0
    assert all(len(line) <= 80 for line in out.splitlines() if "epochal" not in line)
    for words in ("2 runs of 2 epochs each", "MBGD", "BGD", "1,437", "same initial weights, same order of samples"):
        assert words in out
    assert "landscape (pca): 3 × 3 losses over all 1,437 training samples" in out
    study = Study.open("runs/compare-digits-1")
    assert study.is_finished
    assert list(study.landscape_files) == ["pca"]


def test_it_prints_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, *QUICK, "--json", "--run", "study")
    described = json.loads(out)
    assert [row["updates"] for row in described["runs"]] == [30, 2]
    assert described["finished"] is True
    _, again, _ = run(capsys, "--json", "--run", "study")
    assert json.loads(again) == described
    assert main(["show", "study", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == described
    assert main(["show", "study"]) == 0
    assert "batch-100" in capsys.readouterr().out


def test_resume_finishes_a_study_and_extends_it(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *QUICK, "--run", "study")
    assert main(["resume", "study", "--epochs", "3"]) == 0
    assert "2 runs of 3 epochs each" in capsys.readouterr().out
    assert [run.position.epoch for run in Study.open("study").runs.values()] == [3, 3]
    assert main(["resume", "study", "--lr", "0.3"]) == 2
    assert "unknown budget 'lr'" in capsys.readouterr().err


def test_a_first_interrupt_stops_it_after_the_iterations_in_hand() -> None:
    start = "import sys; from epochal.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "compare", *QUICK[:3], "--batch-size", "1,all", "--seconds", "600"]
    with subprocess.Popen([*command, "--run", "s"], stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not Path("s/batch-1/checkpoints").is_dir():
            time.sleep(0.02)  # the first checkpoint is written while it trains
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "batch-1 is stopped at iteration" in out
    assert "epochal compare --run s" in out
    assert not Study.open("s").is_finished


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nothing",), "unknown data set 'nothing'"),
        (("digits", "--batch-size", "1,x"), "--batch-size must be a whole number, got 'x'"),
        (("digits", "--batch-size", "1,2000"), "batch size 2000 is above the 1437 training samples"),
        (("digits", "--lr", "0.1,0.2"), "2 learning rates for 3 batch sizes"),
        (("digits", "--lr", "fast"), "--lr must be a finite number above 0, got 'fast'"),
        (("digits", "--lr", "0.1", "--tune-lr"), "not both"),
        (("digits", "--seconds", "2", "--epochs", "3"), "give one budget"),
        (("digits", "--target-accuracy", "95"), "0.95 for 95 %"),
        (("digits", "--optimizer", "sgd,adm"), "unknown optimizer 'adm': did you mean 'adam'"),
        (("--run", "nowhere", "--landscape"), "there is no study at nowhere; to begin one there, name its data"),
        (("digits", "--grid", "1", "--landscape"), "grid must be at least 2"),
        (("digits", "--grid", "5", "--no-landscape"), "are for a landscape; leave out --no-landscape"),
        (("digits", "--landscape", "--no-landscape"), "give --landscape or --no-landscape, not both"),
        (("digits", "--batchsize", "3"), "unknown option '--batchsize': did you mean '--batch-size'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert not Path("runs").exists()


def test_every_option_of_a_training_can_be_given_or_is_varied() -> None:
    """Snapshots are the one exception: a comparison keeps them always."""
    options = {name for group in _groups(CompareCommand).values() for name in group}
    assert set(TRAIN) - options == {*VARIED.values(), "snapshots"}
    assert set(VARIED) <= options
