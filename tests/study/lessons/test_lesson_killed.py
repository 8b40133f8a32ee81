"""A lesson that is killed again and again ends with the numbers of one that nobody killed."""

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

LESSON = [sys.executable, "-m", "epochal", "lesson", "growth", "--quick", "--seeds", "2", "--json"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of POSIX"),
]


def given(path: Path) -> Any:
    done = subprocess.run([*LESSON, "--run", str(path)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    del found["seconds"]
    return found


def kept(path: Path) -> int:
    file = path / "lesson.json"
    return len(json.loads(file.read_text("utf-8"))["done"]) if file.exists() else 0


def test_a_lesson_that_is_killed_again_and_again_ends_with_the_same_numbers(tmp_path: Path) -> None:
    path, kills = tmp_path / "killed", 0
    while kept(path) < 6:
        before = kept(path)
        process = subprocess.Popen([*LESSON, "--run", str(path)], stdout=subprocess.DEVNULL)
        while process.poll() is None and kept(path) < before + 1:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        assert kills < 20
    assert kills >= 2
    assert given(path) == given(tmp_path / "whole")
