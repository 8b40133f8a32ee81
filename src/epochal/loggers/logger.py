"""What all loggers share: what they write, how much of the training's time they may take, and how they continue."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from epochal.errors import EpochalError, OptionError
from epochal.files import atomic_write, read_own
from epochal.record.folder import RunFolder
from epochal.record.history import History, read_history
from epochal.record.rows import EpochRow, EvaluationRow
from epochal.record.run_toml import RunFile
from epochal.run.callbacks import Callback, ChunkEnd, End, EpochEnd, Start

Values = Mapping[str, float]

_LONGEST = 4_000_000  # bytes of the notes
_POINTS = 8  # losses between two looks at the clock


@dataclass(frozen=True, slots=True)
class Done:
    """What a tool already holds of a run.

    Attributes:
        iterations: so many iterations' losses.
        rows: the epochs' rows up to this iteration.
    """

    iterations: int = 0
    rows: int = 0

    @classmethod
    def noted(cls, notes: Mapping[str, Any]) -> Done:
        """Return what the notes say."""
        return cls(notes.get("iterations", 0), notes.get("rows", 0))


class Logger(Callback):
    """Writes a training into another tool: every iteration's loss, epochs with evaluations and audit, configuration.

    It writes between chunks of iterations, never during one, and takes at most a ``share`` of the time while the
    training runs; what is left then is written when it ends. A tool that fails while the training runs is named in a
    warning and left out; one that cannot begin raises `OptionError`, before the first iteration.

    Args:
        share: of the training's time that writing may take while it runs.
    """

    def __init__(self, share: float = 0.005) -> None:
        if not 0 < share <= 1:
            raise OptionError(f"share is a part of the training's time, above 0 and at most 1; got {share}")
        self._share = share
        self._waiting: deque[Losses | Row] = deque()
        self._done = Done()
        self._start: Start | None = None
        self._state: Literal["closed", "open", "left out"] = "closed"
        self._began = self._spent = self._cost = 0.0

    @property
    def name(self) -> str:
        """What the user calls it."""
        return type(self).__name__

    @property
    def notes_key(self) -> str:
        """What its notes are called; two loggers of one training differ in it."""
        return self.name

    @abstractmethod
    def begin(self, start: Start, notes: Mapping[str, Any]) -> Done:
        """Open the tool, and return what it holds of this run.

        Args:
            start: where training begins or continues, and its configuration.
            notes: what `notes` returned for this run earlier; empty for a new one.
        """

    @abstractmethod
    def configure(self, file: RunFile, iteration: int) -> None:
        """Write the configuration, which may change after so many iterations."""

    @abstractmethod
    def write_losses(self, first: int, losses: Float32[np.ndarray, " iterations"]) -> None:
        """Write the losses of the iterations after the first ``first``; an iteration's number begins with 1."""

    @abstractmethod
    def write_values(self, iteration: int, values: Values) -> None:
        """Write numbers of one iteration by their names."""

    @abstractmethod
    def finish(self, iteration: int, status: str) -> None:
        """Write how the training ended, and close the tool."""

    def notes(self) -> dict[str, Any]:
        """Return what finds this run again in the tool, as plain values."""
        return {}

    def on_start(self, start: Start) -> None:
        """Open the tool, and fill in what it lacks of a run that continues."""
        self._start, self._began, self._spent = start, time.monotonic(), 0.0
        if self._state == "left out":
            return
        is_new = self._state == "closed"  # and does not go on under another configuration
        try:
            if is_new:
                self._waiting.clear()
                self._done = self.begin(start, self._read_notes())
                self._state = "open"
                self._write_notes()  # first how to find it again
            self.configure(start.file, start.position.iteration)
            if is_new:
                self._fill_in(start)
        except EpochalError:
            raise
        except Exception as error:
            raise OptionError(f"{self.name} cannot begin: {_in_short(error)}") from error

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Write the losses, as far as there is time."""
        self._waiting.append(Losses(chunk.first, chunk.losses))
        self._write(lambda: self._spent + self._cost <= self._share * (time.monotonic() - self._began))

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Write the epoch's row, when its losses are written."""
        self._waiting.append(Row.of(epoch.row, [one for one in (epoch.validation, epoch.evaluation) if one]))

    def on_end(self, end: End) -> None:
        """Write all that is left, and close the tool unless the training goes on under another configuration."""
        self._write(lambda: True)
        if self._state == "open":
            with self._left_out_if_it_fails():
                if end.status != "changed":
                    self.finish(end.position.iteration, end.status)
                self._write_notes()
        if end.status != "changed":
            self._state = "closed"

    def _fill_in(self, start: Start) -> None:
        """Put in line what the history holds before the training's position and the tool does not."""
        until = start.position.iteration
        if start.folder is None or min(self._done.iterations, self._done.rows) >= until:
            return
        history = read_history(RunFolder(start.folder).history_db)
        self._waiting.extend(item for item in items_of(history) if item.end <= until)
        self._write(lambda: True)

    def _write(self, may_go_on: Callable[[], bool]) -> None:
        """Write what waits, in order, while it may."""
        if self._state != "open":
            self._waiting.clear()
            return
        with self._left_out_if_it_fails():
            held = self._done
            while self._waiting and may_go_on():
                with self._timed():
                    self._write_next()
            if self._done != held:
                with self._timed():
                    self._write_notes(sync=False)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Count what is spent, and remember the most that one step cost lately."""
        started = time.monotonic()
        yield
        cost = time.monotonic() - started
        self._spent += cost
        self._cost = max(cost, 0.9 * self._cost)

    def _write_next(self) -> None:
        """Write some losses or a row, unless the tool holds them."""
        item, done = self._waiting.popleft(), self._done
        if isinstance(item, Row):
            if item.end > done.rows:
                self.write_values(item.end, item.values)
                self._done = Done(done.iterations, item.end)
            return

        item = item.after(done.iterations)
        part, rest = item.split(self.points_at_once)
        if part.losses.size:
            self.write_losses(part.first, part.losses)
            self._done = Done(part.end, done.rows)
        if rest.losses.size:
            self._waiting.appendleft(rest)

    @property
    def points_at_once(self) -> int:
        """Losses that are written between two looks at the clock."""
        return _POINTS

    @contextmanager
    def _left_out_if_it_fails(self) -> Iterator[None]:
        """Let the training go on without the tool where it fails."""
        try:
            yield
        except Exception as error:
            self._state = "left out"
            self._waiting.clear()
            with suppress(OSError, ValueError):
                self._write_notes()  # what it holds, should the run continue with it
            if self._start is not None:
                self._start.warn(
                    f"{self.name} failed after iteration {self._done.iterations:,} and is left out from there on: "
                    f"{_in_short(error)}"
                )

    def _read_notes(self) -> Mapping[str, Any]:
        """Return what was noted of this run; nothing for a new one."""
        path = self._notes_path
        known = (
            json.loads(read_own(path, _LONGEST)).get(self.notes_key, {}) if path is not None and path.exists() else {}
        )
        return dict(known)

    def _write_notes(self, *, sync: bool = True) -> None:
        """Note in the run folder how the tool calls the run, and what it holds of it."""
        path = self._notes_path
        if path is None:
            return
        known = json.loads(read_own(path, _LONGEST)) if path.exists() else {}
        known[self.notes_key] = {**self.notes(), "iterations": self._done.iterations, "rows": self._done.rows}
        atomic_write(path, json.dumps(known, indent=1).encode(), sync=sync)

    @property
    def _notes_path(self) -> Path | None:
        folder = None if self._start is None else self._start.folder
        return None if folder is None else RunFolder(folder).loggers


class StepLogger(Logger):
    """Writes into a tool whose runs have ``log(values, step)``; a step is an iteration.

    `begin` sets ``_run``.
    """

    _run: Any = None

    def write_losses(self, first: int, losses: Float32[np.ndarray, " iterations"]) -> None:
        """Write them one by one."""
        for iteration, loss in enumerate(losses.tolist(), first + 1):
            self._run.log({"loss": loss}, step=iteration)

    def write_values(self, iteration: int, values: Values) -> None:
        """Write them beside the iteration's loss."""
        self._run.log(dict(values), step=iteration)


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """The losses of the iterations after the first ``first``."""

    first: int
    losses: Float32[np.ndarray, " iterations"]

    @property
    def end(self) -> int:
        """Iterations done after them."""
        return self.first + self.losses.size

    def after(self, iteration: int) -> Losses:
        """Return those after so many iterations."""
        skip = min(max(0, iteration - self.first), self.losses.size)
        return Losses(self.first + skip, self.losses[skip:])

    def split(self, size: int) -> tuple[Losses, Losses]:
        """Return the first so many, and the others."""
        return Losses(self.first, self.losses[:size]), Losses(self.first + size, self.losses[size:])


@dataclass(frozen=True, slots=True)
class Row:
    """An epoch's numbers, at the iteration of its end."""

    end: int
    values: Values

    @classmethod
    def of(cls, row: EpochRow, evaluations: Sequence[EvaluationRow]) -> Row:
        """Return an epoch's and its evaluations' numbers."""
        measured = {f"{one.split}/{name}": value for one in evaluations for name, value in one.metrics.items()}
        values = {
            "epoch": float(row.epoch),
            "train/loss": row.train_loss,
            **measured,
            "audit/exact": float(row.is_exact),
            "audit/samples": float(row.samples),
            "audit/expected_samples": float(row.expected_samples),
            "seconds": row.seconds,
        }
        return cls(row.end_iteration, values)


def items_of(history: History) -> list[Losses | Row]:
    """Return a whole history in the order in which a logger writes it."""
    items: list[Losses | Row] = []
    written = 0
    for row in history.epochs:
        items.append(Losses(written, history.losses[written : row.end_iteration]))
        items.append(Row.of(row, [one for one in history.evaluations if one.iteration == row.end_iteration]))
        written = row.end_iteration
    return [*items, Losses(written, history.losses[written:])]


def _in_short(error: Exception) -> str:
    """Return what went wrong in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
