"""A run's history: an SQLite file that any tool opens, read here as a whole. Readers and the writer work at once."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from zlib import crc32

import numpy as np
from jaxtyping import Float32

from epochal.errors import RunError, brief
from epochal.formats import decimal, plural
from epochal.gradient_noise import LargeGradient, NoiseBlock
from epochal.lazy import drawn_by
from epochal.record.database import Bounds, opened
from epochal.record.rows import EpochRow, EvaluationRow, EventRow, SessionRow
from epochal.record.schema import DETAIL, SCHEMA_VERSION, check_row, checksum

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Everything that a training recorded.

    Attributes:
        losses: the loss of every iteration, in order: the mean over its batch before its update.
        iterations: how many iterations it holds, from the first on.
        epochs: a row for each complete epoch, and one for a last epoch that the budget cut short.
        evaluations: every evaluation, by iteration.
        sessions: the processes that worked on the run, in order.
        events: what happened, in order.
        noise: what was measured of the gradients' noise, in blocks, by iteration.
        gradients: of many samples, at evaluations of a training that measures noise.
    """

    losses: Float32[np.ndarray, " iterations"]
    iterations: int
    epochs: tuple[EpochRow, ...]
    evaluations: tuple[EvaluationRow, ...]
    sessions: tuple[SessionRow, ...]
    events: tuple[EventRow, ...]
    noise: tuple[NoiseBlock, ...] = ()
    gradients: tuple[LargeGradient, ...] = ()

    @classmethod
    def empty(cls) -> History:
        """Return the history of a training that never began."""
        return cls(np.zeros(0, np.float32), 0, (), (), (), ())

    def __repr__(self) -> str:
        epochs = sum(row.complete for row in self.epochs)
        text = f"History: {plural(self.iterations, 'iteration')}, {plural(epochs, 'epoch')}"
        text += f", {plural(len(self.evaluations), 'evaluation')}"
        if self.losses.size:
            text += f"; loss {decimal(float(self.losses[0]))} → {decimal(float(self.losses[-1]))}"
        return text

    def _repr_html_(self) -> str:
        return str(drawn_by("shown:history", self))

    @property
    def tests(self) -> tuple[EvaluationRow, ...]:
        """The evaluations of the test set, by iteration."""
        return tuple(row for row in self.evaluations if row.split == "test")

    @property
    def last_status(self) -> str | None:
        """How the last session ended, by its own account; ``None`` before the first."""
        return self.sessions[-1].status if self.sessions else None

    def to_pandas(self, table: str = "iterations") -> Any:
        """Return iterations, epochs, metrics, sessions, events, noise or gradients as a `pandas.DataFrame`.

        Raises `OptionError` for another table, and where pandas is not installed.
        """
        from epochal.record import frames

        return frames.to_pandas(self, table)

    def to_polars(self, table: str = "iterations") -> Any:
        """Return iterations, epochs, metrics, sessions, events, noise or gradients as a `polars.DataFrame`.

        Raises `OptionError` for another table, and where Polars is not installed.
        """
        from epochal.record import frames

        return frames.to_polars(self, table)


@dataclass(frozen=True, slots=True, eq=False)
class Increment:
    """What a run has recorded since somebody last looked.

    Attributes:
        first: the iteration of the first of these losses, counted from 0.
        iterations, samples, seconds: of the epochs that were known already.
        epochs: the rows after those, without test metrics.
        evaluations: those that were not known.
        sessions: all of them: a new one may have taken back what a killed one had done.
    """

    first: int
    losses: Float32[np.ndarray, " iterations"]
    iterations: int
    samples: int
    seconds: float
    epochs: tuple[EpochRow, ...]
    evaluations: tuple[EvaluationRow, ...]
    sessions: tuple[SessionRow, ...]


def read_history(path: Path, *, losses: bool = True, check: bool = False) -> History:
    """Read a history in one transaction, comparing every checksum.

    Args:
        path: the SQLite file.
        losses: whether to read the losses; without them the array is empty, and a list of runs is quick.
        check: whether SQLite, too, shall look for damage in the whole file.

    Raises:
        RunError: where the file is missing, no history, damaged, or of a later version.
    """
    with _Reader.open(path) as reader:
        if check:
            reader.check()
        evaluations = reader.evaluations()
        return History(
            losses=reader.losses() if losses else np.zeros(0, np.float32),
            iterations=reader.iterations(),
            epochs=reader.epochs(evaluations),
            evaluations=evaluations,
            sessions=reader.rows("sessions", SessionRow),
            events=reader.rows("events", _event),
            noise=reader.noise(),
            gradients=reader.gradients(),
        )


def count_iterations(path: Path) -> int:
    """Return how many iterations a history holds now, from the first on without a gap."""
    with _Reader.open(path) as reader:
        return reader.iterations()


def read_increment(path: Path, *, iterations: int, epoch: int, tested: int) -> Increment:
    """Read what is new in a history, block by block and no more, so that watching costs the training next to nothing.

    Args:
        path: the SQLite file.
        iterations: how many losses are known; reading starts at the block that holds the next.
        epoch: the last complete epoch that is known.
        tested: the iteration of the last evaluation that is known; -1 for none.
    """
    with _Reader.open(path) as reader:
        first, losses = reader.losses_from(iterations)
        until, samples, seconds = reader.sums_until(epoch)
        return Increment(
            first=first,
            losses=losses,
            iterations=until,
            samples=samples,
            seconds=seconds,
            epochs=reader.epochs((), after=epoch),
            evaluations=reader.evaluations(after=tested),
            sessions=reader.rows("sessions", SessionRow),
        )


@dataclass(frozen=True, slots=True)
class _Reader:
    """An open history."""

    path: Path
    database: sqlite3.Connection
    bounds: Bounds
    version: int

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[_Reader]:
        """Open for reading alone; what the block cannot make sense of is damage."""
        try:
            with opened(path) as (database, bounds):
                yield cls(path, database, bounds, _version(path, database))
        except (TypeError, ValueError, KeyError, RecursionError, OverflowError) as error:
            raise RunError(f"{path} is damaged: {brief(error)}") from error

    def check(self) -> None:
        """Let SQLite look for damage."""
        (health,) = self.database.execute("PRAGMA quick_check(1)").fetchone()
        if health != "ok":
            self._damaged(health)

    def iterations(self) -> int:
        """Count the iterations from the first on, without a gap."""
        iterations = 0
        blocks = self.database.execute("SELECT first, count, length(losses) FROM iterations ORDER BY first")
        for first, count, size in blocks:
            if first != iterations or type(count) is not int or count < 1:
                break
            if size != 4 * count:
                self._damaged(f"the losses from iteration {iterations:,} on are not as they were written")
            iterations += count
        return iterations

    def losses(self) -> Float32[np.ndarray, " iterations"]:
        """Read all losses, block by block."""
        blocks: list[bytes] = []
        iterations = 0
        cursor = self.database.execute("SELECT first, count, losses, crc32 FROM iterations ORDER BY first")
        for first, count, losses, crc in cursor:
            check_row("iterations", {"first": first, "count": count, "losses": losses, "crc32": crc})
            if first != iterations or len(losses) != 4 * count or crc32(losses) != crc:
                self._damaged(f"the losses from iteration {iterations:,} on are not as they were written")
            blocks.append(losses)
            iterations += count
        return _as_losses(blocks)

    def losses_from(self, iteration: int) -> tuple[int, Float32[np.ndarray, " iterations"]]:
        """Read the blocks that hold the losses from ``iteration`` on; return the first's iteration and all of them."""
        start = "(SELECT max(first) FROM iterations WHERE first <= ?)"
        rows = self.database.execute(
            f"SELECT first, losses, crc32 FROM iterations WHERE first >= {start} ORDER BY first", (iteration,)
        ).fetchmany(self.bounds.rows)
        if any(type(losses) is not bytes or crc32(losses) != crc for _, losses, crc in rows):
            self._damaged(f"the losses from iteration {iteration:,} on are not as they were written")
        return (rows[0][0] if rows else iteration), _as_losses([losses for _, losses, _ in rows])

    def noise(self) -> tuple[NoiseBlock, ...]:
        """Read what was measured of the gradients' noise."""
        if self.version < 3:
            return ()
        blocks: list[NoiseBlock] = []
        for first, every, samples, sums, crc in self.database.execute("SELECT * FROM noise ORDER BY first"):
            row = {"first": first, "every": every, "samples": samples, "sums": sums, "crc32": crc}
            check_row("noise", row)
            self.bounds.check_rows(len(blocks))
            if len(sums) % 8 or checksum((first, every, samples, crc32(sums))) != crc:
                self._damaged(f"the noise from iteration {first:,} on is not as it was written")
            blocks.append(NoiseBlock(first, every, samples, _as_losses([sums]).reshape(-1, 2)))
        return tuple(blocks)

    def gradients(self) -> tuple[LargeGradient, ...]:
        """Read the large gradients of evaluations."""
        if self.version < 3:
            return ()
        return self.rows("gradients", lambda iteration, samples, square, error: LargeGradient(
            iteration, samples, _number(square), _number(error)))  # fmt: skip

    def sums_until(self, epoch: int) -> tuple[int, int, float]:
        """Return iterations, samples used and training seconds of the first ``epoch`` epochs."""
        iterations, samples, seconds = self.database.execute(
            "SELECT max(end_iteration), sum(samples), sum(seconds) FROM epochs WHERE epoch <= ?", (epoch,)
        ).fetchone()
        return iterations or 0, samples or 0, seconds or 0.0

    def epochs(self, evaluations: Sequence[EvaluationRow], after: int = 0) -> tuple[EpochRow, ...]:
        """Read the epochs after the first ``after``, each with the test metrics at its end."""
        tests = {row.iteration: row.metrics for row in evaluations if row.split == "test"}

        def build(**row: Any) -> EpochRow:
            row |= {"complete": bool(row["complete"]), "train_loss": _number(row["train_loss"])}
            return EpochRow(**row, test=tests.get(row["end_iteration"], {}))

        return self.rows("epochs", build, where=_beyond("epoch", after, first=0))

    def evaluations(self, after: int = -1) -> tuple[EvaluationRow, ...]:
        """Read the evaluations after iteration ``after``: rows of one split and iteration are one evaluation."""
        found: dict[tuple[int, str], tuple[int, dict[str, float]]] = {}
        table = "metrics" if self.version >= 2 else "evaluations"
        # an index that is damaged leaves rows out: only who watches, and reads the last ones again and again, trusts it
        scanned = f"{table} NOT INDEXED" if after < 0 else table
        where = _beyond("iteration", after, first=-1)
        for row in self.rows(table, _plain, where=where, order="iteration, split, rowid", scanned=scanned):
            _, known = found.setdefault((row["iteration"], row["split"]), (row["samples"], {}))
            if self.version >= 2:
                known[row["metric"]] = _number(row["value"])
            else:
                known |= {"loss": _number(row["loss"])}
                known |= {} if row["accuracy"] is None else {"accuracy": row["accuracy"]}
        return tuple(EvaluationRow(*key, samples, metrics) for key, (samples, metrics) in found.items())

    def rows(
        self,
        table: str,
        build: Callable[..., Row],
        *,
        where: str = "TRUE",
        order: str = "rowid",
        scanned: str | None = None,
    ) -> tuple[Row, ...]:
        """Read a table whose rows have checksums, and build each of them, without checksum and id.

        ``scanned`` is the table with a word on how SQLite is to go through it.
        """
        cursor = self.database.execute(f"SELECT * FROM {scanned or table} WHERE {where} ORDER BY {order}")
        names = [column[0] for column in cursor.description]
        first = names.index("id") + 1 if "id" in names else 0

        rows: list[Row] = []
        last = -1
        for *values, crc in cursor:
            if order == "rowid":  # pages that name each other would repeat them
                if type(values[0]) is not int or values[0] <= last:
                    self._damaged(f"the rows of {table} do not follow each other")
                last = values[0]
            if crc != checksum(values[first:]):
                self._damaged(f"a row of {table} is not as it was written")

            row = dict(zip(names[first:-1], values[first:], strict=True))
            check_row(table, row)
            self.bounds.check_rows(len(rows))
            rows.append(build(**row))
        return tuple(rows)

    def _damaged(self, why: str) -> NoReturn:
        raise RunError(f"{self.path} is damaged: {' '.join(why.split())}")


def _beyond(column: str, after: int, first: int) -> str:
    """Return which rows are read: of all of them, those that damage has given an impossible number, too."""
    return "TRUE" if after == first else f"{column} > {int(after)}"


def _version(path: Path, database: sqlite3.Connection) -> int:
    (value,) = database.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    if int(value) > SCHEMA_VERSION:
        raise RunError(f"{path} has schema version {value}; this Epochal reads up to {SCHEMA_VERSION}: update it")
    return int(value)


def _as_losses(blocks: Sequence[bytes]) -> Float32[np.ndarray, " iterations"]:
    return np.frombuffer(b"".join(blocks), "<f4").astype(np.float32, copy=False)


def _plain(**row: Any) -> dict[str, Any]:
    return row


def _event(**row: Any) -> EventRow:
    detail = json.loads(row["detail"])
    DETAIL.require(f"the detail of event {row['kind']}", detail)
    return EventRow(**{**row, "detail": detail})


def _number(value: float | None) -> float:
    """SQLite keeps a NaN as NULL."""
    return math.nan if value is None else value
