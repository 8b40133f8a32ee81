"""A process that makes no progress is found, and one that compiles, evaluates or computes slowly is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import pytest

from epochal.clock import Plan, Position
from epochal.errors import OptionError
from epochal.run.callbacks import ChunkEnd, End, EpochEnd, Start
from epochal.run.watchdog import LIMIT, STUCK, Watchdog, watchdog_limit

E = TypeVar("E")
PLAN = Plan(samples=100, batch_size=10, epochs=5)


class Watched:
    """A watchdog with a clock that is set by hand."""

    def __init__(self, least: float = 60.0, plan: Plan = PLAN) -> None:
        self.now, self.gave_up = 0.0, list[float]()
        self.dog = Watchdog(least, self.gave_up.append, lambda: self.now)
        self.dog.on_start(_event(Start, plan=plan, point=SimpleNamespace(seconds=0.0)))

    def chunk(self, iteration: int, seconds: float = 0.2, batch_size: int = 10) -> None:
        position = Position(iteration, iteration // 10, 10 * (iteration % 10))
        self.dog.on_chunk(ChunkEnd(position, np.zeros(3, np.float32), batch_size, seconds))

    def after(self, seconds: float) -> bool:
        """Let time pass; return whether it has given up by then."""
        self.now += seconds
        self.dog.check()
        return bool(self.gave_up)


def _event(kind: type[E], **facts: Any) -> E:
    """Return an event that knows these facts alone."""
    event = object.__new__(kind)
    for name, fact in facts.items():
        object.__setattr__(event, name, fact)
    return event


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.dog.on_end(_event(End))


def test_it_gives_up_after_a_minute_without_progress(watched: Watched) -> None:
    watched.chunk(3)
    assert not watched.after(59.0)
    watched.chunk(6)
    assert not watched.after(59.0)
    assert watched.after(2.0)
    assert watched.gave_up == [61.0]


def test_slow_chunks_have_twenty_times_as_long(watched: Watched) -> None:
    watched.chunk(3, seconds=10.0)
    assert not watched.after(199.0)
    assert watched.after(2.0)


REST: dict[str, Callable[[Watched], object]] = {
    "before the first chunk, which compiles": lambda watched: None,
    "in the first evaluation, which compiles": lambda watched: watched.chunk(10),
    "where the next batch has another size": lambda watched: watched.chunk(3, batch_size=7),
}


@pytest.mark.parametrize("event", REST.values(), ids=REST.keys())
def test_it_rests(event: Callable[[Watched], object], watched: Watched) -> None:
    event(watched)
    assert not watched.after(10_000.0)


@pytest.mark.parametrize("budget", [{"iterations": 3}, {"budget": "200ms"}])
def test_it_rests_in_a_first_evaluation_inside_an_epoch_where_the_budget_ends(budget: dict[str, Any]) -> None:
    watched = Watched(plan=Plan(samples=100, batch_size=10, **budget))
    watched.chunk(2, seconds=0.1)
    assert not watched.after(59.0)
    watched.chunk(3, seconds=0.15)
    assert not watched.after(10_000.0)
    watched.dog.on_end(_event(End))


def test_it_watches_later_evaluations_by_how_long_they_take(watched: Watched) -> None:
    for end, seconds in ((10, 1_000.0), (20, 30.0)):
        watched.chunk(end)
        assert not watched.after(seconds)
        watched.dog.on_epoch(_event(EpochEnd, evaluation=object()))
    watched.chunk(30)
    assert not watched.after(20 * 26.0)
    assert watched.after(20 * 5.0)


def test_it_watches_on_after_an_evaluation(watched: Watched) -> None:
    watched.chunk(10)
    watched.now += 1_000.0
    watched.dog.on_epoch(_event(EpochEnd, evaluation=None))
    assert not watched.after(59.0)
    assert watched.after(2.0)


def test_it_rests_after_the_end(watched: Watched) -> None:
    watched.chunk(3)
    watched.dog.on_end(_event(End))
    assert not watched.after(10_000.0)


@pytest.mark.parametrize(("given", "limit"), [(None, 60.0), ("5", 5.0), ("0.5", 0.5)])
def test_the_environment_says_how_long(given: str | None, limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT, raising=False)
    if given is not None:
        monkeypatch.setenv(LIMIT, given)
    assert watchdog_limit() == limit


@pytest.mark.parametrize("given", ["-1", "soon", "inf", "nan"])
def test_what_is_no_length_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, given)
    with pytest.raises(OptionError, match="seconds without progress"):
        watchdog_limit()


@pytest.mark.parametrize(("least", "status"), [("0.2", STUCK), ("0", 0)])
def test_a_stuck_process_says_where_and_ends(least: str, status: int) -> None:
    code = f"""
import time
from types import SimpleNamespace
from epochal.run.watchdog import Watchdog
dog = Watchdog({least})
dog.on_start(SimpleNamespace(plan=None, point=SimpleNamespace(seconds=0.0)))
dog.on_epoch(SimpleNamespace(evaluation=None))
def spin_here():
    begun = time.monotonic()
    while time.monotonic() < begun + {20 if status else 1}: pass
spin_here()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == status
    assert ("spin_here" in ended.stderr) == ("no progress for" in ended.stderr) == bool(status)
