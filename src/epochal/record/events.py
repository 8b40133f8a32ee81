"""What a training reports while it runs: plain records, for any listener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from epochal.clock import Plan, Position


@dataclass(frozen=True, slots=True)
class Started:
    """Training begins, or goes on, at ``position``."""

    position: Position
    plan: Plan
    compile_seconds: float


@dataclass(frozen=True, slots=True)
class Progressed:
    """A chunk of iterations is done.

    Attributes:
        loss: mean over the samples of the chunk's iterations.
        seconds: spent in training chunks since this process started.
        iterations: done in those seconds.
    """

    position: Position
    loss: float
    seconds: float
    iterations: int

    @property
    def iterations_per_second(self) -> float:
        """Iterations over the time spent in training chunks."""
        return self.iterations / self.seconds if self.seconds else 0.0


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
        test_loss, test_accuracy: from the evaluation at its end, if there was one (accuracy: 0 to 1).
        seconds: spent in its training chunks.
        audit_hash: order-independent hash of the sample indices that were really used.
        expected_hash: what that hash had to be.
    """

    epoch: int
    end_iteration: int
    iterations: int
    samples: int
    expected_samples: int
    complete: bool
    train_loss: float
    test_loss: float | None
    test_accuracy: float | None
    seconds: float
    audit_hash: str
    expected_hash: str

    @property
    def is_exact(self) -> bool:
        """Whether each sample was used exactly as often as planned."""
        return self.samples == self.expected_samples and self.audit_hash == self.expected_hash


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """An epoch is complete, or the budget ended inside it."""

    position: Position
    row: EpochRow


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the user should know and that does not stop the training."""

    message: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Training is over, or was stopped, at ``position``."""

    position: Position
    status: str


Event: TypeAlias = Started | Progressed | EpochEnded | Warned | Ended
Listener: TypeAlias = Callable[[Event], None]
