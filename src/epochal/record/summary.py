"""A run in plain records: what `epochal show --json` prints, and what was planned beside what was counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from epochal.clock import Plan
from epochal.record.events import EpochRow
from epochal.record.history import History

if TYPE_CHECKING:
    from epochal.run.run import Run


@dataclass(frozen=True, slots=True)
class Fact:
    """One number of the worked example: computed from the plan, and counted while training."""

    name: str
    planned: int
    counted: int

    @property
    def agrees(self) -> bool:
        """Whether training did what was planned."""
        return self.planned == self.counted


def planned_beside_counted(plan: Plan, history: History) -> list[Fact]:
    """Return each fact of the plan beside its count from the history, for a run that is at its end.

    The counts come from what training recorded: one loss for each iteration that ran, and one row for each epoch with
    the samples that the device gathered.
    """
    epochs = [row for row in history.epochs if row.complete]
    facts = []
    if epochs:
        facts = [
            Fact("batches per epoch", plan.batches_per_epoch, _shared([row.iterations for row in epochs])),
            Fact("samples per epoch", plan.samples_per_epoch, _shared([row.samples for row in epochs])),
        ]
    if len(epochs) >= 10 and plan.full_epochs > 10:
        facts.append(Fact("updates after 10 epochs", plan.iterations_after(epochs=10), epochs[9].end_iteration))
    return [
        *facts,
        Fact("full epochs", plan.full_epochs, len(epochs)),
        Fact("iterations = weight updates", plan.updates, len(history.losses)),
        Fact("samples used", plan.samples_used, sum(row.samples for row in history.epochs)),
        Fact("epochs with each sample exactly once", plan.full_epochs, sum(row.is_exact for row in epochs)),
    ]


def _shared(counts: list[int]) -> int:
    """Return the count that all epochs have, or the first that differs from the first epoch's."""
    return next((count for count in counts if count != counts[0]), counts[0])


def describe_run(run: Run) -> dict[str, Any]:
    """Return the run as plain values. Raises `RunError` where it holds nothing yet."""
    history, plan, position = run.history, run.plan, run.position
    rows = history.epochs
    return {
        "run": str(run.path),
        "status": run.status,
        "config": run.config.to_dict(),
        "data": run.file.data,
        "model": run.file.model,
        "plan": plan.facts(),
        "position": {"iteration": position.iteration, "epoch": position.epoch, "offset": position.offset},
        "epochs": [_epoch(row) for row in rows if row.complete],
        "partial_epoch": next((_epoch(row) for row in rows if not row.complete), None),
        "weights_sha256": run.weights_sha256,
        "seconds": run.seconds,
        "iterations_per_second": run.iterations_per_second,
        "sessions": len(history.sessions),
        "versions": run.file.versions,
        "device": run.file.device,
    }


def _epoch(row: EpochRow) -> dict[str, Any]:
    return {
        "epoch": row.epoch,
        "iterations": row.iterations,
        "end_iteration": row.end_iteration,
        "samples": row.samples,
        "train_loss": row.train_loss,
        "test_loss": row.test_loss,
        "test_accuracy": row.test_accuracy,
        "seconds": row.seconds,
        "audit": {
            "exact": row.is_exact,
            "samples": row.samples,
            "expected_samples": row.expected_samples,
            "hash": row.audit_hash,
            "expected_hash": row.expected_hash,
        },
    }
