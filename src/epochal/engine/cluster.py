"""Several processes that train as one: who this process is among them, what they agree on, and who left.

JAX's distributed runtime connects them. Its coordination service carries what is compared before the first collective;
everything later is a collective over all devices, which every process takes part in, in the same order.
"""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Shaped

from epochal.errors import OptionError

_PATIENCE = 3_600_000  # milliseconds that processes wait for one whose data take long; a lost one is noticed earlier
_FAILED = "epochal/failed"
_WORD, _HALF = 0xFFFFFFFF, 32


class UnlikeError(OptionError):
    """Processes that train together differ; all of them say so."""


class Peer(NamedTuple):
    """Another process: its number, its host's name, and its number on that host."""

    rank: int
    host: str
    process: int

    @classmethod
    def here(cls, rank: int) -> Peer:
        """Return this process."""
        return cls(rank, socket.gethostname(), os.getpid())

    @property
    def is_gone(self) -> bool:
        """Whether it ran on this host and does not any more."""
        if self.host != socket.gethostname():
            return False
        try:
            about = Path(f"/proc/{self.process}/stat").read_text()
        except OSError:
            return Path("/proc/self").exists()
        return about.rpartition(")")[2].split()[0] == "Z"


class Failure(NamedTuple):
    """Why a process ended all of them: its number, the exit status, and its error's text."""

    rank: int
    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """The processes that train together.

    Attributes:
        processes: how many.
        rank: this one's number, from 0.
    """

    processes: int = 1
    rank: int = 0

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process."""
        return self.processes == 1

    @property
    def owns_folder(self) -> bool:
        """Whether this process writes and prints: the first one does, for all of them."""
        return self.rank == 0

    # --- by the coordination service --------------------------------------------------------------------------------

    def check_same(self, what: str, facts: Mapping[str, Any]) -> None:
        """Refuse to go on where processes differ: raises `UnlikeError`, in all of them, naming process and difference.

        ``what`` names the comparison, for which each process waits for all others.
        """
        if self.is_alone:
            return
        own = json.dumps({name: str(value) for name, value in facts.items()})
        if differing := self._compare(what, own):
            name, first, other, rank = differing
            raise UnlikeError(
                f"processes that train together must be alike: {name} is {first} in process 0 and {other} in process "
                f"{rank}; start all of them in the same way"
            )

    def peers(self) -> tuple[Peer, ...]:
        """Return all processes; a comparison of the facts of this process with itself where it is alone."""
        if self.is_alone:
            return (Peer.here(0),)
        own = json.dumps(Peer.here(self.rank)[1:])
        return tuple(Peer(rank, *json.loads(text)) for rank, text in enumerate(self._tell_all("peers", own)))

    def hosts(self) -> dict[str, int]:
        """Return the names of all hosts, and how many processes are on each; after `peers`, for one process to ask."""
        if self.is_alone:
            return {socket.gethostname(): 1}
        told = _client().key_value_dir_get("epochal/peers/1/")
        return dict(Counter(sorted(json.loads(text)[0] for _, text in told)))

    def _tell_all(self, what: str, own: str) -> list[str]:
        """Return what each process says, for few and small things: every process asks for each."""
        client, place = _client(), self._place(what)
        client.key_value_set(f"{place}/{self.rank}", own)
        return [client.blocking_key_value_get(f"{place}/{rank}", _PATIENCE) for rank in range(self.processes)]

    def _compare(self, what: str, own: str) -> list[Any]:
        """Let the first process compare what all of them say; return its verdict."""
        client, place = _client(), self._place(what)
        client.key_value_set(f"{place}/{self.rank}", own)
        if self.rank == 0:
            all_facts = [client.blocking_key_value_get(f"{place}/{rank}", _PATIENCE) for rank in range(self.processes)]
            client.key_value_set(f"{place}/verdict", json.dumps(differences(all_facts)))
        verdict: list[Any] = json.loads(client.blocking_key_value_get(f"{place}/verdict", _PATIENCE))
        if verdict:  # the first process takes the service along when it leaves: not before all have read why
            client.wait_at_barrier(f"{place}/read", _PATIENCE)
        return verdict

    def _place(self, what: str) -> str:
        """Return a name that no earlier exchange had; all processes come to the same."""
        number = _client().key_value_increment(f"epochal/count/{what}/{self.rank}", 1)
        return f"epochal/{what}/{number}"

    def fail(self, status: int, message: str) -> None:
        """Tell the others that this process ends all of them, and why; the first that says so is heard."""
        if not self.is_alone:
            _client().key_value_set(_FAILED, json.dumps([self.rank, status, message]), allow_overwrite=True)

    def failure(self) -> Failure | None:
        """Return what another process said by `fail`."""
        try:
            return Failure(*json.loads(_client().key_value_try_get(_FAILED)))
        except Exception:  # nobody did, or the process that would know is gone
            return None

    def wait_for_all(self, what: str) -> None:
        """Wait until all processes are here."""
        if not self.is_alone:
            _client().wait_at_barrier(self._place(what), _PATIENCE)

    # --- by collectives ---------------------------------------------------------------------------------------------

    def agree(self, *values: int) -> list[tuple[int, ...]]:
        """Return the values that each process gives, whole numbers from 0 to below 2**64, by process."""
        if self.is_alone:
            return [values]
        words = np.array([(value & _WORD, value >> _HALF) for value in values], np.uint32)
        return [tuple(int(low) | int(high) << _HALF for low, high in row) for row in _gather(words)]

    def share(self, content: bytes = b"") -> bytes:
        """Return the content that the first process gives."""
        if self.is_alone:
            return content
        from jax.experimental import multihost_utils

        size = self.agree(len(content))[0][0]
        padded = np.zeros(size, np.uint8)
        if self.rank == 0:
            padded[:] = np.frombuffer(content, np.uint8)
        return bytes(np.asarray(multihost_utils.broadcast_one_to_all(padded)).tobytes())

    def gather(self, content: bytes) -> list[bytes]:
        """Return the contents that all processes give, in their order."""
        if self.is_alone:
            return [content]
        sizes = [row[0] for row in self.agree(len(content))]
        padded = np.zeros(max(sizes), np.uint8)
        padded[: len(content)] = np.frombuffer(content, np.uint8)
        return [row[:size].tobytes() for row, size in zip(_gather(padded), sizes, strict=True)]


ALONE = Cluster()
"""One process, as most trainings have."""


def present_cluster() -> Cluster:
    """Return the processes that JAX has connected by now; one alone where nobody asked it to."""
    if not jax.distributed.is_initialized():
        return ALONE
    from jax._src import distributed  # the public functions would start the devices

    return Cluster(distributed.global_state.num_processes, distributed.global_state.process_id)


def lost_peer(peers: Sequence[Peer], rank: int) -> Peer | None:
    """Return which process is gone, as far as this host can tell."""
    return next((peer for peer in peers if peer.rank != rank and peer.is_gone), None)


def _gather(values: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(values))


def _client() -> Any:
    from jax._src import distributed  # no public name

    return distributed.global_state.client


def differences(all_facts: Sequence[str]) -> list[Any]:
    """Return the first fact in which a process differs from the first one; nothing where none does.

    That is its name, its value in the first process, its value in the other, and the other's number.
    """
    first = json.loads(all_facts[0])
    for rank, text in enumerate(all_facts):
        facts = json.loads(text)
        for name in sorted(first.keys() | facts.keys()):
            one, other = (known.get(name, "nothing") for known in (first, facts))
            if one != other:
                return [name, one, other, rank]
    return []
