"""Many trainings in one process, as a notebook or a search has them: no handle, thread or memory is left behind."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

from epochal import train
from little import little_data

__all__ = ["little_data"]

MOST_GROWTH = 100_000
"""Bytes of memory for each run: 9 kB were measured over 200 runs, and a kept history or model would be more."""


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def memory() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts what Linux lists")
@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_nothing_is_left_behind(count: int, little_data: Path, tmp_path: Path) -> None:
    def run(number: int) -> None:
        train(little_data, model="linear", epochs=1, batch_size=10, run=tmp_path / f"run-{number}", progress=False)

    for number in range(5):  # what is kept once for all
        run(number)
    before = handles(), threading.active_count(), memory()
    for number in range(5, 5 + count):
        run(number)
    after = handles(), threading.active_count(), memory()
    assert after[:2] == before[:2]
    assert after[2] - before[2] < MOST_GROWTH * count
