"""Measured noise in a history: raw sums in blocks, cut where a run goes on; and histories from before there was any."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from epochal import Run, resume
from epochal.errors import RunError
from epochal.gradient_noise import LargeGradient, NoiseBlock
from epochal.record.history import read_history
from epochal.record.writer import HistoryWriter

SUMS = np.arange(14, dtype=np.float32).reshape(7, 2) / 3


@pytest.fixture
def path(quick_path: Path) -> Path:
    """A history of seven measured iterations in two blocks, 0 … 80 and 100 … 120, and two large gradients."""
    path = quick_path / "history.db"
    with HistoryWriter(path) as writer:
        writer.add_noise(NoiseBlock(0, 20, 100, SUMS[:5]))
        writer.add_noise(NoiseBlock(100, 20, 98, SUMS[5:]))
        writer.add_noise(NoiseBlock(140, 20, 98, SUMS[:0]))
        for iteration in (60, 120):
            writer.add_gradient(LargeGradient(iteration, 10_000, 0.5, 0.25))
    return path


def measured(path: Path) -> list[tuple[int, int, tuple[float, float]]]:
    blocks = read_history(path, check=True).noise
    return [
        (at, block.samples, tuple(sums))
        for block in blocks
        for at, sums in zip(block.iterations.tolist(), block.sums.tolist(), strict=True)
    ]


def test_what_was_written_is_read(path: Path) -> None:
    sizes = [100] * 5 + [98] * 2
    assert measured(path) == [(20 * n, sizes[n], tuple(SUMS[n].tolist())) for n in range(7)]
    assert read_history(path).gradients == tuple(LargeGradient(at, 10_000, 0.5, 0.25) for at in (60, 120))


@pytest.mark.parametrize("iteration", [0, 1, 20, 61, 80, 100, 101, 119, 120, 500])
def test_rolled_back_it_has_what_was_measured_before(path: Path, iteration: int) -> None:
    before = measured(path)
    with HistoryWriter(path) as writer:
        writer.roll_back(iteration)
    assert measured(path) == [row for row in before if row[0] < iteration]
    assert [row.iteration for row in read_history(path).gradients] == [at for at in (60, 120) if at <= iteration]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE noise SET sums = zeroblob(length(sums)) WHERE first = 0",
        "UPDATE noise SET samples = 99 WHERE first = 0",
        "UPDATE noise SET every = 19 WHERE first = 0",
        "UPDATE gradients SET square = 0.4",
        "UPDATE gradients SET error = 0.0",
    ],
)
def test_a_row_that_is_not_as_it_was_written_is_seen(path: Path, change: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute(change)
    database.close()
    with pytest.raises(RunError, match=r"history.db is damaged: .* is not as it was written"):
        read_history(path)


def test_a_history_of_version_2_is_read_and_continued(run: Run) -> None:
    path = run.folder.history_db
    with sqlite3.connect(path) as database:
        database.executescript("DROP TABLE noise; DROP TABLE gradients; UPDATE meta SET value = '2'")
    database.close()
    before = read_history(path, check=True)
    assert (before.noise, before.gradients) == ((), ())
    assert before.losses.tobytes() == run.history.losses.tobytes()

    after = resume(run.path, epochs=5, measure="noise").history
    assert [row.iteration for row in after.gradients] == [24, 30]
    assert [block.iterations.tolist() for block in after.noise if len(block.sums)] == [[20]]
    assert after.evaluations[: len(before.evaluations)] == before.evaluations
