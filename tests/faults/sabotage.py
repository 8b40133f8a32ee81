"""Deliberately broken versions of saving and resuming, which the fault tests must catch."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import pytest

from epochal import files, lock
from epochal.cli import signals
from epochal.clock import Position
from epochal.engine import Engine
from epochal.errors import RunError
from epochal.held_folder import HeldFolder
from epochal.record import checkpoint_file as checkpoint
from epochal.record.checkpoint_file import Checkpoint, EpochSums
from epochal.record.schema import as_run_error
from epochal.record.writer import HistoryWriter
from epochal.run import checkpoints, session, together
from epochal.run.point import Point
from epochal.run.recorder import Recorder


def rename_before_content_is_synced(patch: pytest.MonkeyPatch) -> None:
    """The content is left to the system: after a power cut the name may stand for nothing."""

    def write(self: HeldFolder, name: str, content: bytes) -> None:
        (self.path / f"{name}.tmp").write_bytes(content)
        self.rename(f"{name}.tmp", name)
        self.sync()

    patch.setattr(HeldFolder, "write_file", write)


def folder_is_not_synced(patch: pytest.MonkeyPatch) -> None:
    """Names are left to the system: old checkpoints are deleted before the new one's name is safe."""
    patch.setattr(files, "sync_folder", lambda folder: None)
    patch.setattr(HeldFolder, "sync", lambda self: None)


def written_in_place(patch: pytest.MonkeyPatch) -> None:
    """No temporary file: a half-written checkpoint stands under the final name."""

    def write(self: HeldFolder, name: str, content: bytes) -> None:
        (self.path / name).write_bytes(content)

    patch.setattr(HeldFolder, "write_file", write)
    checksum_is_not_compared(patch)


def history_is_not_synced(patch: pytest.MonkeyPatch) -> None:
    """Commits are left to the system: a checkpoint can be newer than the history."""
    begin = HistoryWriter.__init__

    def relaxed(self: HistoryWriter, path: Path) -> None:
        begin(self, path)
        self._database.execute("COMMIT")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("BEGIN")

    patch.setattr(HistoryWriter, "__init__", relaxed)


def checkpoint_before_history(patch: pytest.MonkeyPatch) -> None:
    """The checkpoint is saved, and only then the history is committed; a start believes the checkpoint."""

    def save(self: checkpoints.Checkpoints, point: Point) -> None:
        self._saver.save(self._checkpoint(point))
        self._saver.wait()
        self._recorder.commit()

    patch.setattr(checkpoints.Checkpoints, "_save", save)
    newest = checkpoint.newest_checkpoint
    patch.setattr(session, "newest_checkpoint", lambda folder, recorded, warn: newest(folder, lambda: 1 << 60, warn))


def old_ones_deleted_first(patch: pytest.MonkeyPatch) -> None:
    """Room is made for the new checkpoint before it is saved."""
    write = checkpoints.CheckpointSaver._write

    def deleting(self: checkpoints.CheckpointSaver, *arguments: Any) -> float:
        for path in checkpoint.checkpoint_files(self.folder.path / "checkpoints"):
            path.unlink()
        return write(self, *arguments)

    patch.setattr(checkpoints.CheckpointSaver, "_write", deleting)


def checksum_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint is taken for what it says it is."""

    def load(path: Path) -> Checkpoint:
        try:
            return checkpoint.from_bytes(path.read_bytes())
        except Exception as error:
            raise RunError(f"checkpoint {path} is damaged: {error}") from error

    patch.setattr(checkpoint, "load_checkpoint", load)


def history_is_not_rolled_back(patch: pytest.MonkeyPatch) -> None:
    """Rows from after the checkpoint stay, and the same iterations are added once more after them.

    A save takes its time, so that kills fall between the history's commit and the checkpoint.
    """
    write = HeldFolder.write_file

    def write_slowly(self: HeldFolder, name: str, content: bytes) -> None:
        time.sleep(0.1)
        write(self, name, content)

    def add(self: HistoryWriter, first: int, losses: Any) -> None:
        with as_run_error(self.path):
            (end,) = self._database.execute("SELECT coalesce(max(first + count), 0) FROM iterations").fetchone()
        whole(self, max(end, first), losses)

    whole = HistoryWriter.add_losses
    patch.setattr(HeldFolder, "write_file", write_slowly)
    patch.setattr(HistoryWriter, "add_losses", add)
    patch.setattr(HistoryWriter, "roll_back", lambda self, iteration: None)


def _restored(patch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    last_point = session.Session.last_point
    patch.setattr(session.Session, "last_point", lambda self, setup: change(last_point(self, setup)))


def sums_of_the_epoch_are_lost(patch: pytest.MonkeyPatch) -> None:
    """The current epoch starts its sums anew."""
    _restored(patch, lambda point: dataclasses.replace(point, sums=EpochSums()))


def offset_is_lost(patch: pytest.MonkeyPatch) -> None:
    """The current epoch starts from its first sample again."""

    def lost(point: Any) -> Any:
        at = point.position
        return dataclasses.replace(point, position=Position(at.iteration, at.epoch, 0), sums=EpochSums())

    _restored(patch, lost)


def optimizer_state_is_lost(patch: pytest.MonkeyPatch) -> None:
    """Momentum and the like start from nothing."""

    def lost(point: Any) -> Any:
        if not point.position.iteration:
            return point
        fresh = jax.tree.map(jax.numpy.zeros_like, point.state.optimizer_state)
        return dataclasses.replace(point, state=point.state._replace(optimizer_state=fresh))

    _restored(patch, lost)


def iteration_is_off_by_one(patch: pytest.MonkeyPatch) -> None:
    """The current iteration when the checkpoint was made counts as not done: its noise is used twice."""

    def load(path: Path) -> Checkpoint:
        found = whole(path)
        at = found.position
        return dataclasses.replace(found, position=Position(max(0, at.iteration - 1), at.epoch, at.offset))

    whole = checkpoint.load_checkpoint
    patch.setattr(checkpoint, "load_checkpoint", load)


def no_lock(patch: pytest.MonkeyPatch) -> None:
    """Everybody may work on a run."""
    patch.setattr(lock, "_take", lambda *anything: True)


def evaluations_are_not_rolled_back(patch: pytest.MonkeyPatch) -> None:
    """Evaluations from after the checkpoint stay; under a change they are another past's."""
    roll_back = HistoryWriter.roll_back

    def kept(self: HistoryWriter, iteration: int) -> None:
        rows = self._database.execute("SELECT * FROM metrics").fetchall()
        roll_back(self, iteration)
        self._database.executemany("INSERT OR IGNORE INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)

    patch.setattr(HistoryWriter, "roll_back", kept)


def chunks_take_a_minute(patch: pytest.MonkeyPatch) -> None:
    """Every chunk of iterations takes very long."""
    run = Engine.run

    def slow(self: Engine, *arguments: Any) -> Any:
        time.sleep(60)
        return run(self, *arguments)

    patch.setattr(Engine, "run", slow)


def memory_is_eaten(patch: pytest.MonkeyPatch) -> None:
    """Every point takes another 100 MB, for good."""
    eaten: list[bytes] = []
    on_point = Recorder.on_point

    def eat(self: Recorder, point: Point) -> None:
        on_point(self, point)
        if point.position.epoch > 20:
            eaten.append(b"x" * 100_000_000)

    patch.setattr(Recorder, "on_point", eat)


def stop_is_never_asked(patch: pytest.MonkeyPatch) -> None:
    """Training does not ask whether it should stop."""
    patch.setattr(signals.StopRequest, "is_asked", lambda self: False)


def other_code(patch: pytest.MonkeyPatch) -> None:
    """This process has another version of the package."""
    patch.setattr(together, "code_hash", lambda: "0" * 64)


def spins_for_ever(patch: pytest.MonkeyPatch) -> None:
    """This process is alive, and does not come out of what it does between two chunks."""

    def spin_here(self: Recorder, point: Point) -> None:
        while point.position.iteration > 20:
            pass

    patch.setattr(Recorder, "on_point", spin_here)


@contextmanager
def sabotaged(name: str) -> Iterator[None]:
    """Work with one broken version while the block runs; with none for an empty name."""
    with pytest.MonkeyPatch.context() as patch:
        if name:
            globals()[name](patch)
        yield
