"""What a study of batch sizes has found: a row for each size, from its trials at its best rate; read without JAX."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from epochal.study.target import Target, Trial


@dataclass(frozen=True, slots=True)
class SizeRow:
    """What is known of one batch size.

    Attributes:
        lr: the best rate; ``None`` where no trial reached the target.
        is_edge: whether the best rate lies at the end of those that were tried, so that a better one may lie beyond.
        trials: those at the best rate, one for each seed; where no rate reached the target, the one that came nearest.
        microseconds: of one iteration on this machine; ``None`` where it was not measured.
    """

    batch_size: int
    lr: float | None
    is_edge: bool
    trials: tuple[Trial, ...]
    microseconds: float | None = None

    @property
    def steps_of_seeds(self) -> tuple[float, ...]:
        """Updates to the target of each seed that reached it."""
        return tuple(trial.steps for trial in self.trials if trial.steps is not None)

    @property
    def steps(self) -> float | None:
        """Updates to the target: the geometric mean over the seeds that reached it; ``None`` where none did."""
        known = self.steps_of_seeds
        if not known or not all(known):  # no update at all has no logarithm
            return 0.0 if known else None
        return statistics.geometric_mean(known)

    @property
    def samples(self) -> float | None:
        """Samples to the target, each counted as often as it was used."""
        return None if self.steps is None else self.steps * self.batch_size

    def passes(self, samples: int) -> float | None:
        """Return the passes over so many training samples to the target."""
        return None if self.samples is None else self.samples / samples

    @property
    def seconds(self) -> float | None:
        """Seconds of training to the target on this machine, without compilation and evaluations."""
        if self.steps is None or self.microseconds is None:
            return None
        return self.steps * self.microseconds / 1e6

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, what follows from the trials included."""
        return {
            "batch_size": self.batch_size,
            "lr": self.lr,
            "is_edge": self.is_edge,
            "steps": self.steps,
            "samples": self.samples,
            "microseconds": self.microseconds,
            "seconds": self.seconds,
            "trials": [trial.to_dict() for trial in self.trials],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SizeRow:
        """Read `to_dict`'s result."""
        trials = tuple(Trial.from_dict(one) for one in values["trials"])
        lr, microseconds = (None if values.get(one) is None else float(values[one]) for one in ("lr", "microseconds"))
        return cls(values["batch_size"], lr, values["is_edge"], trials, microseconds)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A batch size that was not tried, and why: ``budget``, ``flat`` (larger) or ``scaling`` (smaller)."""

    batch_size: int
    why: str


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """A study of batch sizes: its rows by size, and all that it tried.

    Attributes:
        data, model, optimizer: their names.
        samples: N, trained on.
        held_out: samples that the target was judged on.
        cores: CPU cores that the seconds were measured with.
        rows: those that were tried, by size.
        all_trials: every trial, in the order in which they were made.
        left_out: sizes that were not tried, by size.
        notes: what the user should know of the model or the data.
        noise: measured noise scales, where some were asked for.
        is_predicted: whether the steps were predicted (``--quick``) and not measured.
        branched_from: the run from whose checkpoint all began, and its iteration.
        options: those of a training that were given, by name, but for batch size and rate.
        is_rate_given: whether the learning rate was given, and none searched.
        judge: what said that the target was reached: ``held-out`` samples or the ``test`` set.
        reach: the best held-out value of one training that went on well beyond the target; ``None`` where none did.
    """

    data: str
    model: str
    optimizer: str
    target: Target
    samples: int
    held_out: int
    cores: int
    rows: tuple[SizeRow, ...]
    all_trials: tuple[Trial, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    noise: Mapping[str, Any] | None = None
    is_predicted: bool = False
    branched_from: tuple[str, int] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    is_rate_given: bool = False
    judge: str = "held-out"
    reach: float | None = None

    @property
    def fastest(self) -> SizeRow | None:
        """The row whose target comes soonest on this machine; where no speed is known, after the fewest updates."""
        timed = [row for row in self.rows if row.seconds is not None]
        if timed:
            return min(timed, key=lambda row: row.seconds or math.inf)
        counted = [row for row in self.rows if row.steps is not None]
        return min(counted, key=lambda row: row.steps or math.inf, default=None)

    def row(self, batch_size: int) -> SizeRow | None:
        """Return the row of a size; ``None`` where it was not tried."""
        return next((row for row in self.rows if row.batch_size == batch_size), None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "data": self.data,
            "model": self.model,
            "optimizer": self.optimizer,
            "target": self.target.to_dict(),
            "samples": self.samples,
            "held_out": self.held_out,
            "cores": self.cores,
            "rows": [row.to_dict() for row in self.rows],
            "all_trials": [trial.to_dict() for trial in self.all_trials],
            "left_out": [{"batch_size": one.batch_size, "why": one.why} for one in self.left_out],
            "notes": list(self.notes),
            "noise": None if self.noise is None else dict(self.noise),
            "is_predicted": self.is_predicted,
            "branched_from": None if self.branched_from is None else list(self.branched_from),
            "options": dict(self.options),
            "is_rate_given": self.is_rate_given,
            "judge": self.judge,
            "reach": self.reach,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BatchSizes:
        """Read `to_dict`'s result. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        branched, reach = values.get("branched_from"), values.get("reach")
        return cls(
            data=values["data"],
            model=values["model"],
            optimizer=values["optimizer"],
            target=Target.from_dict(values["target"]),
            samples=values["samples"],
            held_out=values["held_out"],
            cores=values["cores"],
            rows=tuple(SizeRow.from_dict(one) for one in values["rows"]),
            all_trials=tuple(Trial.from_dict(one) for one in values["all_trials"]),
            left_out=tuple(LeftOut(one["batch_size"], one["why"]) for one in values["left_out"]),
            notes=tuple(values["notes"]),
            noise=values.get("noise"),
            is_predicted=values["is_predicted"],
            branched_from=None if branched is None else (branched[0], branched[1]),
            options=values.get("options", {}),
            is_rate_given=values.get("is_rate_given", False),
            judge=str(values.get("judge", "held-out")),
            reach=None if reach is None else float(reach),
        )
