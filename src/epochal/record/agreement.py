"""Whether what lies in a run folder agrees: checkpoints with `run.toml`, and a history with itself.

Each file may be as it was written, and together they may still tell of no one training.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epochal.clock import Position
from epochal.errors import RunError
from epochal.files import is_own
from epochal.record.checkpoint_file import iteration_of, read_header
from epochal.record.history import History
from epochal.record.run_toml import RunFile


def position_in(files: list[Path], iterations: int, file: RunFile) -> tuple[Position, tuple[str, ...]]:
    """Return the position of the newest checkpoint that can be read and that the history reaches, from its header.

    With it comes what does not agree: checkpoints that cannot be read, and a `run.toml` that it was not made with.
    """
    problems: list[str] = []
    for path in files:
        try:
            if iteration_of(path) > iterations:
                continue
            position, origin = read_header(path)
        except RunError as error:
            if is_own(path):  # or a process at work has newer ones by now
                problems.append(str(error))
            continue
        return position, (*problems, *altered(file, origin, position))
    return Position(), tuple(problems)


def altered(file: RunFile, origin: Mapping[str, Any], position: Position) -> tuple[str, ...]:
    """Return what `run.toml` says otherwise than the checkpoint that was made with it; nothing where it is the same."""
    try:
        file.check_origin(origin, position)
    except RunError as error:
        return (str(error),)
    return ()


def contradictions(path: Path, history: History, file: RunFile) -> tuple[str, ...]:
    """Return what a history says otherwise than itself; nothing where it is one that a training wrote."""
    try:
        _check(history, file)
    except ValueError as error:
        reason = f"{path} contradicts itself: {error}"
        return (reason,)
    return ()


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
