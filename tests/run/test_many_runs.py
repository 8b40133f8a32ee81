"""Many trainings in one process, as a notebook or a search has them: no handle, thread or memory is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from little import little_data

__all__ = ["little_data"]

MOST_GROWTH = 100_000
"""Bytes of memory for each run: 9 kB were measured over 200 runs, and a kept history or model would be more."""

ALONE = """
import gc, json, os, sys, threading
from epochal import train

data, folder, count, keep = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "keep"
kept = []

def run(number):
    train(data, model="linear", epochs=1, batch_size=10, run=f"{folder}/run-{number}", progress=False)
    if keep:
        kept.append((open(data, "rb"), threading.Event(), bytearray(200_000)))
        threading.Thread(target=kept[-1][1].wait, daemon=True).start()

def seen():
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return len(os.listdir("/proc/self/fd")), threading.active_count(), pages * os.sysconf("SC_PAGE_SIZE")

for number in range(5):  # what is kept once for all
    run(number)
before = seen()
for number in range(5, 5 + count):
    run(number)
print(json.dumps([after - first for first, after in zip(before, seen())]))
"""
"""A process of its own: in that of the tests, handles and threads of earlier tests end while these are counted."""


def grown(count: int, data: Path, folder: Path, *, keep: bool = False) -> tuple[int, int, int]:
    """The handles, threads and bytes by which a process grew over `count` trainings."""
    command = [sys.executable, "-c", ALONE, str(data), str(folder), str(count), "keep" if keep else "drop"]
    handles, threads, memory = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return handles, threads, memory


linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts what Linux lists")


@linux
@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_nothing_is_left_behind(count: int, little_data: Path, tmp_path: Path) -> None:
    handles, threads, memory = grown(count, little_data, tmp_path)
    assert (handles, threads) == (0, 0)
    assert memory < MOST_GROWTH * count


@linux
def test_what_is_left_behind_is_counted(little_data: Path, tmp_path: Path) -> None:
    handles, threads, memory = grown(10, little_data, tmp_path, keep=True)
    assert (handles, threads) == (10, 10)
    assert memory > MOST_GROWTH * 10
