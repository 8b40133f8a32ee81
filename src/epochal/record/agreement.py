"""Whether a history agrees with itself: rows that are each as they were written may still tell of no one training."""

from __future__ import annotations

from collections.abc import Iterator

from epochal.record.history import History
from epochal.record.run_toml import RunFile


def contradiction(history: History, file: RunFile) -> str | None:
    """Return in words what a history says otherwise than itself; ``None`` for one that a training wrote."""
    return next(_contradictions(history, file), None)


def is_spent(history: History, file: RunFile) -> bool:
    """Return whether a budget of epochs or iterations is spent; of a budget of time, a history cannot tell."""
    return file.plan.is_open or not file.plan.remaining(file.position_after(history.iterations)).amount


def _contradictions(history: History, file: RunFile) -> Iterator[str]:
    iterations = history.iterations
    if iterations and not history.sessions:
        yield f"it holds {iterations:,} iterations, and no session that trained them"

    for session in history.sessions:
        if session.end_iteration < session.first_iteration:
            yield f"a session ends at iteration {session.end_iteration:,}, and began at {session.first_iteration:,}"
    yield from _of_epochs(history)

    # what was measured beside
    for row in history.evaluations:
        if row.iteration > iterations:
            yield f"an evaluation follows iteration {row.iteration:,}, and it holds {iterations:,}"
    if any(block.last >= iterations for block in history.noise):
        yield f"its noise goes on after the {iterations:,} iterations that it holds"
    if any(gradient.iteration > iterations for gradient in history.gradients):
        yield f"its gradients go on after the {iterations:,} iterations that it holds"

    # only a session that came to its end has a row for each epoch: another may have been lost before it
    if history.last_status == "finished":
        complete = sum(row.complete for row in history.epochs)
        reached = file.position_after(iterations).epoch
        if history.sessions[-1].end_iteration != iterations:
            yield f"it finished at iteration {history.sessions[-1].end_iteration:,}, and holds {iterations:,}"
        if complete != reached:
            yield f"it finished after {reached:,} epochs, and holds {complete:,}"


def _of_epochs(history: History) -> Iterator[str]:
    """Yield what is wrong with the epochs: each begins where the one before ended, and none after the last iteration.

    One that is not there was lost with a process, between its last iteration and its row.
    """
    end, epoch = 0, 0
    for row in history.epochs:
        begun = row.end_iteration - row.iterations
        if begun < end or (begun > end and row.epoch == epoch + 1):
            yield f"its epoch {row.epoch:,} begins at iteration {begun:,}, and the one before ends at {end:,}"
        if row.end_iteration > history.iterations:
            end = row.end_iteration
            yield f"its epoch {row.epoch:,} ends at iteration {end:,}, and it holds {history.iterations:,}"
        end, epoch = row.end_iteration, row.epoch
