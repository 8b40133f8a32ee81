"""A run's history: an SQLite file that any tool opens, read here. Readers and the one writer may work at once."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from jaxtyping import Float32

from epochal.errors import RunError
from epochal.record.events import EpochRow
from epochal.record.schema import SCHEMA_VERSION, as_run_error, checksum

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """An evaluation of a split after ``iteration`` iterations: means over each of its samples once."""

    iteration: int
    split: str
    samples: int
    loss: float
    accuracy: float | None

    def badness(self) -> tuple[float, float]:
        """Return what the better of two evaluations has less of."""
        return (-(self.accuracy or 0.0), math.inf if math.isnan(self.loss) else self.loss)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One process's work on the run."""

    started: str
    first_iteration: int
    end_iteration: int
    seconds: float
    chunk_seconds: float
    status: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened: started, resumed, stopped, changed, warned."""

    time: str
    iteration: int
    kind: str
    detail: dict[str, Any]


class History:
    """Reads a run's history; each property is read from the file when asked for, and its checksums are compared.

    Raises `RunError` where the file is missing, no history, damaged, or of a later version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise RunError(f"{path} does not exist; is {path.parent} a run folder?")
        with self._reading() as database:
            (version,) = database.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
            later = int(version) > SCHEMA_VERSION
        if later:
            raise RunError(f"{path} has schema version {version}; this Epochal reads up to {SCHEMA_VERSION}: update it")

    def check(self) -> None:
        """Read everything once. Raises `RunError` where any of it is damaged."""
        with self._reading() as database:
            (health,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if health != "ok":
            raise self._damaged(health)
        _ = self.epochs, self.sessions, self.events, self.losses

    @property
    def iterations(self) -> int:
        """How many iterations it holds from the first on without a gap."""
        iterations = 0
        with self._reading() as database:
            for first, count in database.execute("SELECT first, count FROM iterations ORDER BY first"):
                if first != iterations:
                    break
                iterations += count
        return iterations

    @property
    def losses(self) -> Float32[np.ndarray, " iterations"]:
        """The loss of every iteration, in order: the mean over its batch before its update."""
        return np.frombuffer(b"".join(self._blocks()), "<f4").astype(np.float32, copy=False)

    @property
    def epochs(self) -> tuple[EpochRow, ...]:
        """A row for each complete epoch, and one for a last epoch that the budget cut short."""
        tests = {row.iteration: row for row in self.evaluations if row.split == "test"}
        return self._rows("epochs", lambda row: _epoch(row, tests.get(row["end_iteration"])))

    @property
    def evaluations(self) -> tuple[EvaluationRow, ...]:
        """Every evaluation, by iteration."""
        return self._rows("evaluations", _evaluation, order="iteration, split")

    def best_evaluation(self) -> EvaluationRow | None:
        """Return the test evaluation with the highest accuracy, or the lowest loss where there is no accuracy."""
        rows = [row for row in self.evaluations if row.split == "test"]
        return min(rows, key=EvaluationRow.badness, default=None)

    @property
    def sessions(self) -> tuple[SessionRow, ...]:
        """The processes that worked on the run, in order."""
        return self._rows("sessions", lambda row: SessionRow(**row))

    @property
    def last_status(self) -> str | None:
        """How the last session ended, by its own account; ``None`` before the first."""
        sessions = self.sessions
        return sessions[-1].status if sessions else None

    @property
    def events(self) -> tuple[EventRow, ...]:
        """What happened, in order."""
        return self._rows("events", lambda row: EventRow(**{**row, "detail": json.loads(row["detail"])}))

    def losses_from(self, iteration: int) -> tuple[int, Float32[np.ndarray, " iterations"]]:
        """Return the newest losses, from ``iteration`` or a little before it, and the iteration of the first of them.

        It reads the blocks that hold them and no others: for those who follow a run.
        """
        start = "(SELECT max(first) FROM iterations WHERE first <= ?)"
        with self._reading() as database:
            rows = database.execute(
                f"SELECT first, losses, crc32 FROM iterations WHERE first >= {start} ORDER BY first", (iteration,)
            ).fetchall()
        if any(crc32(losses) != crc for _, losses, crc in rows):
            raise self._damaged(f"the losses from iteration {iteration:,} on are not as they were written")
        losses = np.frombuffer(b"".join(losses for _, losses, _ in rows), "<f4").astype(np.float32, copy=False)
        return (rows[0][0] if rows else iteration), losses

    def epochs_after(self, epoch: int) -> tuple[EpochRow, ...]:
        """Return the rows after the first ``epoch`` epochs, without test results."""
        return self._rows("epochs", lambda row: _epoch(row, None), where="epoch > ?", value=epoch)

    def evaluations_after(self, iteration: int) -> tuple[EvaluationRow, ...]:
        """Return the evaluations after more than ``iteration`` iterations."""
        return self._rows("evaluations", _evaluation, "iteration, split", "iteration > ?", iteration)

    def sums_until(self, epoch: int) -> tuple[int, int, float]:
        """Return iterations, samples used and training seconds of the first ``epoch`` epochs."""
        with self._reading() as database:
            iterations, samples, seconds = database.execute(
                "SELECT max(end_iteration), sum(samples), sum(seconds) FROM epochs WHERE epoch <= ?", (epoch,)
            ).fetchone()
        return iterations or 0, samples or 0, seconds or 0.0

    def to_pandas(self, table: str = "iterations") -> Any:
        """Return iterations, epochs, evaluations, sessions or events as a `pandas.DataFrame`.

        Raises `OptionError` for another table, and where pandas is not installed.
        """
        from epochal.record.frames import to_pandas

        return to_pandas(self, table)

    def to_polars(self, table: str = "iterations") -> Any:
        """Return iterations, epochs, evaluations, sessions or events as a `polars.DataFrame`.

        Raises `OptionError` for another table, and where Polars is not installed.
        """
        from epochal.record.frames import to_polars

        return to_polars(self, table)

    def _rows(
        self,
        table: str,
        build: Callable[[dict[str, Any]], Row],
        order: str = "rowid",
        where: str = "? = 0",
        value: int = 0,
    ) -> tuple[Row, ...]:
        """Read a table whose rows have checksums, and build each of them, without checksum and id."""
        with self._reading() as database:
            database.row_factory = sqlite3.Row
            query = f"SELECT * FROM {table} WHERE {where} ORDER BY {order}"
            rows = [dict(row) for row in database.execute(query, (value,))]
            for row in rows:
                row.pop("id", None)
                if row.pop("crc32") != checksum(row.values()):
                    raise self._damaged(f"a row of {table} is not as it was written")
            return tuple(build(row) for row in rows)

    def _blocks(self) -> list[bytes]:
        """Read the losses, block by block."""
        blocks: list[bytes] = []
        iterations = 0
        with self._reading() as database:
            for first, count, losses, crc in database.execute("SELECT * FROM iterations ORDER BY first"):
                if first != iterations or len(losses) != 4 * count or crc32(losses) != crc:
                    raise self._damaged(f"the losses from iteration {iterations:,} on are not as they were written")
                blocks.append(losses)
                iterations += count
        return blocks

    def _damaged(self, why: str) -> RunError:
        return RunError(f"{self.path} is damaged: {' '.join(why.split())}")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Open for reading alone; what the block cannot make sense of is damage."""
        left_undone = self.path.with_name(f"{self.path.name}-journal").exists()  # by a lost process: SQLite undoes it
        location = f"{self.path.absolute().as_uri()}?mode={'rw' if left_undone else 'ro'}"
        try:
            with as_run_error(self.path), closing(sqlite3.connect(location, uri=True)) as database:
                yield database
        except (TypeError, ValueError, KeyError) as error:
            raise self._damaged(str(error)) from error


def _evaluation(row: dict[str, Any]) -> EvaluationRow:
    return EvaluationRow(**{**row, "loss": _number(row["loss"])})


def _epoch(row: dict[str, Any], test: EvaluationRow | None) -> EpochRow:
    return EpochRow(
        **{**row, "complete": bool(row["complete"]), "train_loss": _number(row["train_loss"])},
        test_loss=test.loss if test else None,
        test_accuracy=test.accuracy if test else None,
    )


def _number(value: float | None) -> float:
    """SQLite keeps a NaN as NULL."""
    return math.nan if value is None else value
