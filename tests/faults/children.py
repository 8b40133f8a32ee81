"""Real `epochal` processes at little cost: a server that has imported everything forks one for each command line.

The server itself never touches a device, so each child is a process like any other, and dies by SIGKILL like any other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FAULTS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Child:
    """One `epochal` process."""

    server: ChildServer
    process: int
    log: Path
    ready: int

    def wait_until_training(self, seconds: float = 60.0) -> None:
        """Wait until it enters the training loop, or ends."""
        os.set_blocking(self.ready, False)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                os.read(self.ready, 1)  # a byte at the loop's beginning, nothing at the process's end
                return
            except BlockingIOError:
                time.sleep(0.002)
        raise TimeoutError(f"process {self.process} did not start training:\n{self.log.read_text()}")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal."""
        os.kill(self.process, number)

    def wait(self) -> int:
        """Wait for its end; return its exit status, or minus the signal that ended it."""
        status = self.server.ask(wait=self.process)["status"]
        os.close(self.ready)
        return os.waitstatus_to_exitcode(status)


class ChildServer:
    """Forks `epochal` processes. Use it as a context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, str(FAULTS / "children.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(
        self,
        *arguments: object,
        sabotage: str = "",
        environment: Mapping[str, str] | None = None,
        cores: int = 0,
        pipe: Path | None = None,
    ) -> Child:
        """Start ``epochal ARGUMENTS`` in the server's folder, whole or sabotaged; on so many cores, if not on all.

        What it prints goes to a file, or into a named ``pipe``, which somebody must read.
        """
        self._count += 1
        log, ready = pipe or self.folder / f"child-{self._count}.log", self.folder / f"ready-{self._count}"
        os.mkfifo(ready)
        reader = os.open(ready, os.O_RDONLY | os.O_NONBLOCK)
        answer = self.ask(
            run=[str(item) for item in arguments],
            log=str(log),
            ready=str(ready),
            folder=str(self.folder),
            sabotage=sabotage,
            environment=dict(environment or {}),
            cores=cores,
        )
        return Child(self, answer["process"], log, reader)

    def run(self, *arguments: object, sabotage: str = "") -> tuple[int, str]:
        """Run ``epochal ARGUMENTS`` to its end; return its status and what it printed."""
        child = self.start(*arguments, sabotage=sabotage)
        return child.wait(), child.log.read_text()

    def ask(self, **question: Any) -> Any:
        """Send the server a line and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _serve() -> None:
    """Answer questions on standard input: ``run`` forks, ``wait`` waits for a child's end; what is left is killed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and so do those of nohup
    alive = set()
    for name in ("cli.main", "cli.load", "run.progress", "cli.results", "cli.train", "run.api"):
        import_module(f"epochal.{name}")
    import_module("sabotage")

    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            answer = {"status": os.waitpid(question["wait"], 0)[1]}
            alive.remove(question["wait"])
        else:
            ready = os.open(question.pop("ready"), os.O_WRONLY)
            process = os.fork()
            if process == 0:
                _become(**question, ready=ready)
            os.close(ready)
            alive.add(process)
            answer = {"process": process}
        print(json.dumps(answer), flush=True)
    for process in alive:  # a test that failed may leave an endless training
        os.kill(process, signal.SIGKILL)


def _become(
    run: list[str], log: str, folder: str, sabotage: str, ready: int, environment: dict[str, str], cores: int
) -> None:
    """Be one `epochal` process, to its end."""
    status = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(log, os.O_WRONLY | os.O_CREAT, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
        os.chdir(folder)
        os.environ.update(environment)
        if cores:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
        _announce(ready)
        from sabotage import sabotaged

        from epochal.cli.main import main

        with sabotaged(sabotage):
            status = main(run)
            sys.stdout.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _announce(descriptor: int) -> None:
    """Write a byte when a training loop begins."""
    from epochal.run.callbacks import Callbacks

    start = Callbacks.start

    def announced(self: Callbacks, *arguments: Any) -> None:
        start(self, *arguments)
        os.write(descriptor, b".")

    Callbacks.start = announced  # type: ignore[method-assign]


if __name__ == "__main__":
    _serve()
