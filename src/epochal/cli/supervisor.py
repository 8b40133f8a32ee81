"""Several processes of one training on one machine: started together, stopped together, ended together.

A signal goes to process 0 alone, which agrees with the others on where all stop. Once one process is lost the others
cannot go on: they end by themselves, and what is left a few seconds later is killed. A supervisor that is killed itself
takes its processes with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import FrameType
from typing import IO

from epochal.cli.supervised import LOST, SUPERVISOR

_STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
_MENDABLE = (1, 2)
_AFTER_THE_FIRST = 10.0
_AFTER_ANOTHER = 30.0
_SAID = 16_384


@dataclass(frozen=True, slots=True)
class Job:
    """The command of all processes, and what each one's environment has beside this one's."""

    command: Sequence[str]
    environments: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Ending:
    """How processes ended.

    Attributes:
        statuses: of each, as a shell reports them: 128 and the signal's number for one that a signal ended.
        first: the process that was the first to end otherwise than with 0.
        said: the end of what each but process 0 wrote on standard error.
    """

    statuses: tuple[int, ...]
    first: int
    said: tuple[str, ...]

    @property
    def status(self) -> int:
        """That of the whole: of what was refused or is a bug, else process 0's where it ended in order, else `LOST`."""
        if self.guilty is not None:
            return self.statuses[self.guilty]
        return self.statuses[0] if self.statuses[0] in (0, *_STOPPED) else LOST

    @property
    def guilty(self) -> int | None:
        """The process that said what must be mended: process 0 if it is one."""
        return next((rank for rank, status in enumerate(self.statuses) if status in _MENDABLE), None)


@dataclass(slots=True)
class Supervisor:
    """Starts jobs and passes signals on. Use `supervising`.

    Attributes:
        seconds: that the others have to end by themselves once a process was lost.
    """

    seconds: float = 5.0
    events: SimpleQueue[tuple[str, int]] = field(default_factory=SimpleQueue)

    def run(self, job: Job) -> Ending:
        """Run a job's processes to their end."""
        with _started(job) as children:
            for rank, child in enumerate(children.processes):
                threading.Thread(target=self._wait_for, args=(rank, child), daemon=True).start()
            first = self._follow(children)
            return Ending(tuple(_as_shell(child.wait()) for child in children.processes), first, children.said())

    def pause(self, seconds: float) -> int | None:
        """Wait; return the signal that came meanwhile, if one did."""
        deadline = time.monotonic() + seconds
        with suppress(Empty):
            while True:
                kind, number = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
                if kind == "signal":
                    return number
        return None

    def _wait_for(self, rank: int, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        self.events.put(("end", rank))

    def _follow(self, children: _Children) -> int:
        """Wait until all have ended, and see to it that they do; return which one was the first to fail."""
        left, first, deadline = set(range(len(children.processes))), None, float("inf")
        while left:
            try:
                wait = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
                kind, number = self.events.get(timeout=wait)
            except Empty:
                children.kill()
                deadline = float("inf")
                continue

            if kind == "signal":
                children.stop(number)
                continue
            left.discard(number)
            status = _as_shell(children.processes[number].wait())
            if first is None and status:
                first = number
            deadline = min(deadline, time.monotonic() + self._grace(number, status))

        return first or 0

    def _grace(self, rank: int, status: int) -> float:
        """Return how many seconds the others have once a process has ended."""
        if status not in (0, *_MENDABLE, *_STOPPED):
            return self.seconds
        if rank == 0:
            return _AFTER_THE_FIRST
        return float("inf") if status == 0 else _AFTER_ANOTHER


@contextmanager
def supervising(seconds: float = 5.0) -> Iterator[Supervisor]:
    """Hear SIGINT, SIGTERM and SIGHUP for the jobs while the block runs; a lost terminal is a SIGTERM."""
    supervisor = Supervisor(seconds)

    def hear(number: int, frame: FrameType | None) -> None:
        supervisor.events.put(("signal", number if number == signal.SIGINT else signal.SIGTERM))

    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no terminals that hang up
    before = {number: signal.signal(number, hear) for name in names if (number := getattr(signal, name, None))}
    try:
        yield supervisor
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(slots=True)
class _Children:
    """The processes that were started, and where what they say on standard error is kept: process 0 says it itself."""

    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: list[IO[bytes]] = field(default_factory=list)

    def stop(self, number: int) -> None:
        """Ask process 0, which tells the others; all, where it is no more."""
        alive = [child for child in self.processes if child.poll() is None]
        first = self.processes[0]
        for child in [first] if first in alive else alive:
            child.send_signal(number)

    def kill(self) -> None:
        """End what is left."""
        for child in self.processes:
            if child.poll() is None:
                child.kill()

    def said(self) -> tuple[str, ...]:
        """Return the end of what each but process 0 said."""
        texts = [""]
        for log in self.logs:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(0, end - _SAID))
            texts.append(log.read().decode(errors="replace").strip())
        return tuple(texts)


@contextmanager
def _started(job: Job) -> Iterator[_Children]:
    """Start the processes, each in a group of its own: a terminal's Ctrl-C reaches the supervisor alone."""
    children = _Children()
    try:
        for rank, more in enumerate(job.environments):
            log: IO[bytes] | None = tempfile.TemporaryFile() if rank else None  # noqa: SIM115
            if log is not None:
                children.logs.append(log)
            environment = {**os.environ, **more, SUPERVISOR: str(os.getpid())}
            children.processes.append(
                subprocess.Popen(
                    job.command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL if rank else None,
                    stderr=log,
                    process_group=0,
                )
            )
        yield children
    finally:
        children.kill()
        for child in children.processes:
            child.wait()
        for log in children.logs:
            log.close()


def _as_shell(status: int) -> int:
    return 128 - status if status < 0 else status
