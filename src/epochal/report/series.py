"""A run's numbers as its page carries them: losses as base64 float32, and the table that turns iterations into time."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from epochal.clock import Position
from epochal.phases import Batches
from epochal.record.rows import EpochRow, EvaluationRow, metric_names
from epochal.record.run_toml import RunFile
from epochal.report.page_model import PageRun

PAGE_LIMIT = 900_000
"""Numbers that the losses of all runs on a page may have together: 3.6 MB, 4.8 MB as base64."""


@dataclass(frozen=True, slots=True)
class EpochTotals:
    """The end of an epoch, or the beginning: epochs, iterations, samples and training seconds by then."""

    epoch: int = 0
    iteration: int = 0
    samples: int = 0
    seconds: float = 0.0


def shares(wanted: Sequence[int], limit: int = PAGE_LIMIT) -> list[int]:
    """Divide the page's numbers among its runs: small runs get all they want, large ones share the rest evenly.

    >>> shares([100, 3000, 5000], limit=6100)
    [100, 3000, 3000]
    """
    given = [0] * len(wanted)
    left = limit
    order = sorted(range(len(wanted)), key=lambda run: wanted[run])
    for place, run in enumerate(order):
        given[run] = min(wanted[run], left // (len(wanted) - place))
        left -= given[run]
    return given


def bucket_for(iterations: int, share: int) -> int:
    """Return how many iterations a value must stand for, a power of two, to stay within ``share`` numbers.

    A value that stands for several iterations takes three numbers: their lowest, mean and highest.

    >>> bucket_for(30_000, 30_000), bucket_for(300_000, 200_000)
    (1, 8)
    """
    if iterations <= share:
        return 1
    bucket = 2
    while bucket * (share // 3 or 1) < iterations:
        bucket *= 2
    return bucket


def buckets(runs: Sequence[PageRun], *, growing: bool = False) -> list[int]:
    """Return each run's bucket on a page that they share; where they are ``growing``, with space for more."""
    done = [run.record.history.losses.size for run in runs]
    if not growing:
        return [bucket_for(number, share) for number, share in zip(done, shares(done), strict=True)]

    share = PAGE_LIMIT // max(len(runs), 1)
    expected = [max(4 * number, share) for number in done]
    plans = [run.record.plan for run in runs]
    return [
        bucket_for(number if plan.is_open else min(plan.iterations, number), share)
        for plan, number in zip(plans, expected, strict=True)
    ]


def outgrows(iterations: int, bucket: int, runs: int) -> bool:
    """Return whether a growing run needs a page with larger buckets by now."""
    return iterations / bucket * (1 if bucket == 1 else 3) > 2 * PAGE_LIMIT / runs


def pack_losses(losses: Float32[np.ndarray, " iterations"], bucket: int) -> dict[str, Any]:
    """Return the losses for the page: every one, or the lowest, mean and highest of each ``bucket`` of them.

    What is not finite has no place in a lowest or highest; a mean over such a loss is not finite either.
    """
    if bucket == 1 or not losses.size:
        return {
            "bucket": bucket,
            **dict.fromkeys(("mean",) if bucket == 1 else ("low", "mean", "high"), encode(losses)),
        }
    low, mean, high = thinned(losses, bucket)
    return {"bucket": bucket, "low": encode(low), "mean": encode(mean), "high": encode(high)}


def thinned(losses: Float32[np.ndarray, " n"], bucket: int) -> tuple[Float32[np.ndarray, " buckets"], ...]:
    """Return the lowest, mean and highest of each ``bucket`` of at least one number.

    >>> [part.tolist() for part in thinned(np.array([1, 3, 5], np.float32), 2)]
    [[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]
    """
    starts = np.arange(0, losses.size, bucket)
    finite = np.where(np.isfinite(losses), losses, np.float32(np.nan))
    means = np.add.reduceat(finite.astype(np.float64), starts) / np.diff(np.append(starts, losses.size))
    return np.fmin.reduceat(finite, starts), means.astype(np.float32), np.fmax.reduceat(finite, starts)


def encode(values: Shaped[np.ndarray, " n"], kind: str = "<f4") -> str:
    """Return numbers of a little-endian ``kind``, float32 by default, as base64."""
    return base64.b64encode(values.astype(kind).tobytes()).decode("ascii")


def pack_run(run: PageRun, bucket: int, *, growing: bool = False) -> dict[str, Any]:
    """Return a run for the page's script, with a value for each ``bucket`` of iterations."""
    record, history = run.record, run.record.history
    done = history.losses.size
    whole = done // bucket * bucket if growing else done
    return {
        "name": run.name,
        "version": version_of(record.file, len(history.sessions)),
        "is_over": record.is_over,
        "iterations": done,
        "losses": pack_losses(history.losses[:whole], bucket),
        "time": time_table(record.file, done, history.epochs, record.training_seconds),
        "points": points(history.epochs, history.tests),
    }


def version_of(file: RunFile, sessions: int) -> str:
    """Return what changes when a page must be made anew, because what it shows may no longer be so."""
    return f"{sessions}.{len(file.changes)}"


def time_table(
    file: RunFile, done: int, epochs: Sequence[EpochRow], training_seconds: float, start: EpochTotals | None = None
) -> dict[str, list[Any]]:
    """Return what every iteration count from ``start`` to ``done`` is worth in samples, epochs and seconds.

    Lists of equal length, a row at the start, at each epoch's end, at each change of the batch size, and where
    training stands: ``iteration``; ``samples`` used until there; ``epoch``, fractional; ``seconds`` of training;
    ``batch``, the batch size from there on. Between two rows a batch is ``batch`` samples, or what is left of them.

    Seconds are recorded at each epoch's end and taken as even in between; what comes after the last end has the rest
    of ``training_seconds``.
    """
    start = start or EpochTotals()
    begin = Position(start.iteration, start.epoch)
    rows = [_Row(start.iteration, start.samples, float(start.epoch), _batches_at(file, begin).size)]
    rows.extend(_rows_after(file, start, done))
    columns = {field.name: np.hstack([getattr(row, field.name) for row in rows]) for field in fields(_Row)}

    ends = [start.iteration, *(row.end_iteration for row in epochs)]
    seconds = [start.seconds, *(start.seconds + np.cumsum([row.seconds for row in epochs]))]
    if ends[-1] < done:
        ends.append(done)
        seconds.append(max(training_seconds, seconds[-1]))

    columns["epoch"] = columns["epoch"].round(9)
    columns["seconds"] = np.interp(columns["iteration"], np.array(ends), np.array(seconds)).round(4)
    return {name: column.tolist() for name, column in columns.items()}


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a time table, or as many as its arrays are long."""

    iteration: Any
    samples: Any
    epoch: Any
    batch: Any


def _rows_after(file: RunFile, start: EpochTotals, done: int) -> Iterator[_Row]:
    """Yield the rows after the start: whole epochs of one batch size at once, whatever is less one by one."""
    used = start.samples
    for stretch in file.stretches(done, Position(start.iteration, start.epoch, 0)):
        position, batches = stretch.start, stretch.batches
        while position.iteration < stretch.end:
            whole = 0 if position.offset else (stretch.end - position.iteration) // batches.per_epoch
            if whole:
                ends = np.arange(1, whole + 1)
                iterations, samples = position.iteration + ends * batches.per_epoch, used + ends * batches.used
                epochs = (position.epoch + ends).astype(np.float64)
                position, used = Position(int(iterations[-1]), position.epoch + whole, 0), int(samples[-1])
                batch = np.append(np.full(whole - 1, batches.size), _batches_at(file, position).size)

                yield _Row(iterations, samples, epochs, batch)
                continue

            count = min(stretch.end - position.iteration, batches.after(position.offset))
            used += min(count * batches.size, batches.samples - position.offset)
            position = batches.advance(position, count)
            after = _batches_at(file, position)
            yield _Row(position.iteration, used, position.epoch + position.offset / after.used, after.size)


def _batches_at(file: RunFile, position: Position) -> Batches:
    return file.plan_at(position.iteration).batches_at(position)


def points(epochs: Sequence[EpochRow], tests: Sequence[EvaluationRow]) -> dict[str, Any]:
    """Return what is measured at the ends of epochs, as columns: training loss, and each metric of the test set."""
    return {
        "epoch": [row.epoch if row.complete else row.epoch - 1 for row in epochs],
        "train_iteration": [row.end_iteration for row in epochs],
        "train_loss": [finite(row.train_loss) for row in epochs],
        "test_iteration": [row.iteration for row in tests],
        "test": {name: [finite(row.metrics.get(name)) for row in tests] for name in metric_names(tests)},
    }


def finite(value: float | None) -> float | None:
    """Return a number with seven digits, and ``None`` for one that JSON does not have: NaN or infinite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.7g}")
