"""Real processes that train as one, each of which can be killed, stopped or spoilt alone."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from children import Child, ChildServer

SETTINGS = {"EPOCHAL_HEARTBEAT": "5", "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
"""A cut connection tells the others at once; a silent process is waited for so long."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """The processes of one training, process 0 first."""

    members: tuple[Child, ...]

    @classmethod
    def start(
        cls,
        children: ChildServer,
        *arguments: object,
        processes: int,
        each: Mapping[int, Mapping[str, Any]] | None = None,
        **settings: str,
    ) -> Crowd:
        """Start ``epochal ARGUMENTS`` so many times; ``each`` has what a process is started with beside the others.

        That may be its ``arguments``, its ``sabotage`` and its ``environment``.
        """
        launched = {
            **SETTINGS,
            **settings,
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}",
            "JAX_NUM_PROCESSES": str(processes),
        }
        members = []
        for rank in range(processes):
            own = dict((each or {}).get(rank, {}))
            environment = {**launched, "JAX_PROCESS_ID": str(rank), **own.pop("environment", {})}
            words = own.pop("arguments", arguments)
            members.append(children.start(*words, environment=environment, **own))
        return cls(tuple(members))

    def wait_until_training(self) -> None:
        """Wait until all of them enter the training loop."""
        for member in self.members:
            member.wait_until_training(120)

    def wait(self, seconds: float = 120) -> list[int]:
        """Wait for the end of all, and return their statuses: minus the signal for one that a signal ended.

        Those that are left after so many seconds are killed, which is an error.
        """
        deadline = time.monotonic() + seconds
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for member in left:
            member.kill()
        statuses = [member.wait() for member in self.members]
        if left:
            raise TimeoutError(f"{len(left)} of {len(statuses)} did not end within {seconds} s:\n{self.text()}")
        return statuses

    def left(self) -> list[Child]:
        """Return those that have not ended."""
        return [member for member in self.members if _is_running(member.process)]

    def text(self) -> str:
        """Return what all have said."""
        return "\n".join(f"--- {rank}\n{member.log.read_text()}" for rank, member in enumerate(self.members))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _is_running(process: int) -> bool:
    """Return whether it has not ended: one that ended waits, as a zombie, for its server to ask for its status."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
