"""Measures all contenders on one work after another, alternating, one at a time."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from contenders import CONTENDERS, FLOORS, OURS
from environment import BENCH, PYTHON, environment
from quiet import Busy
from work import Effort, Work

QUIET = 0.1
"""A measurement is repeated while others use more than this share of the processors."""
_REPEATS = 1
_GUESSES = 3
_SETTLED, _ENOUGH = 0.15, 30.0
"""A row has settled when its ratios spread by this share, and ends after so many seconds of measuring."""
_LONG = 4.0  # seconds an iteration: too long to repeat, whatever others do
_NOT_IN_QUICK = ("PyTorch, torch.compile", "Lightning", "skorch", "JAX loop, plain convolution")
"""torch.compile takes minutes to compile; the two trainers around a `DataLoader` are slower than the bare one."""


class ContenderFailedError(Exception):
    """A contender cannot do a work; the message says why."""


@dataclass
class Worker:
    """A contender's process (bench/worker.py), spoken to by lines of JSON."""

    name: str
    threads: int
    device: str = "cpu"
    python: str = str(PYTHON)

    def __post_init__(self) -> None:
        command = [self.python, str(BENCH / "worker.py"), self.name, self.device]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment(self.threads), stderr=subprocess.DEVNULL, **pipes)

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"cannot": "its process ended"}
        if "cannot" in answer:
            raise ContenderFailedError(answer["cannot"])
        return answer

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            print(json.dumps(order), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise ContenderFailedError("its process ended") from None
        return self.read()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@dataclass
class Row:
    """A contender's measurements of one work.

    Attributes:
        times: seconds an iteration, one for each repetition.
        others: the largest share of the processors that other processes used during a repetition.
        cannot: why there are no measurements.
    """

    contender: str
    accuracy: float | None = None
    prepare_seconds: float = 0.0
    iterations: int = 1
    times: list[float] = field(default_factory=list)
    others: float = 0.0
    cannot: str | None = None


def start_workers(
    threads: int, device: str = "cpu", python: str = str(PYTHON), *, quick: bool = False
) -> tuple[dict[str, Worker], list[Row]]:
    """Start a process for each contender; return them and, for those that cannot start, why."""
    left_out = _NOT_IN_QUICK if quick else ()
    missing = [Row(name, cannot="left out of the quick measurement") for name in left_out]
    workers = {name: Worker(name, threads, device, python) for name in CONTENDERS if name not in left_out}
    for name in list(workers):
        try:
            workers[name].read()
        except ContenderFailedError as error:
            missing.append(Row(name, cannot=str(error)))
            del workers[name]
    return workers, missing


def measure(work: Work, workers: dict[str, Worker], effort: Effort) -> list[Row]:
    """Return every contender's row: prepared one after another, then measured in turns."""
    rows = [_prepare(work, worker) for worker in workers.values()]
    able = [row for row in rows if row.cannot is None]
    for row in able:
        _calibrate(row, workers[row.contender], effort)
    started = time.monotonic()
    for repetition in range(effort.repetitions_of(work)):
        if repetition >= effort.fewest_of(work) and (time.monotonic() - started > _ENOUGH or is_settled(able)):
            break
        turn = repetition % max(1, len(able))
        for row in able[turn:] + able[:turn]:
            if row.cannot is None:
                _repeat(row, workers[row.contender])
    for row in able:
        if row.cannot is None:
            workers[row.contender].ask(forget=True)
    return rows


def is_settled(rows: list[Row]) -> bool:
    """Return whether the ratios to Epochal's times spread little by now: of half of the contenders or more.

    Their middle halves are as wide as the page shows them; one that is disturbed is not waited for.
    """
    ours = next((row.times for row in rows if row.contender == OURS), [])
    ratios = [sorted(a / b for a, b in zip(row.times, ours, strict=False)) for row in rows if row.contender != OURS]
    spreads = [(one[-1 - len(one) // 4] - one[len(one) // 4]) / statistics.median(one) for one in ratios if one]
    return bool(spreads) and statistics.median(spreads) <= _SETTLED


def _prepare(work: Work, worker: Worker) -> Row:
    row = Row(worker.name)
    try:
        answer = worker.ask(prepare=dataclasses.asdict(work))
    except ContenderFailedError as error:
        row.cannot = str(error)
        return row
    row.accuracy, row.prepare_seconds = answer["accuracy"], answer["seconds"]
    return row


def _calibrate(row: Row, worker: Worker, effort: Effort) -> None:
    """Find how many iterations take about ``effort.seconds``, after a first one that may still compile."""

    def train(iterations: int) -> float:
        done = worker.ask(train=iterations)
        return float(done["seconds"]) / done["iterations"]

    try:
        train(1)
        each = train(1)
        for _ in range(_GUESSES):  # the least time counts: a disturbance must not leave a row with few iterations
            each = min(each, train(row.iterations))
            row.iterations = max(1, round(effort.seconds / each))
            if each > effort.seconds:
                break
    except ContenderFailedError as error:
        row.cannot = str(error)


def _repeat(row: Row, worker: Worker) -> None:
    """Measure once; again, and again, while others disturb."""
    processors = worker.threads
    best: tuple[float, float] | None = None
    for _ in range(1 + _REPEATS):
        time.sleep(0.02)
        before, started = Busy.now(worker.process.pid), time.perf_counter()
        try:
            done = worker.ask(train=row.iterations)
        except ContenderFailedError as error:
            row.cannot = str(error)
            return
        elapsed = time.perf_counter() - started
        others = before.others(Busy.now(worker.process.pid), elapsed, processors)
        each = done["seconds"] / done["iterations"]
        if best is None or others < best[0]:
            best = (others, each)
        if others <= QUIET or each > _LONG or os.environ.get("BENCH_CLOCK") == "cpu":
            break
    assert best is not None
    row.times.append(best[1])
    row.others = max(row.others, best[0])


def measure_all(
    effort: Effort,
    threads: int,
    *,
    quick: bool,
    device: str = "cpu",
    python: str = str(PYTHON),
    keep: Callable[[dict[str, Any]], None] = lambda result: None,
) -> list[dict[str, Any]]:
    """Return each work's rows, as plain data, with when and how long it was measured; ``keep`` gets each at once."""
    results = []
    workers, missing = start_workers(threads, device, python, quick=quick)
    for work in effort.works:
        started, when = time.perf_counter(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        rows = measure(work, workers, effort) + missing
        seconds = time.perf_counter() - started
        plain = [dataclasses.asdict(row) for row in rows]
        results.append({"work": dataclasses.asdict(work), "when": when, "seconds": seconds, "rows": plain})
        keep(results[-1])
        _say(work, rows, seconds)
    for worker in workers.values():
        worker.close()
    return results


def _say(work: Work, rows: list[Row], seconds: float) -> None:
    times = {row.contender: statistics.median(row.times) for row in rows if row.times}
    ours = times.get(OURS)
    floor = min((times[name] for name in FLOORS if name in times), default=None)
    parts = [f"{name} {time * 1e6:,.0f}" for name, time in sorted(times.items(), key=lambda item: item[1])]
    share = f"; floor/ours {floor / ours:.2f}" if ours and floor else ""
    print(f"{work.name} ({seconds:.0f} s): µs an iteration: {', '.join(parts)}{share}", file=sys.stderr, flush=True)
