"""TensorBoard: a training's event file, written while it trains, or afterwards from its record."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from jaxtyping import Float32

from epochal.errors import OptionError, RunError
from epochal.files import made_folder
from epochal.held_folder import HeldFolder
from epochal.loggers.event_file import EventFile, event_files
from epochal.loggers.logger import Done, Logger, Row, Values, items_of
from epochal.record.folder import RunFolder
from epochal.record.run_record import RunRecord
from epochal.record.run_toml import RunFile
from epochal.run.callbacks import Start

LOSS = "loss"


class TensorBoard(Logger):
    """Writes what TensorBoard shows: ``train(…, callbacks=TensorBoard("logs/first"))``, ``tensorboard --logdir logs``.

    A run that is resumed goes on in the same folder; what a killed process had written after the last checkpoint is
    superseded, as TensorBoard knows it.

    Args:
        folder: where to. Default: ``tensorboard`` in the run folder.
        share: of the training's time that writing may take while it runs; an iteration takes about 0.1 µs.

    Raises:
        OptionError: at the start, for a folder that holds the events of something else, or cannot be written.
    """

    points_at_once = 65_536

    def __init__(self, folder: str | os.PathLike[str] | None = None, *, share: float = 0.005) -> None:
        super().__init__(share)
        self._folder = None if folder is None else Path(folder).absolute()
        self._file: EventFile | None = None

    def begin(self, start: Start, notes: Mapping[str, Any]) -> Done:
        """Open an event file."""
        if self._folder is None and start.folder is None:
            raise OptionError("TensorBoard needs a folder where the training has none: TensorBoard('logs/first')")
        with self._held(start) as place:
            if not notes:
                _refuse_foreign(place)
            if not notes or not event_files(place):
                self._file = EventFile(place)
                return Done()

            # from the last iteration that was noted, that one included: a row of it may have followed
            done = max(0, min(notes["iterations"], start.position.iteration) - 1)
            self._file = EventFile(place, purge_from=done + 1)
            return Done(done, done)

    def _held(self, start: Start) -> HeldFolder:
        """Make the folder and hold it: one in the run folder is the run's own, and no link that leads elsewhere."""
        if self._folder is None:
            folder = RunFolder(start.folder or Path())
            return HeldFolder.made_in(folder.path, folder.tensorboard.name)
        return made_folder(self._folder)

    @property
    def notes_key(self) -> str:
        """Notes of each folder."""
        return self.name if self._folder is None else f"{self.name} {self._folder}"

    def configure(self, file: RunFile, iteration: int) -> None:
        """Write the configuration as a text."""
        self._open_file.add_text("configuration", iteration, as_markdown(file), time.time())
        self._open_file.flush()

    def write_losses(self, first: int, losses: Float32[np.ndarray, " iterations"]) -> None:
        """Write them in one stroke."""
        self._open_file.add_scalars(LOSS, first + 1, losses, time.time())
        self._open_file.flush()

    def write_values(self, iteration: int, values: Values) -> None:
        """Write one scalar each."""
        _add_values(self._open_file, iteration, values, time.time())
        self._open_file.flush()

    def finish(self, iteration: int, status: str) -> None:
        """Write the status as a text, and close the file."""
        self._open_file.add_text("status", iteration, status, time.time())
        self._open_file.close()
        self._file = None

    @property
    def _open_file(self) -> EventFile:
        if self._file is None:
            raise RunError("the event file is not open")
        return self._file


def write_run(run: str | os.PathLike[str], folder: str | os.PathLike[str]) -> int:
    """Write a run that was trained before into a folder for TensorBoard, and return how many scalars that were.

    The times are those of the training: of its beginning, and the seconds spent in training since.

    Args:
        run: a run folder.
        folder: where to.

    Raises:
        RunError: where the run cannot be read, or the folder cannot be written.
        OptionError: where the folder holds events already.
    """
    record, place = RunRecord.read(Path(run)), Path(folder)
    try:
        with made_folder(place) as held:
            return write_events(record, held)
    except OSError as error:
        raise RunError(f"cannot write {place}: {error.strerror}") from error


def write_events(record: RunRecord, folder: HeldFolder) -> int:
    """Write what a run recorded into a folder that is held; as `write_run`, but that it raises `OSError`."""
    _refuse_foreign(folder)
    history, scalars = record.history, 0
    wall = datetime.fromisoformat(history.sessions[0].started).timestamp() if history.sessions else time.time()
    file = EventFile(folder)
    file.add_text("configuration", 0, as_markdown(record.file), wall)

    for item in items_of(history):
        if isinstance(item, Row):
            wall += item.values["seconds"]
            _add_values(file, item.end, item.values, wall)
            scalars += len(item.values)
        else:
            file.add_scalars(LOSS, item.first + 1, item.losses, wall)
            scalars += item.losses.size

    file.add_text("status", history.iterations, record.status, wall)
    file.close()
    return scalars


def _add_values(file: EventFile, iteration: int, values: Values, wall: float) -> None:
    for name, value in values.items():
        file.add_scalars(name, iteration, np.array([value], np.float32), wall)


def _refuse_foreign(folder: HeldFolder) -> None:
    """Refuse a folder with events: TensorBoard would draw two runs as one. Raises `OptionError`."""
    if event_files(folder):
        raise OptionError(
            f"{folder.path} holds events already, and TensorBoard would mix them with these; name another one"
        )


def as_markdown(file: RunFile) -> str:
    """Return what `run.toml` holds as TensorBoard shows it: lines that begin with four blanks keep their form."""
    return "".join(f"    {line}\n" for line in tomli_w.dumps(file.to_dict()).splitlines())
