"""The rows of a history, which are also what callbacks are told: what an epoch, an evaluation, a process did."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Metrics: TypeAlias = Mapping[str, float]
"""Values of metrics by name, ``loss`` first; accuracies and the like are 0 to 1."""


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """An evaluation of a split after ``iteration`` iterations, over each of its samples once."""

    iteration: int
    split: str
    samples: int
    metrics: Metrics

    @property
    def loss(self) -> float:
        """The mean loss over the samples; NaN where it is not finite or was not recorded."""
        return self.metrics.get("loss", math.nan)

    @property
    def accuracy(self) -> float | None:
        """The share of samples classified correctly, 0 to 1; ``None`` where that was not measured."""
        return self.metrics.get("accuracy")

    def sort_key(self) -> tuple[float, float]:
        """Return a key that sorts the better evaluation first: the higher accuracy, then the lower loss."""
        return (-(self.accuracy or 0.0), math.inf if math.isnan(self.loss) else self.loss)


def best_evaluation(rows: Iterable[EvaluationRow]) -> EvaluationRow | None:
    """Return the best evaluation of the validation set, the first of several; the test set selects nothing."""
    return min((row for row in rows if row.split == "validation"), key=EvaluationRow.sort_key, default=None)


def metric_names(rows: Iterable[EvaluationRow]) -> list[str]:
    """Return the metrics that any of these evaluations has, the loss first, without those of single classes."""
    names = dict.fromkeys(name for row in rows for name in row.metrics if "/" not in name)
    return sorted(names, key=lambda name: name != "loss")


@dataclass(frozen=True, slots=True)
class EpochRow:
    """What one epoch did.

    Attributes:
        epoch: how many epochs are complete with this one: 1 for the first. An epoch that the budget cut short has the
            number that it would have had.
        end_iteration: iterations of the whole run at its end.
        iterations: updates in this epoch.
        samples: samples that were really used in this epoch.
        expected_samples: samples that had to be used by then.
        complete: whether the epoch came to its end.
        train_loss: the mean, weighted by samples, of the losses that its batches had when they were used.
        seconds: spent in its training chunks.
        audit_hash: order-independent hash of the sample indices that were really used.
        expected_hash: what that hash had to be.
        test: metrics of the test set from the evaluation at its end; empty where there was none.
    """

    epoch: int
    end_iteration: int
    iterations: int
    samples: int
    expected_samples: int
    complete: bool
    train_loss: float
    seconds: float
    audit_hash: str
    expected_hash: str
    test: Metrics = field(default_factory=dict)

    @property
    def is_exact(self) -> bool:
        """Whether each sample was used exactly as often as planned."""
        return self.samples == self.expected_samples and self.audit_hash == self.expected_hash

    @property
    def test_loss(self) -> float | None:
        """The mean loss over the test set at its end, if it was evaluated there."""
        return self.test.get("loss")

    @property
    def test_accuracy(self) -> float | None:
        """The accuracy on the test set at its end, 0 to 1, if it was measured there."""
        return self.test.get("accuracy")


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One process's work on the run.

    Attributes:
        started: UTC, ISO 8601.
        seconds: from the start of its training to the last commit.
        chunk_seconds: of these, in training chunks: without compilation and evaluation.
        status: running, finished, stopped, changed, diverged, failed or interrupted.
    """

    started: str
    first_iteration: int
    end_iteration: int
    seconds: float
    chunk_seconds: float
    status: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened: started, resumed, stopped, changed, warned."""

    time: str
    iteration: int
    kind: str
    detail: dict[str, Any]
