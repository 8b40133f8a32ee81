"""A study of batch sizes that is killed at any moment ends with the same table, byte for byte but for seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

EPOCHAL = [sys.executable, "-m", "epochal"]
COMMAND = [*EPOCHAL, "batch-size", "--json"]
MEASURED = ["digits", "--target-accuracy", "0.9", "--batch-size", "16,64,256", "--seeds", "2"]
QUICK = ["digits", "--target-accuracy", "0.9", "--batch-size", "16,64,256", "--quick"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX"),
]


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return what asks from a run's checkpoint on."""
    run = tmp_path_factory.mktemp("run") / "begun"
    words = ["train", "digits", "--optimizer", "sgd", "--batch-size", "64", "--lr", "0.1", "--iterations", "40"]
    subprocess.run([*EPOCHAL, *words, "--run", str(run)], check=True, capture_output=True)
    return ["--from", str(run), "--batch-size", "16,64,256", "--seeds", "2"]


def asked(words: list[str], path: Path) -> Any:
    done = subprocess.run([*COMMAND, *words, "--run", str(path)], capture_output=True, text=True, check=True)
    return without_seconds(json.loads(done.stdout), path)


def without_seconds(study: Any, path: Path) -> str:
    """What a study printed, but for seconds, what follows from them, and its folder."""
    for name in ("best", "range", "next", "study_folder"):
        study.pop(name)
    for row in study["rows"]:
        for name in ("microseconds", "seconds", "times_as_long"):
            row.pop(name)
    text = json.dumps(study)
    assert str(path) not in text
    return text


def killed(words: list[str], path: Path, each: int = 1) -> int:
    """Kill the study, each time that so many new things are recorded; return how often."""
    file = path / "batch-size.toml"
    for kills in range(40):
        before = done(file)
        process = subprocess.Popen([*COMMAND, *words, "--run", str(path)], stdout=subprocess.DEVNULL)
        while process.poll() is None and done(file) < before + each:
            time.sleep(0.005)
        if process.poll() is not None:
            return kills
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    raise AssertionError("it gets no further")


def done(file: Path) -> int:
    """How much a study has recorded."""
    text = file.read_text("utf-8") if file.exists() else ""
    return text.count("[[trials]]") + text.count("[pilot]") + text.count("[microseconds]")


def test_killed_again_and_again_it_ends_with_the_same_table(tmp_path: Path) -> None:
    whole = asked(MEASURED, tmp_path / "whole")
    assert killed(MEASURED, tmp_path / "killed", each=2) > 4
    assert asked(MEASURED, tmp_path / "killed") == whole


def test_a_prediction_that_is_killed_ends_with_the_same_table(tmp_path: Path) -> None:
    whole = asked(QUICK, tmp_path / "whole")
    assert json.loads(whole)["is_predicted"]
    assert killed(QUICK, tmp_path / "killed") >= 2
    assert asked(QUICK, tmp_path / "killed") == whole


def test_a_branched_study_that_is_killed_ends_with_the_same_table(branch: list[str], tmp_path: Path) -> None:
    whole = asked(branch, tmp_path / "whole")
    assert json.loads(whole)["branched_from"] == [branch[1], 40]
    assert killed(branch, tmp_path / "killed", each=2) >= 2
    assert asked(branch, tmp_path / "killed") == whole
