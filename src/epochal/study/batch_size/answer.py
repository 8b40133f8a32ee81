"""The answer to "which batch size?", from what a study measured: a range before a point, and what larger batches bring.

Everything here is arithmetic on a study's rows; `sentences` says it in words.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np

from epochal.config.command_words import as_argument, option_words
from epochal.config.train_config import TRAIN
from epochal.study.batch_size.curve import Curve, fit_curve
from epochal.study.batch_size.rate_rule import RateRule
from epochal.study.batch_size.trials import BatchSizes, SizeRow

Mark: TypeAlias = Literal["scaling", "diminishing", "flat", "missed"]

AS_FAST = 1.5
"""Sizes that take at most so many times as long as the fastest are as good an answer."""

_FEW_SAMPLES = 1.5  # times the fewest: twice the batch has about halved the updates up to here
_FEW_STEPS = 1.2  # times the fewest: twice the batch saves no updates from here on
_UNSTEADY = 1.3  # times a larger size's iteration
_NEAR = 0.9  # of the errors that the target allows: a best that makes more of them is not far beyond it
_PREDICTED_WITHIN = 2.0  # of a knee that was predicted and not measured


@dataclass(frozen=True)
class Answer:
    """What a study of batch sizes says.

    Attributes:
        study: all that was measured.
    """

    study: BatchSizes

    @classmethod
    def of(cls, study: BatchSizes) -> Answer:
        """Return what a study says."""
        return cls(study)

    @property
    def rows(self) -> tuple[SizeRow, ...]:
        """What was measured of each batch size, by size."""
        return self.study.rows

    @property
    def noise(self) -> Mapping[str, Any] | None:
        """The noise scales that were measured, where some were asked for."""
        return self.study.noise

    # --- which one -----------------------------------------------------------------------------------------------

    @property
    def best(self) -> int | None:
        """The batch size that reaches the target soonest on this machine; ``None`` where none reached it."""
        row = self.study.fastest
        return None if row is None or row.steps is None else row.batch_size

    @property
    def range(self) -> tuple[int, int] | None:
        """The smallest and largest of the sizes around the best one that take at most `AS_FAST` times as long."""
        if self.best is None:
            return None
        reached = [row for row in self.rows if row.steps is not None]
        place = next(i for i, row in enumerate(reached) if row.batch_size == self.best)
        low = high = place
        while low > 0 and self._is_as_fast(reached[low - 1]):
            low -= 1
        while high < len(reached) - 1 and self._is_as_fast(reached[high + 1]):
            high += 1
        return reached[low].batch_size, reached[high].batch_size

    def slower(self, row: SizeRow) -> float | None:
        """Return how many times as long as the best one a size takes; ``None`` where that is not known."""
        best = self.study.fastest
        if best is None or best.seconds is None:
            return None
        return None if row.seconds is None else row.seconds / best.seconds

    def _is_as_fast(self, row: SizeRow) -> bool:
        times = self.slower(row)
        return times is not None and times <= AS_FAST

    @property
    def unsteady(self) -> tuple[SizeRow, SizeRow] | None:
        """A size whose iteration took clearly longer than a larger one's, and that one: the machine was busy then."""
        timed = [row for row in self.rows if row.microseconds is not None]
        for row, larger in itertools.combinations(timed, 2):
            if (row.microseconds or 0) > _UNSTEADY * (larger.microseconds or 0):
                return row, larger
        return None

    @property
    def is_near_the_best(self) -> bool:
        """Whether the target lies so near the best in reach that chance decides when a training meets it."""
        reach = self.study.reach
        return reach is not None and self.study.target.distance(reach) > _NEAR

    # --- what larger batches bring -------------------------------------------------------------------------------

    @cached_property
    def curve(self) -> Curve | None:
        """The fitted law; ``None`` below five sizes."""
        curve = fit_curve({row.batch_size: list(row.steps_of_seeds) for row in self.rows})
        return _widened(curve) if curve is not None and self.study.is_predicted else curve

    @property
    def critical(self) -> tuple[float, float, float] | None:
        """The critical batch size, and its lowest and highest likely value; ``None`` where no fit is shown."""
        curve = self.curve
        return None if curve is None else (curve.critical, curve.critical_low, curve.critical_high)

    @property
    def alpha(self) -> float | None:
        """How sharp the fitted knee is; 1 is a hyperbola."""
        return None if self.curve is None else self.curve.alpha

    def mark(self, row: SizeRow) -> Mark:
        """Return what a batch of this size buys.

        ``scaling``: its samples are near the fewest, so that twice the batch has halved the updates; ``flat``: its
        updates are near the fewest, so that more batch saves none; ``missed``: the target was not reached.
        """
        if row.steps is None or row.samples is None:
            return "missed"
        fewest_steps, fewest_samples = self._fewest
        if row.samples <= _FEW_SAMPLES * fewest_samples:
            return "scaling"
        return "flat" if row.steps <= _FEW_STEPS * fewest_steps else "diminishing"

    def marked(self, mark: Mark) -> tuple[int, ...]:
        """Return the sizes with a mark."""
        return tuple(row.batch_size for row in self.rows if self.mark(row) == mark)

    @property
    def extrapolated(self) -> tuple[tuple[int, float], ...]:
        """Sizes that were left out, and the updates that the law gives them; none where it has no knee."""
        if self.curve is None or not self.curve.has_knee:
            return ()
        sizes = [one.batch_size for one in self.study.left_out]
        steps = self.curve.steps(np.array(sizes, np.float64))
        return tuple(zip(sizes, steps.tolist(), strict=True))

    @property
    def _fewest(self) -> tuple[float, float]:
        """The fewest updates and samples; a single lucky size does not decide them where there is a law."""
        steps = min(row.steps for row in self.rows if row.steps is not None)
        samples = min(row.samples for row in self.rows if row.samples is not None)
        curve = self.curve
        if curve is None or not curve.has_knee:
            return steps, samples
        return max(steps, curve.s_min), max(samples, curve.e_min)

    # --- the learning rate ---------------------------------------------------------------------------------------

    @property
    def is_rate_given(self) -> bool:
        """Whether the learning rate was given, and none searched for."""
        return self.study.is_rate_given

    @property
    def rates(self) -> RateRule | None:
        """How the best rate grew with the batch size; ``None`` where it was given, or for fewer than three sizes."""
        known = {row.batch_size: row.lr for row in self.rows if row.lr is not None and row.steps is not None}
        return None if self.is_rate_given else RateRule.of(known)

    # --- what to do with it --------------------------------------------------------------------------------------

    @property
    def next_command(self) -> str | None:
        """The command that trains with the best size at its best rate, as it is typed; ``None`` where there is none."""
        row = self.study.fastest
        if row is None or row.steps is None or row.lr is None:
            return None
        found: dict[str, Any] = {"batch_size": row.batch_size, "lr": float(f"{row.lr:.3g}")}
        if self.study.branched_from is not None:
            run, iteration = self.study.branched_from
            found["iterations"] = iteration + math.ceil(row.steps)
            return shlex.join(["epochal", "resume", as_argument(run), *option_words(found, TRAIN)])
        options = {**self.study.options, **found}
        return shlex.join(["epochal", "train", as_argument(self.study.data), *option_words(options, TRAIN)])

    # --- for programs --------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: the answer, then all of the study with a mark for each row."""
        study = self.study.to_dict()
        for values, row in zip(study["rows"], self.rows, strict=True):
            seeds = row.steps_of_seeds
            values |= {
                "mark": self.mark(row),
                "passes": row.passes(self.study.samples),
                "steps_low": min(seeds, default=None),
                "steps_high": max(seeds, default=None),
                "times_as_long": self.slower(row),
            }
        return {
            "best": self.best,
            "range": None if self.range is None else list(self.range),
            "critical": self._critical_values(),
            "fit": self._fit_values(),
            "learning_rate": None if self.rates is None else dataclasses.asdict(self.rates),
            "next": self.next_command,
            "extrapolated": [{"batch_size": size, "steps": steps} for size, steps in self.extrapolated],
            **study,
        }

    def _critical_values(self) -> dict[str, Any] | None:
        curve = self.curve
        if curve is None:
            return None
        low, high = curve.critical_low, curve.critical_high
        return {"value": curve.critical, "low": low, "high": high, "is_among_sizes": curve.has_knee}

    def _fit_values(self) -> dict[str, Any] | None:
        curve = self.curve
        if curve is None:
            return None
        return {
            "s_min": curve.s_min,
            "e_min": curve.e_min,
            "alpha": curve.alpha,
            "alpha_low": curve.alpha_low,
            "alpha_high": curve.alpha_high,
            "largest_residual": curve.residual,
            "largest_residual_at": curve.residual_at,
        }


def _widened(curve: Curve) -> Curve:
    """Return a law of predicted points, whose own spread is none: its knee is known to a factor of two."""
    laws = np.tile(np.log([curve.s_min, curve.critical, curve.alpha]), (3, 1))
    laws[:, 1] += np.array([-1, 0, 1]) * math.log(_PREDICTED_WITHIN)
    low, high = curve.critical / _PREDICTED_WITHIN, curve.critical * _PREDICTED_WITHIN
    return dataclasses.replace(curve, critical_low=low, critical_high=high, draws=laws)
