"""A target of trainings, such as an accuracy of 0.97 on held-out samples, and what a trial that trains to it tells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from epochal.errors import OptionError

TargetMetric: TypeAlias = Literal["accuracy", "loss"]
Ending: TypeAlias = Literal["reached", "cut", "diverged", "limit"]


@dataclass(frozen=True, slots=True)
class Target:
    """A value on held-out samples that training is to reach: an accuracy or more, or a loss or less.

    >>> str(Target("accuracy", 0.97)), Target("loss", 0.2).is_reached(0.19)
    ('97 % accuracy', True)
    """

    metric: TargetMetric
    value: float

    def __post_init__(self) -> None:
        if self.metric == "accuracy" and not 0 < self.value < 1:
            raise OptionError(f"a target accuracy must be above 0 and below 1, got {self.value:g}")
        if self.metric == "loss" and not (math.isfinite(self.value) and self.value > 0):
            raise OptionError(f"a target loss must be a finite number above 0, got {self.value:g}")

    def is_reached(self, value: float) -> bool:
        """Return whether a value is the target or better; NaN never is."""
        return value >= self.value if self.metric == "accuracy" else value <= self.value

    def nearer(self, one: float, other: float) -> float:
        """Return the better one of two values."""
        if math.isnan(one) or math.isnan(other):
            return other if math.isnan(one) else one
        return max(one, other) if self.metric == "accuracy" else min(one, other)

    def distance(self, value: float) -> float:
        """Return how many times the error that the target allows is made: 1 at the target, more before it.

        >>> round(Target("accuracy", 0.9).distance(0.8), 6)
        2.0
        """
        if self.metric == "accuracy":
            return (1 - value) / (1 - self.value)
        return value / self.value

    def __str__(self) -> str:
        return f"{100 * self.value:g} % accuracy" if self.metric == "accuracy" else f"a loss of {self.value:g}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"metric": self.metric, "value": self.value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Target:
        """Read `to_dict`'s result. Raises `ValueError` for anything else."""
        if values["metric"] not in get_args(TargetMetric):
            raise ValueError(f"a target's metric is {values['metric']!r:.40}")
        return cls(values["metric"], float(values["value"]))


@dataclass(frozen=True, slots=True)
class Trial:
    """One training to a target.

    Attributes:
        steps: updates until the target was reached, interpolated between evaluations; ``None`` where it was not.
        why: how it ended: ``reached``; ``cut``, as another rate is better already; ``diverged``; or at its ``limit``.
        nearest: the best value that was seen on the held-out samples.
        updates: how many were made.
    """

    batch_size: int
    lr: float
    seed: int
    steps: float | None
    why: Ending
    nearest: float
    updates: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without ``steps`` where the target was not reached."""
        steps = {} if self.steps is None else {"steps": self.steps}
        return {
            "batch_size": self.batch_size,
            "lr": self.lr,
            "seed": self.seed,
            **steps,
            "why": self.why,
            "nearest": self.nearest,
            "updates": self.updates,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trial:
        """Read `to_dict`'s result. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        if values["why"] not in get_args(Ending):
            raise ValueError(f"a trial ended by {values['why']!r:.40}")
        steps = values.get("steps")
        return cls(
            int(values["batch_size"]),
            float(values["lr"]),
            int(values["seed"]),
            None if steps is None else float(steps),
            values["why"],
            float(values["nearest"]),
            int(values["updates"]),
        )
