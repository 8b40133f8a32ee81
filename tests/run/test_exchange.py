"""Processes that wait for each other longer than they compute are told so, once."""

from __future__ import annotations

import numpy as np
import pytest

import epochal
from epochal.clock import Position
from epochal.run.callbacks import ChunkEnd, Start
from epochal.run.exchange import ExchangeNote
from epochal.run.point import Point
from epochal.run.run import Run


@pytest.fixture(scope="module")
def run() -> Run:
    """A training, of which the beginning is told."""
    return epochal.train("digits", epochs=1, run=False)


def messages(run: Run, processes: int, exchange: float, iteration: float) -> list[str]:
    """Return what is said of chunks of ten iterations, of which the first one is slow."""
    told: list[str] = []
    note = ExchangeNote(processes, exchange)
    note.on_start(Start(Point(run.state), run.plan, 0.0, run.file, None, told.append))
    for number in range(1, 7):
        position = Position(10 * number, 0, 100 * number)
        note.on_chunk(ChunkEnd(position, np.zeros(10, np.float32), 10, 10 * iteration if number > 1 else 60.0))
    return told


def test_an_exchange_that_costs_more_than_the_work_is_told_once(run: Run) -> None:
    (message,) = messages(run, processes=2, exchange=0.0041, iteration=0.005)
    assert message == (
        "an iteration takes 5.0 ms, and its exchange between 2 processes takes 4.1 ms of them: one process would be "
        "faster"
    )


@pytest.mark.parametrize(("processes", "exchange"), [(2, 0.001), (4, 0.003)])
def test_work_that_is_worth_its_exchange_is_not(run: Run, processes: int, exchange: float) -> None:
    assert messages(run, processes, exchange, iteration=0.005) == []


def test_an_exchange_never_takes_more_than_its_iteration(run: Run) -> None:
    (message,) = messages(run, processes=2, exchange=1.0, iteration=0.005)
    assert "takes 5.0 ms of them" in message
