"""The loop: asks the engine for chunks of iterations, moves the position, audits each epoch, and tells callbacks."""

from __future__ import annotations

from pathlib import Path

from epochal.audit import ExpectedAudit
from epochal.clock import Plan, Position, Span
from epochal.data.row_source import AnySplit
from epochal.engine import CAPACITY, Engine
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
    """
    audit = ExpectedAudit(engine.order)
    length = 8
    try:
        engine.prepare(point.state, plan.next_batch_size(point.position))
        for size in plan.sizes_from(point.position):  # no batch size that comes later waits for its compilation then
            engine.prepare(point.state, size)
        callbacks.start(Start(point, plan, engine.compile_seconds, file, folder, callbacks.warn))

        while (left := _left(plan, point, until)) and not callbacks.should_stop():
            batch_size = plan.next_batch_size(point.position)
            alike = plan.iterations_alike(point.position)
            count = min(length, alike, left, _to_stop(callbacks.next_stop(point.position), point.position))
            state, chunk = engine.run(point.state, point.position, batch_size, count)
            used = point.position.offset + count * batch_size

            # The position moves here and nowhere else, after the updates that it counts.
            point = point.after(state, plan.advance(point.position, Span.iterations(count)), chunk, batch_size)
            callbacks.chunk(ChunkEnd(point.position, chunk.losses, batch_size, chunk.seconds))
            length = next_chunk_length(length, count, chunk.seconds)

            # An epoch's row stands in the history before anybody saves the point after it.
            if point.position.offset == 0:
                is_last = plan.is_spent(point.position, point.seconds)
                due = is_last or point.position.epoch % evaluate_every == 0
                _end_epoch(engine, point, audit, used, callbacks, evaluate=due)
                point = point.next_epoch()
            callbacks.point(point)

        is_over = plan.is_spent(point.position, point.seconds)
        if is_over and point.position.offset:
            _end_epoch(engine, point, audit, point.position.offset, callbacks, evaluate=True)
        stopped = at_until if point.position.iteration == until else "stopped"
        stopped = "changed" if callbacks.is_change() else stopped
        callbacks.end(End(point, "finished" if is_over else stopped))
    except BaseException as error:
        callbacks.fail(End(point, _status_of(error)))
        raise
    return point


def _left(plan: Plan, point: Point, until: int | None) -> int:
    """Count the iterations to the plan's end or to ``until``; as many as a chunk can have where only time tells."""
    if plan.is_spent(point.position, point.seconds):
        return 0
    to_end = CAPACITY if plan.is_open else plan.remaining(point.position).amount
    return to_end if until is None else min(to_end, until - point.position.iteration)


def _to_stop(stop: int | None, position: Position) -> int:
    return CAPACITY if stop is None or stop <= position.iteration else stop - position.iteration


def _end_epoch(
    engine: Engine, point: Point, audit: ExpectedAudit, used: int, callbacks: Callbacks, *, evaluate: bool
) -> None:
    """Compare the epoch's audit with what it had to be, evaluate, and tell callbacks of the epoch's row.

    ``used`` counts the samples of the epoch that had to be used by now: all of them, unless the plan ends inside it.
    """
    position, sums = point.position, point.sums
    complete = position.offset == 0
    epoch = position.epoch if complete else position.epoch + 1
    expected = audit.after(epoch - 1, used)

    validation = _evaluate(engine, point, "validation", engine.data.validation) if evaluate else None
    evaluation = _evaluate(engine, point, "test", engine.data.test) if evaluate else None

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

    callbacks.epoch(EpochEnd(position, row, evaluation, validation))
    if not row.is_exact:
        raise RunError(
            f"epoch {epoch} used {row.samples} samples with hash {row.audit_hash}; "
            f"{row.expected_samples} with hash {row.expected_hash} were due: a bug in Epochal, please report it"
        )


def _evaluate(engine: Engine, point: Point, name: str, split: AnySplit | None) -> EvaluationRow | None:
    if split is None or not len(split):
        return None
    evaluation = engine.evaluate(point.state, split)
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
