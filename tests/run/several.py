"""Real processes that train together on this machine, for tests: started, watched, and ended whatever happens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LONGEST = 120.0  # seconds, on a machine with much else to do


@dataclass(frozen=True, slots=True)
class Ended:
    """How one process ended."""

    status: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Processes:
    """Processes at work."""

    folder: Path
    running: tuple[subprocess.Popen[bytes], ...]

    def wait(self, seconds: float = _LONGEST) -> list[Ended]:
        """Wait until all have ended; those that have not in time are ended, and the test fails."""
        end = time.monotonic() + seconds
        statuses = [one.wait(max(0.1, end - time.monotonic())) for one in self.running]
        return [Ended(status, self._read(f"out.{rank}"), self._read(f"err.{rank}"))
                for rank, status in enumerate(statuses)]  # fmt: skip

    def wait_for(self, path: Path) -> None:
        """Wait until a file is there, as long as all processes are at work."""
        self.wait_until(path.exists)

    def wait_until(self, question: Callable[[], bool]) -> None:
        """Wait until a question is answered yes, as long as all processes are at work."""
        end = time.monotonic() + _LONGEST
        while not question():
            assert time.monotonic() < end, self._read("err.0")
            assert all(one.poll() is None for one in self.running), self._read("err.0")
            time.sleep(0.05)

    def _read(self, name: str) -> str:
        return (self.folder / name).read_text()


@contextmanager
def several(
    words: Sequence[object],
    folder: Path,
    count: int = 2,
    *,
    devices: int = 1,
    own: Mapping[int, Mapping[str, str]] | None = None,
    own_words: Mapping[int, Sequence[object]] | None = None,
) -> Iterator[Processes]:
    """Run a command of Epochal in several processes; ``own`` and ``own_words`` are what a process has of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

    folder.mkdir(exist_ok=True)
    running = []
    try:
        for rank in range(count):
            environment = {
                **os.environ,
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_COORDINATOR_BIND_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(count),
                "JAX_PROCESS_ID": str(rank),
                "JAX_NUM_CPU_DEVICES": str(devices),
                "EPOCHAL_HEARTBEAT": "10",
                **((own or {}).get(rank, {})),
            }
            command = [sys.executable, "-m", "epochal", *map(str, (own_words or {}).get(rank, words))]
            with open(folder / f"out.{rank}", "wb") as output, open(folder / f"err.{rank}", "wb") as errors:
                running.append(
                    subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
                )
        yield Processes(folder, tuple(running))
    finally:
        for one in running:
            if one.poll() is None:
                one.kill()
                one.wait()
