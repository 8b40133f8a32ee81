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

COMMAND = [
    sys.executable, "-m", "epochal", "batch-size", "digits", "--target-accuracy", "0.9", "--batch-size", "16,64,256",
    "--seeds", "2", "--json",
]  # fmt: skip


def run(path: Path) -> Any:
    done = subprocess.run([*COMMAND, "--run", str(path)], capture_output=True, text=True, check=True)
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


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX")
def test_killed_again_and_again_it_ends_with_the_same_table(tmp_path: Path) -> None:
    whole, path = run(tmp_path / "whole"), tmp_path / "killed"
    file, seen = path / "batch-size.toml", 0
    for _ in range(40):
        process = subprocess.Popen([*COMMAND, "--run", str(path)], stdout=subprocess.DEVNULL)
        # until two more trials are recorded; then at once
        while process.poll() is None and _trials(file) < seen + 2:
            time.sleep(0.01)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        seen = _trials(file)
    assert seen > 4
    assert run(path) == whole


def _trials(file: Path) -> int:
    return file.read_text("utf-8").count("[[trials]]") if file.exists() else 0
