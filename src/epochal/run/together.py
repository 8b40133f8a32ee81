"""One training by several processes: the first one owns the run folder, the others follow it, and all end together."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax

import epochal
from epochal.clock import Position
from epochal.engine import available_cores, offer_cores, present_settings
from epochal.engine.cluster import Cluster, Failure, Peer, UnlikeError, lost_peer
from epochal.engine.joining import GONE, join, on_abort
from epochal.errors import EpochalError
from epochal.record.checkpoint_file import Checkpoint, from_bytes, to_bytes
from epochal.record.folder import RunFolder
from epochal.record.history import History
from epochal.record.rows import EvaluationRow
from epochal.record.run_record import RunRecord
from epochal.record.run_toml import RunFile, present_versions
from epochal.run.anew import DataSource
from epochal.run.callbacks import Callback, Callbacks
from epochal.run.checkpoints import Checkpoints, CheckpointSaver
from epochal.run.custom import Custom
from epochal.run.point import Point, restored_state
from epochal.run.recorder import MemoryWriter, Recorder
from epochal.run.run import Run
from epochal.run.session import Session
from epochal.run.setup import Setup
from epochal.run.watchdog import Watchdog, watchdog_limit
from epochal.words.phrases import translate
from epochal.words.plain_text import plain_text, print_plain

_HEARD_SECONDS, _ASKED_SECONDS = 1.5, 0.5
_REFUSED = 2  # the exit status of what the user can fix
_LOST = (
    "gloo", "nccl", "grpc", "coordination service", "heartbeat", "unavailable:", "aborted:", "cancelled:",
    "deadline_exceeded", "connection reset", "connection closed", "socket closed",
)  # fmt: skip


@contextmanager
def as_one() -> Iterator[Cluster]:
    """Join the processes that were launched with this one, and end with them: all are done, or none.

    An error in one of them ends the others with the same status; where one is gone, all leave at once.
    """
    watchdog_limit()  # refused here, before anything is written
    cluster = join()
    if cluster.is_alone:
        yield cluster
        return

    offer_cores()
    over = threading.Event()
    threading.Thread(target=_listen, args=(cluster, over), name="failures", daemon=True).start()
    peers: tuple[Peer, ...] = ()  # none is known before all have said who they are, and one may be gone by then

    try:
        peers = cluster.peers()
        cluster.check_same("environment", _environment())
        yield cluster
        cluster.wait_for_all("end")
    except BaseException as error:
        over.set()
        if _is_lost(error):
            _leave_lost(cluster, peers)
        if isinstance(error, UnlikeError):
            on_abort().say(_REFUSED)
        else:
            _end_all(cluster, error)
        raise
    finally:
        over.set()


def _end_all(cluster: Cluster, error: BaseException) -> None:
    """Tell the others that this error ends them, and wait until they have heard it."""
    status = _REFUSED if isinstance(error, EpochalError) else 1
    if isinstance(error, KeyboardInterrupt):
        status = 128 + signal.SIGINT
    message = str(error) if isinstance(error, EpochalError) else type(error).__name__
    # where JAX failed, and aborts before this is said, one of the others is gone: that is what is said then
    if not isinstance(error, jax.errors.JaxRuntimeError):
        on_abort().say(status)
    cluster.fail(status, message)
    time.sleep(_HEARD_SECONDS)
    atexit.register(_leave, status)  # before JAX's own, which would wait for the others and complain


def _listen(cluster: Cluster, over: threading.Event) -> None:
    """Leave as soon as another process has failed; in a thread, since the others may wait for it in a collective."""
    while not over.wait(_ASKED_SECONDS):
        failure = cluster.failure()
        if failure is not None and failure.rank != cluster.rank and not over.is_set():
            _leave_failed(cluster, failure)


def _leave_failed(cluster: Cluster, failure: Failure) -> None:
    """End as the process that failed does; the first one says why, since the others' output may not be seen."""
    if cluster.rank == 0:
        print_plain(f"epochal: {translate(f'process {failure.rank} ended all: {failure.message}')}", is_error=True)
        time.sleep(2 * _HEARD_SECONDS)  # JAX ends the others when this one is gone, before they have said why
    _leave(failure.status)


def _is_lost(error: BaseException) -> bool:
    """Return whether an error is that of a collective in which another process was missing."""
    text = str(error).lower()
    is_of_jax = isinstance(error, (jax.errors.JaxRuntimeError, ValueError)) and not isinstance(error, EpochalError)
    return is_of_jax and any(word in text for word in _LOST)


def _leave_lost(cluster: Cluster, peers: tuple[Peer, ...]) -> None:
    """Leave at once, with how to go on: the barrier at a normal end would wait for who is gone."""
    failure = cluster.failure() if cluster.rank else None
    if failure is not None:
        _leave_failed(cluster, failure)
    message = translate("another process of the training is gone; resume goes on from the last checkpoint")
    if (gone := lost_peer(peers, cluster.rank)) is not None:
        message = translate(f"process {gone.rank} on {gone.host} is gone; resume goes on from the last checkpoint")
    os.write(2, f"epochal: {plain_text(message)}\n".encode())
    _leave(GONE)


def _leave(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def watched(cluster: Cluster, told: tuple[Callback, ...]) -> tuple[Callback, ...]:
    """Return callbacks with one that notices where several processes make no progress."""
    # the last to begin, and the first to end: what others save in the end takes as long as it takes
    return told if cluster.is_alone else (*told, Watchdog(watchdog_limit()))


# --- what must be alike -----------------------------------------------------------------------------------------------


def _environment() -> dict[str, Any]:
    """Return what decides the bits of a result and is known before anything is loaded."""
    return {
        "code": code_hash()[:12],
        **present_versions(()),
        "settings": json.dumps(present_settings(), sort_keys=True, default=str),
        "platform": jax.default_backend(),
        "device": jax.local_devices()[0].device_kind,
        "devices": jax.local_device_count(),
        "CPU cores": available_cores(),
    }


def training_facts(setup: Setup) -> dict[str, Any]:
    """Return what decides a training: its data and its configuration."""
    config = {name: value for name, value in setup.config.to_dict().items() if name != "data"}
    return {
        "fingerprint": setup.data.fingerprint[:12],
        **config,
        "parameters": setup.engine.count_parameters(),
    }


def code_hash() -> str:
    """Return the SHA-256 of the package's own code."""
    digest, root = hashlib.sha256(), Path(epochal.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


# --- the first process and its followers ------------------------------------------------------------------------------


class Beginning(NamedTuple):
    """What the first process begins with, and the others too."""

    file: RunFile
    point: Point
    until: int | None
    is_over: bool


def share_beginning(cluster: Cluster, beginning: Beginning | None, setup: Setup) -> Beginning:
    """Return what the first process gives; from the same bytes in all of them."""
    if beginning is not None:
        about = {
            "file": beginning.file.to_dict(),
            "seconds": beginning.point.seconds.hex(),
            "until": beginning.until,
            "is_over": beginning.is_over,
        }
        cluster.share(json.dumps(about).encode())
        cluster.share(to_bytes(beginning.point.checkpoint()))
        return beginning

    about = json.loads(cluster.share())
    checkpoint = from_bytes(cluster.share())
    state = restored_state(checkpoint, setup.engine.initial_state)
    point = Point(state, checkpoint.position, checkpoint.sums, float.fromhex(about["seconds"]))
    return Beginning(RunFile.from_dict(about["file"]), point, about["until"], about["is_over"])


def follow(cluster: Cluster, setup: Setup, told: tuple[Callback, ...]) -> Run:
    """Train what the first process trains, with nothing to write, and return the run as this process knows it."""
    beginning = share_beginning(cluster, None, setup)
    writer = MemoryWriter()
    follower = Follower(
        RunFolder(Path()), beginning.file, Recorder(writer), told, History.empty(), beginning.until, cluster
    )
    if not beginning.is_over:
        setup = follower.work(beginning.point, setup)
    point = follower.reached or beginning.point
    status = writer.sessions[-1].status if writer.sessions else "finished"
    return Run(RunRecord(None, beginning.file, writer.history(), status, point.position), setup, point.state)


def follow_file(cluster: Cluster, custom: Custom, data: DataSource | None) -> tuple[RunFile, Setup]:
    """Set up what the run of the first process is trained with, whose folder need not be here."""
    file = RunFile.from_dict(json.loads(cluster.share()))
    record = RunRecord(None, file, History.empty(), "new", Position())
    return file, Run(record).rebuild(custom, data, beginning=False)


def hand_out(cluster: Cluster, checkpoint: Checkpoint) -> None:
    """Give a checkpoint of the first process to the others."""
    if not cluster.is_alone:
        cluster.share(to_bytes(checkpoint))


def received(cluster: Cluster, file: RunFile, setup: Setup) -> Run:
    """Return a run of the first process, where its checkpoint stands."""
    checkpoint = from_bytes(cluster.share())
    state = restored_state(checkpoint, setup.engine.initial_state)
    return Run(RunRecord(None, file, History.empty(), "stopped", checkpoint.position), setup, state)


@dataclass(slots=True)
class Follower(Session):
    """The work of a process that has no folder."""

    reached: Point | None = None

    def _callbacks(
        self, setup: Setup, saver: CheckpointSaver, best: EvaluationRow | None
    ) -> tuple[Checkpoints, Callbacks]:
        checkpoints = Checkpoints(saver, self.recorder, lambda iteration: {}, best, None)
        return checkpoints, Callbacks.of(self.recorder, _Reached(self), told=self.told)

    def _warn(self, message: str) -> None:
        """Leave it to the first process."""

    def _begin(self, position: Position, setup: Setup) -> None:
        """Have nothing to forget."""


class _Reached(Callback):
    """Notes where a follower stands at the end."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def on_end(self, end: Any) -> None:
        """Note it."""
        self._follower.reached = end.point
