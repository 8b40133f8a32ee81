"""A comparison in plain records: a row for each run, and their spread over repeated seeds."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from epochal.clock import Method
from epochal.config import Member
from epochal.errors import RunError
from epochal.record.history import History
from epochal.study.study import Study

if TYPE_CHECKING:
    from epochal.run.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """What one run of a comparison did; a count that does not exist yet is ``None``.

    Attributes:
        group: its name without the seed: runs that differ in the seed alone share it.
        status: the run's, or ``missing`` where it has not begun, or ``damaged`` where it cannot be read.
        problem: why it cannot be read.
        iterations, updates: counted: as many losses were recorded.
        epochs: samples used over the training set's size; whole unless an epoch was cut short.
        seconds: of the whole run.
        training_seconds: in training alone, without compilation and evaluation.
        train_loss: the last epoch's, which is the mean of the losses that its batches had when they were used.
        test_loss, test_accuracy: the last evaluation's; an accuracy is 0 to 1.
        updates_to_target, epochs_to_target, seconds_to_target: at the first evaluation with the target accuracy, the
            seconds in training alone.
    """

    name: str
    group: str
    model: str
    optimizer: str | None
    seed: int
    status: str
    problem: str | None = None
    lr: float | None = None
    method: Method | None = None
    batch_size: int | None = None
    batches_per_epoch: int | None = None
    iterations: int | None = None
    updates: int | None = None
    epochs: float | None = None
    seconds: float | None = None
    training_seconds: float | None = None
    train_loss: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    updates_to_target: int | None = None
    epochs_to_target: int | None = None
    seconds_to_target: float | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """A number over repeated seeds: its mean, lowest and highest."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread | None:
        """Return the spread of the values that exist; ``None`` where none does."""
        known = [value for value in values if value is not None]
        return cls(statistics.fmean(known), min(known), max(known)) if known else None


@dataclass(frozen=True, slots=True)
class Band:
    """The runs of one group: what repeated seeds agree on."""

    group: str
    seeds: tuple[int, ...]
    train_loss: Spread | None
    test_loss: Spread | None
    test_accuracy: Spread | None


def compared_runs(study: Study) -> tuple[ComparedRun, ...]:
    """Return a row for each run of the study, begun or not, in the study's order."""
    return tuple(_compared(study, member) for member in study.members)


def bands(rows: Sequence[ComparedRun]) -> tuple[Band, ...]:
    """Return the spread of each group that has more than one seed."""
    groups: dict[str, list[ComparedRun]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return tuple(
        Band(
            group,
            tuple(row.seed for row in members),
            Spread.of([row.train_loss for row in members]),
            Spread.of([row.test_loss for row in members]),
            Spread.of([row.test_accuracy for row in members]),
        )
        for group, members in groups.items()
        if len(members) > 1
    )


def describe_study(study: Study) -> dict[str, Any]:
    """Return the study as plain values: what `epochal compare --json` prints."""
    rows = compared_runs(study)
    landscapes = {kind: str(study.path / name) for kind, name in study.landscape_files.items()}
    return {
        "study": str(study.path),
        "finished": study.is_finished,
        "data": study.data,
        "compare": study.config.to_dict(),
        "runs": [{"run": str(study.path / row.name), **dataclasses.asdict(row)} for row in rows],
        "bands": [dataclasses.asdict(band) for band in bands(rows)],
        "tuned": [dataclasses.asdict(tuned) for tuned in study.tuned],
        "landscapes": landscapes,
    }


def _compared(study: Study, member: Member) -> ComparedRun:
    from epochal.run.run import Run

    config = member.config
    named: dict[str, Any] = {
        "name": member.name,
        "group": member.name.removesuffix(f"-seed-{config.seed}"),
        "model": config.model,
        "optimizer": config.optimizer,
        "seed": config.seed,
    }
    path = study.path / member.name
    if not (path / "run.toml").exists():
        return ComparedRun(**named, status="missing")
    try:
        return _counted(named, Run.open(path), study.config.target_accuracy)
    except RunError as error:
        return ComparedRun(**named, status="damaged", problem=str(error))


def _counted(named: dict[str, Any], run: Run, target: float) -> ComparedRun:
    history, plan, config = run.history, run.plan, run.config
    epochs, iterations = history.epochs, history.iterations
    tests = [row for row in history.evaluations if row.split == "test"]
    return ComparedRun(
        **{**named, "optimizer": config.optimizer},  # the run knows the model's own, where none was listed
        status=run.status,
        lr=config.lr,
        method=plan.method,
        batch_size=plan.batch_size,
        batches_per_epoch=plan.batches_per_epoch,
        iterations=iterations,
        updates=iterations,
        epochs=plan.samples_after(iterations=iterations) / plan.samples,
        seconds=run.seconds,
        training_seconds=math.fsum(row.seconds for row in epochs),
        train_loss=epochs[-1].train_loss if epochs else None,
        test_loss=tests[-1].loss if tests else None,
        test_accuracy=tests[-1].accuracy if tests else None,
        **_to_target(history, target),
    )


def _to_target(history: History, target: float) -> dict[str, Any]:
    """Return updates, epochs and seconds of training at the first epoch's end that reaches the target accuracy."""
    seconds = 0.0
    for row in history.epochs:
        seconds += row.seconds
        if row.test_accuracy is not None and row.test_accuracy >= target:
            return {
                "updates_to_target": row.end_iteration,
                "epochs_to_target": row.epoch,
                "seconds_to_target": seconds,
            }
    return {}
