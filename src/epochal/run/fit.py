"""The loop: asks the engine for chunks of iterations, moves the position, audits each epoch, and tells callbacks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

from epochal.audit import ExpectedAudit
from epochal.clock import Plan, Position, Span
from epochal.data.row_source import AnySplit
from epochal.engine import CAPACITY, ChunkResult, Engine, measure_large_gradient
from epochal.engine.cluster import ALONE, Cluster
from epochal.errors import DivergedError, RunError
from epochal.record.rows import EpochRow, EvaluationRow
from epochal.record.run_toml import RunFile
from epochal.run.callbacks import Callbacks, ChunkEnd, End, EpochEnd, Start
from epochal.run.point import Point

_CHUNK_SECONDS = 0.2


def fit(
    engine: Engine,
    plan: Plan,
    point: Point,
    callbacks: Callbacks,
    *,
    file: RunFile,
    folder: Path | None = None,
    evaluate_every: int = 1,
    until: int | None = None,
    at_until: str = "stopped",
    cluster: Cluster = ALONE,
) -> Point:
    """Train from a point to the end of the plan, and return the point that was reached.

    Args:
        engine: with the model and its data.
        plan: how far, and in batches of which size.
        point: where to begin; its state is used up.
        callbacks: told what happens; any of them may end the training earlier.
        file: what `run.toml` holds, which callbacks are told.
        folder: the run's, likewise.
        evaluate_every: epochs between evaluations of the test set; the plan's end is always evaluated.
        until: the iteration to stop at, where that is before the plan's end.
        at_until: the status of a training that ends there, before the plan does; elsewhere it is stopped.
        cluster: the processes that train together, of which each calls this with the same.
    """
    audit = ExpectedAudit(engine.order)
    length = 8
    try:
        engine.prepare(point.state, plan.next_batch_size(point.position))
        for size in plan.sizes_from(point.position):  # no batch size that comes later waits for its compilation then
            engine.prepare(point.state, size)
        callbacks.start(Start(point, plan, engine.compile_seconds, file, folder, callbacks.warn))

        while left := _left(plan, point, until):
            turn = _agree(cluster, callbacks, point.position, length)
            if turn.is_last:
                break
            batch_size = plan.next_batch_size(point.position)
            alike = plan.iterations_alike(point.position)
            count = min(turn.length, alike, left, turn.to_stop)
            state, chunk = engine.run(point.state, point.position, batch_size, count)
            if plan.is_open:
                chunk = _by_one_clock(cluster, chunk)
            used = point.position.offset + count * batch_size

            # The position moves here and nowhere else, after the updates that it counts.
            point = point.after(state, plan.advance(point.position, Span.iterations(count)), chunk, batch_size)
            callbacks.chunk(ChunkEnd(point.position, chunk.losses, batch_size, chunk.seconds, chunk.noise))
            length = next_chunk_length(turn.length, count, chunk.seconds)

            # An epoch's row stands in the history before anybody saves the point after it.
            if point.position.offset == 0:
                is_last = plan.is_spent(point.position, point.seconds)
                due = is_last or point.position.epoch % evaluate_every == 0
                _end_epoch(engine, point, audit, used, callbacks, cluster, evaluate=due)
                point = point.next_epoch()
            callbacks.point(point)

        is_over = plan.is_spent(point.position, point.seconds)
        if is_over and point.position.offset:
            _end_epoch(engine, point, audit, point.position.offset, callbacks, cluster, evaluate=True)
        stopped = at_until if point.position.iteration == until else "stopped"
        stopped = "changed" if callbacks.is_change() else stopped
        callbacks.end(End(point, "finished" if is_over else stopped))
    except BaseException as error:
        callbacks.fail(End(point, _status_of(error)))
        raise
    return point


class _Turn(NamedTuple):
    """What all processes do next.

    Attributes:
        length: the iterations of a chunk that takes the time that it should.
        to_stop: how many there may be at most.
        is_last: whether somebody wants the training to stop here.
    """

    length: int
    to_stop: int
    is_last: bool


def _agree(cluster: Cluster, callbacks: Callbacks, position: Position, length: int) -> _Turn:
    """Return what is next: the first process says how long a chunk is, and each of them may stop all."""
    own = (length, _to_stop(callbacks.next_stop(position), position), callbacks.stop_status())
    everybody = cluster.agree(*own)
    status = max(row[2] for row in everybody)
    if status and not cluster.is_alone:
        callbacks.stop_with(status)
    return _Turn(everybody[0][0], everybody[0][1], status > 0)


def _by_one_clock(cluster: Cluster, chunk: ChunkResult) -> ChunkResult:
    """Return the chunk with the seconds of the first process, which decide when a budget of time is spent."""
    if cluster.is_alone:
        return chunk
    nanoseconds = cluster.agree(round(chunk.seconds * 1e9))[0][0]
    return dataclasses.replace(chunk, seconds=nanoseconds / 1e9)


def _left(plan: Plan, point: Point, until: int | None) -> int:
    """Count the iterations to the plan's end or to ``until``; as many as a chunk can have where only time tells."""
    if plan.is_spent(point.position, point.seconds):
        return 0
    to_end = CAPACITY if plan.is_open else plan.remaining(point.position).amount
    return to_end if until is None else min(to_end, until - point.position.iteration)


def _to_stop(stop: int | None, position: Position) -> int:
    return CAPACITY if stop is None or stop <= position.iteration else stop - position.iteration


def _end_epoch(
    engine: Engine,
    point: Point,
    audit: ExpectedAudit,
    used: int,
    callbacks: Callbacks,
    cluster: Cluster,
    *,
    evaluate: bool,
) -> None:
    """Compare the epoch's audit with what it had to be, evaluate, and tell callbacks of the epoch's row.

    ``used`` counts the samples of the epoch that had to be used by now: all of them, unless the plan ends inside it.
    """
    position, sums = point.position, point.sums
    complete = position.offset == 0
    epoch = position.epoch if complete else position.epoch + 1
    expected = audit.after(epoch - 1, used)

    validation = _evaluate(engine, point, "validation", engine.data.validation, cluster) if evaluate else None
    evaluation = _evaluate(engine, point, "test", engine.data.test, cluster) if evaluate else None

    gradient = None
    if evaluate and engine.noise_every is not None and cluster.owns_folder:
        gradient = measure_large_gradient(engine, point.state, position)

    row = EpochRow(
        epoch=epoch,
        end_iteration=position.iteration,
        iterations=sums.iterations,
        samples=sums.audit.samples,
        expected_samples=expected.samples,
        complete=complete,
        train_loss=sums.train_loss,
        seconds=sums.seconds,
        audit_hash=sums.audit.hash,
        expected_hash=expected.hash,
        test={} if evaluation is None else evaluation.metrics,
    )

    callbacks.epoch(EpochEnd(position, row, evaluation, validation, gradient))
    if not row.is_exact:
        raise RunError(
            f"epoch {epoch} used {row.samples} samples with hash {row.audit_hash}; "
            f"{row.expected_samples} with hash {row.expected_hash} were due: a bug in Epochal, please report it"
        )


def _evaluate(
    engine: Engine, point: Point, name: str, split: AnySplit | None, cluster: Cluster
) -> EvaluationRow | None:
    if split is None or not len(split):
        return None
    evaluation = engine.evaluate(point.state, split, cluster)
    return EvaluationRow(point.position.iteration, name, evaluation.samples, evaluation.values)


def _status_of(error: BaseException) -> str:
    if isinstance(error, DivergedError):
        return "diverged"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def next_chunk_length(length: int, count: int, seconds: float) -> int:
    """Return how many iterations the next chunk should have, so that it takes about a fifth of a second.

    It at most quadruples at a time, since the first chunks may be slower or faster than the rest.

    >>> next_chunk_length(8, 8, seconds=0.001), next_chunk_length(8, 8, seconds=4.0)
    (32, 1)
    """
    if count < length and seconds < _CHUNK_SECONDS:
        return length  # cut short by the end of an epoch: says too little
    fitting = int(count * _CHUNK_SECONDS / max(seconds, 1e-9))
    return max(1, min(fitting, 4 * length, CAPACITY))
