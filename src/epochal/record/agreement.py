"""Whether a history agrees with itself: rows that are each as they were written may still tell of no one training."""

from __future__ import annotations

from pathlib import Path

from epochal.errors import RunError
from epochal.record.history import History
from epochal.record.run_toml import RunFile


def check_agreement(path: Path, history: History, file: RunFile) -> None:
    """Raise `RunError` where a history says otherwise than itself, as none does that a training wrote."""
    try:
        _check(history, file)
    except ValueError as error:
        raise RunError(f"{path} contradicts itself: {error}") from error


def is_spent(history: History, file: RunFile) -> bool:
    """Return whether a budget of epochs or iterations is spent; of a budget of time, a history cannot tell."""
    return file.plan.is_open or not file.plan.remaining(file.position_after(history.iterations)).amount


def _check(history: History, file: RunFile) -> None:
    iterations = history.iterations
    if iterations and not history.sessions:
        raise ValueError(f"it holds {iterations:,} iterations, and no session that trained them")

    for session in history.sessions:
        if session.end_iteration < session.first_iteration:
            raise ValueError(
                f"a session ends at iteration {session.end_iteration:,}, and began at {session.first_iteration:,}"
            )
    _check_epochs(history)

    # what was measured beside
    for row in history.evaluations:
        if row.iteration > iterations:
            raise ValueError(f"an evaluation follows iteration {row.iteration:,}, and it holds {iterations:,}")
    if any(block.last >= iterations for block in history.noise):
        raise ValueError(f"its noise goes on after the {iterations:,} iterations that it holds")
    if any(gradient.iteration > iterations for gradient in history.gradients):
        raise ValueError(f"its gradients go on after the {iterations:,} iterations that it holds")

    # only a session that came to its end has a row for each epoch: another may have been lost before it
    if history.last_status == "finished":
        complete = sum(row.complete for row in history.epochs)
        reached = file.position_after(iterations).epoch
        if history.sessions[-1].end_iteration != iterations:
            raise ValueError(
                f"it finished at iteration {history.sessions[-1].end_iteration:,}, and holds {iterations:,}"
            )
        if complete != reached:
            raise ValueError(f"it finished after {reached:,} epochs, and holds {complete:,}")


def _check_epochs(history: History) -> None:
    """Raise `ValueError` where an epoch does not begin at the end of the one before, or ends after the last iteration.

    One that is not there was lost with a process, between its last iteration and its row.
    """
    end, epoch = 0, 0
    for row in history.epochs:
        begun = row.end_iteration - row.iterations
        if begun < end or (begun > end and row.epoch == epoch + 1):
            raise ValueError(
                f"its epoch {row.epoch:,} begins at iteration {begun:,}, and the one before ends at {end:,}"
            )
        if row.end_iteration > history.iterations:
            end = row.end_iteration
            raise ValueError(f"its epoch {row.epoch:,} ends at iteration {end:,}, and it holds {history.iterations:,}")
        end, epoch = row.end_iteration, row.epoch
