"""What memory is left, as the system's files say, and the word before a training that needs more."""

from __future__ import annotations

from pathlib import Path

import pytest

from epochal import train
from epochal.engine import memory_left as module
from epochal.engine.memory_left import memory_left
from little import Warnings, little_data

__all__ = ["little_data"]

MACHINE = {
    "proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n",
    "proc/self/cgroup": "0::/a/b\n4:memory:/c\n",
}
SECOND = {"sys/fs/cgroup/a/memory.max": "3000000", "sys/fs/cgroup/a/memory.current": "2500000",
          "sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 100000\n"}  # fmt: skip
FIRST = {"sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000",
         "sys/fs/cgroup/memory/memory.usage_in_bytes": "1900000",
         "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 50000\n"}  # fmt: skip


def put(root: Path, *files: dict[str, str]) -> Path:
    for name, text in (item for some in files for item in some.items()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ((), None),
        ((MACHINE,), 4096000),
        ((MACHINE, SECOND), 600000),
        ((MACHINE, SECOND, FIRST), 150000),
        ((MACHINE, SECOND, {"sys/fs/cgroup/a/memory.max": "max\n"}), 4096000),
        ((MACHINE, {"proc/meminfo": "nonsense"}), None),
        ((MACHINE, {"sys/fs/cgroup/a/b/memory.max": "10", **SECOND}), 600000),
        ((MACHINE, {**SECOND, "sys/fs/cgroup/a/memory.current": "9000000"}), 0),
    ],
    ids=["nothing is said", "machine", "group above", "first version", "no limit", "nonsense", "half", "too much"],
)
def test_the_least_of_all_that_is_left(files: tuple[dict[str, str], ...], left: int | None, tmp_path: Path) -> None:
    assert memory_left(put(tmp_path, *files)) == left


@pytest.mark.parametrize(("left", "count"), [(100, 1), (10**9, 0), (None, 0)])
def test_a_training_that_needs_more_says_so_before(
    left: int | None, count: int, little_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "memory_left", lambda: left)
    told = Warnings()
    train(little_data, model="linear", epochs=1, run=tmp_path / "run", callbacks=told)
    assert len(told.messages) == count
    assert all("of memory more, and 0.00 GB are left: the system may end it" in message for message in told.messages)
