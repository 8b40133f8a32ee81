"""How a process joins the others of its training: whichever launcher started it, and whatever becomes of them.

A launcher is found by JAX itself (Slurm, Open MPI, Kubernetes), or says who this process is in three variables:
JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID. A runtime that somebody else started is used as it is.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import jax

from epochal.engine.cluster import ALONE, Cluster, present_cluster
from epochal.errors import OptionError, RunError
from epochal.words.phrases import translate

HEARTBEAT, JOIN_TIMEOUT = "EPOCHAL_HEARTBEAT", "EPOCHAL_JOIN_TIMEOUT"
"""The variables that hold seconds: how long a silent process is waited for, and how long all may take to come."""

GONE = 75
"""The exit status of a process whose training cannot go on without one that is gone; a resume goes on."""

_ADDRESS, _COUNT, _NUMBER = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
_MPI_COUNT = "OMPI_COMM_WORLD_SIZE"
_SLURM_HOSTS = "SLURM_STEP_NUM_NODES"
_SHUTDOWN_SECONDS = 5


class Launched(NamedTuple):
    """What a launcher says of this process.

    Attributes:
        on_one_host: whether it says that all processes are here.
    """

    address: str
    processes: int
    rank: int
    on_one_host: bool = False


def join() -> Cluster:
    """Connect this process with those that were launched with it, once; return who it is among them.

    Raises `OptionError` for a launcher that says half of what is needed, and `RunError` where the others cannot be
    reached.
    """
    if jax.distributed.is_initialized():
        return present_cluster()
    launched = find_launcher()
    if launched is None or launched.processes == 1:
        return ALONE

    timeout = _seconds(JOIN_TIMEOUT, 60)
    _check_name(launched)
    if launched.rank:
        _reach(launched, timeout)

    jax.config.update("jax_enable_preemption_service", False)  # it would keep SIGTERM to itself
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    abort = on_abort()
    abort.say(
        2,
        translate(
            f"not all {launched.processes} processes came to {launched.address} within {timeout} s; see that all of "
            f"them were started, or allow more time with {JOIN_TIMEOUT}=SECONDS"
        ),
    )
    jax.distributed.initialize(
        launched.address,
        launched.processes,
        launched.rank,
        initialization_timeout=timeout,
        heartbeat_timeout_seconds=_seconds(HEARTBEAT, 30),
        shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
    )
    abort.say(GONE, translate("another process of the training is gone; resume goes on from the last checkpoint"))
    return Cluster(launched.processes, launched.rank)


def is_launched() -> bool:
    """Return whether this process is one of several. Raises what `find_launcher` raises."""
    launched = find_launcher()
    return not present_cluster().is_alone or (launched is not None and launched.processes > 1)


def find_launcher() -> Launched | None:
    """Return what a launcher says of this process; ``None`` where there is none. Raises `OptionError` for half of it.

    JAX asks Kubernetes only for a job whose processes have numbers.
    """
    given = {name: os.environ[name] for name in (_ADDRESS, _COUNT, _NUMBER) if os.environ.get(name)}
    if len(given) == 3:
        return _checked(given[_ADDRESS], given[_COUNT], given[_NUMBER])

    if (found := _found_by_jax()) is not None:
        return found
    if given:
        missing = ", ".join(name for name in (_ADDRESS, _COUNT, _NUMBER) if name not in given)
        raise OptionError(f"{', '.join(given)} is set, but {missing} is not; set all three, or none of them")
    if int(os.environ.get(_MPI_COUNT, "1") or "1") > 1:
        raise OptionError(
            f"MPI started {os.environ[_MPI_COUNT]} processes, but JAX does not know this MPI; set "
            f"{_ADDRESS}=HOST:PORT, {_COUNT} and {_NUMBER} for each of them"
        )
    return None


def _found_by_jax() -> Launched | None:
    from jax._src import clusters

    for name in ("SlurmCluster", "OmpiCluster", "K8sCluster"):
        if name == "K8sCluster" and "JOB_COMPLETION_INDEX" not in os.environ:
            continue
        kind: Any = getattr(clusters, name, None)
        if kind is not None and kind.is_env_present():
            address = os.environ.get(_ADDRESS) or kind.get_coordinator_address(
                timeout_secs=60, override_coordinator_port=os.environ.get("JAX_COORDINATOR_PORT")
            )
            count = int(kind.get_process_count())
            here = os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == str(count) or os.environ.get(_SLURM_HOSTS) == "1"
            return Launched(address, count, int(kind.get_process_id()), on_one_host=here)
    return None


def _checked(address: str, count: str, number: str) -> Launched:
    """Return what three variables say. Raises `OptionError`."""
    _, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise OptionError(f"{_ADDRESS} must be HOST:PORT, such as 10.0.0.1:1234, got '{address}'")
    if not count.isdecimal() or int(count) < 1:
        raise OptionError(f"{_COUNT} must be a number of processes, got '{count}'")
    if not number.isdecimal() or int(number) >= int(count):
        raise OptionError(f"{_NUMBER} must be a number from 0 to below {count}, got '{number}'")
    return Launched(address, int(count), int(number))


def _check_name(launched: Launched) -> None:
    """Refuse a host that tells the others to find it at 127.x, where they would find themselves."""
    host = launched.address.rpartition(":")[0].strip("[]")
    name = socket.gethostname()
    try:
        coordinator, own = socket.gethostbyname(host), socket.gethostbyname(name)
    except OSError:
        return  # what cannot be resolved is said where it is needed
    is_elsewhere = not coordinator.startswith("127.")
    if own.startswith("127.") and is_elsewhere and not launched.on_one_host:
        raise RunError(
            f"this host's own name, {name}, stands for {own}, where other hosts find only themselves; give it its "
            f"address in the network of {host} in /etc/hosts"
        )


def _reach(launched: Launched, timeout: int) -> None:
    """Wait until the first process answers. Raises `RunError` where it does not in time."""
    host, _, port = launched.address.rpartition(":")
    end = time.monotonic() + timeout
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=max(0.1, end - time.monotonic())):
                return
        except OSError as error:
            if time.monotonic() > end:
                raise RunError(
                    f"process 0 does not answer at {launched.address} ({error.strerror or error}) within {timeout} s; "
                    "see that it was started, that this host has a route to it, and that no firewall closes the port "
                    f"({JOIN_TIMEOUT}=SECONDS waits longer)"
                ) from error
            time.sleep(0.1)


def _seconds(variable: str, default: int) -> int:
    """Return the whole seconds that a variable holds. Raises `OptionError`."""
    text = os.environ.get(variable, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"{variable} must be whole seconds, at least 1, got '{text}'")
    return int(text)


@dataclass(slots=True)
class Abort:
    """What this process says, and its exit status, where JAX ends it by SIGABRT: it does for every lost connection."""

    status: int = 128 + signal.SIGABRT
    line: str = ""
    _kept: list[Any] = field(default_factory=list, init=False, repr=False)

    def say(self, status: int, message: str = "") -> None:
        """Let the end be with this status, and this message where there is one."""
        self.status, self.line = status, f"epochal: {message}\n" if message else ""

    def leave(self, *_: object) -> None:
        """End this process at once: nothing in it can be waited for."""
        if self.line:
            os.write(2, self.line.encode())
        os._exit(self.status)

    def listen(self) -> None:
        """Stand in the place of SIGABRT's default, in C: Python's own handlers would never be called."""
        kind: Any = ctypes.CFUNCTYPE(None, ctypes.c_int)
        handler, library = kind(self.leave), ctypes.CDLL(None)
        library.signal.argtypes, library.signal.restype = [ctypes.c_int, kind], ctypes.c_void_p
        library.signal(signal.SIGABRT, handler)
        self._kept.append(handler)


@cache
def on_abort() -> Abort:
    """Return what this process does where JAX aborts it; the same for as long as it lives."""
    abort = Abort()
    if sys.platform != "win32":
        abort.listen()
    return abort
