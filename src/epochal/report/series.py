"""A run's numbers as its page carries them: losses as base64 float32, and the table that turns iterations into time."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float32

from epochal.clock import Plan, Position, Span
from epochal.record.events import EpochRow
from epochal.record.folder import RunFile
from epochal.record.history import EvaluationRow
from epochal.report.tables import counters
from epochal.study.records import Increment, Point, RunRecord, position_of

PAGE_LIMIT = 900_000
"""Numbers that the losses of all runs on a page may have together: 3.6 MB, 4.8 MB as base64."""


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


def buckets(runs: Sequence[RunRecord], *, growing: bool = False) -> list[int]:
    """Return each run's bucket on a page that they share; where they are ``growing``, with room for what is to come."""
    done = [run.losses.size for run in runs]
    if not growing:
        return [bucket_for(number, share) for number, share in zip(done, shares(done), strict=True)]
    share = PAGE_LIMIT // max(len(runs), 1)
    return [
        bucket_for(min(run.plan.iterations, max(4 * number, share)), share)
        for run, number in zip(runs, done, strict=True)
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
    starts = np.arange(0, losses.size, bucket)
    finite = np.where(np.isfinite(losses), losses, np.float32(np.nan))
    means = np.add.reduceat(finite.astype(np.float64), starts) / np.diff(np.append(starts, losses.size))
    return {
        "bucket": bucket,
        "low": encode(np.fmin.reduceat(finite, starts)),
        "mean": encode(means.astype(np.float32)),
        "high": encode(np.fmax.reduceat(finite, starts)),
    }


def encode(values: Float32[np.ndarray, " n"]) -> str:
    """Return float32 numbers, little-endian, as base64."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")


def pack_run(run: RunRecord, bucket: int, *, growing: bool = False) -> dict[str, Any]:
    """Return a run for the page's script, with a value for each ``bucket`` of iterations."""
    done = run.losses.size
    whole = done // bucket * bucket if growing else done
    return {
        "name": run.name,
        "version": version_of(run.file, len(run.sessions)),
        "is_over": run.is_over,
        "iterations": done,
        "losses": pack_losses(run.losses[:whole], bucket),
        "time": time_table(run.file, done, run.epochs, run.training_seconds),
        "points": points(run.epochs, run.tests),
    }


def pack_news(news: Increment, iterations: int, bucket: int) -> dict[str, Any]:
    """Return what is new of a run whose page has ``iterations`` losses, in whole buckets of ``bucket``."""
    done = news.first + news.losses.size
    fresh = news.losses[iterations - news.first :]
    return {
        "iterations": done,
        "position": counters(position_of(news.file, done), _plan_at(news.file, done)),
        "losses": pack_losses(fresh[: fresh.size // bucket * bucket], bucket),
        "time": time_table(news.file, done, news.epochs, news.training_seconds, news.start),
        "points": points(news.epochs, news.tests),
    }


def version_of(file: RunFile, sessions: int) -> str:
    """Return what changes when a page must be made anew, because what it shows may no longer be so."""
    return f"{sessions}.{len(file.changes)}"


def time_table(
    file: RunFile, done: int, epochs: Sequence[EpochRow], training_seconds: float, start: Point | None = None
) -> dict[str, list[Any]]:
    """Return what every iteration count from ``start`` to ``done`` is worth in samples, epochs and seconds.

    Lists of equal length, a row at the start, at each epoch's end, at each change of the batch size, and where
    training stands: ``iteration``; ``samples`` used until there; ``epoch``, fractional; ``seconds`` of training;
    ``batch``, the batch size from there on. Between two rows a batch is ``batch`` samples, or what is left of them.

    Seconds are recorded at each epoch's end and taken as even in between; what comes after the last end has the rest
    of ``training_seconds``.
    """
    start = start or Point()
    rows = [_Row(start.iteration, start.samples, float(start.epoch), _plan_at(file, start.iteration).batch_size)]
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


def _rows_after(file: RunFile, start: Point, done: int) -> Iterator[_Row]:
    """Yield the rows after the start: whole epochs of one plan at once, whatever is less one by one."""
    position, used = Position(start.iteration, start.epoch, 0), start.samples
    while position.iteration < done:
        plan = _plan_at(file, position.iteration)
        change = file.next_change(position.iteration)
        stop = done if change is None else min(change, done)
        whole = 0 if position.offset else (stop - position.iteration) // plan.iterations_per_epoch
        if whole:
            ends = np.arange(1, whole + 1)
            iterations = position.iteration + ends * plan.iterations_per_epoch
            samples = used + ends * plan.samples_per_epoch
            epochs = (position.epoch + ends).astype(np.float64)
            position, used = Position(int(iterations[-1]), position.epoch + whole, 0), int(samples[-1])
            batch = np.append(np.full(whole - 1, plan.batch_size), _plan_at(file, position.iteration).batch_size)
            yield _Row(iterations, samples, epochs, batch)
            continue
        count = min(stop - position.iteration, plan.iterations_left_in_epoch(position))
        used += min(count * plan.batch_size, plan.samples - position.offset)
        position = plan.advance(position, Span.iterations(count))
        after = _plan_at(file, position.iteration)
        epoch = position.epoch + position.offset / after.samples_per_epoch
        yield _Row(position.iteration, used, epoch, after.batch_size)


def _plan_at(file: RunFile, iteration: int) -> Plan:
    """Return the plan that the iteration after so many follows."""
    return file.config_at(iteration).plan(file.data["train"])


def points(epochs: Sequence[EpochRow], tests: Sequence[EvaluationRow]) -> dict[str, list[Any]]:
    """Return what is measured at the ends of epochs, as columns: training loss, and test loss and accuracy."""
    return {
        "epoch": [row.epoch if row.complete else row.epoch - 1 for row in epochs],
        "train_iteration": [row.end_iteration for row in epochs],
        "train_loss": [finite(row.train_loss) for row in epochs],
        "test_iteration": [row.iteration for row in tests],
        "test_loss": [finite(row.loss) for row in tests],
        "test_accuracy": [finite(row.accuracy) for row in tests],
    }


def finite(value: float | None) -> float | None:
    """Return a number with seven digits, and ``None`` for one that JSON does not have: NaN or infinite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.7g}")
