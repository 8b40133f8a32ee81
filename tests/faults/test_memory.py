"""Out of memory: the kernel kills the process in a control group of memory, and a resume ends with the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from children import ChildServer
from outcome import Outcome

from epochal import Run

TRAIN = "--model mlp --hidden 32 --batch-size 17 --epochs 200 --checkpoint-every 0 --run"
LIMIT = 1500 << 20  # a training of this size takes a third of it


@contextmanager
def limited(size: int) -> Iterator[Path]:
    """Make a control group of so many bytes below this process's own; the test is skipped where that is not allowed."""
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    places = [
        (Path(f"/sys/fs/cgroup/memory{path}"), "memory.limit_in_bytes") for _, kind, path in own if kind == "memory"
    ]
    places += [(Path(f"/sys/fs/cgroup{path}"), "memory.max") for _, kind, path in own if not kind]
    for parent, limit in places:
        group = parent / f"epochal-faults-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(size))
        except OSError:
            continue
        try:
            yield group
        finally:
            _remove(group)
        return
    pytest.skip("needs control groups of memory, as root")


def _remove(group: Path) -> None:
    for _ in range(100):
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.05)  # its last process is still ending
        else:
            return


@pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="needs Linux's control groups")
@pytest.mark.slow
def test_a_process_that_the_kernel_kills_for_memory(children: ChildServer, images: Path, tmp_path: Path) -> None:
    assert children.run("train", images, *TRAIN.split(), tmp_path / "whole")[0] == 0
    with limited(LIMIT) as group:
        child = children.start("train", images, *TRAIN.split(), tmp_path / "run", sabotage="memory_is_eaten")
        (group / "cgroup.procs").write_text(str(child.process))
        assert child.wait() == -signal.SIGKILL
        assert kills_of(group) >= 1, "somebody else killed it"
    assert Run.open(tmp_path / "run").status == "interrupted"
    status, text = children.run("resume", tmp_path / "run")
    assert status == 0, text
    assert Outcome.of(tmp_path / "run").differences(Outcome.of(tmp_path / "whole")) == []


def kills_of(group: Path) -> int:
    """Return how many processes the kernel killed there."""
    for name in ("memory.oom_control", "memory.events"):
        if (group / name).exists():
            rows = [line.split() for line in (group / name).read_text().splitlines()]
            return sum(int(row[1]) for row in rows if row[0] == "oom_kill")
    return 0


@pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="needs Linux's control groups")
def test_what_is_left_is_what_the_group_leaves() -> None:
    code = "from epochal.engine.memory_left import memory_left; print(memory_left())"
    with limited(LIMIT) as group:
        words = ["sh", "-c", f"echo $$ > {group}/cgroup.procs && exec {sys.executable} -c '{code}'"]
        left = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert LIMIT // 3 < left < LIMIT
