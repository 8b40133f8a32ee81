"""Predicts the updates that every batch size needs from one training: what ``--quick`` answers, within a factor of 2.

Along a training with batches of B, each update gets as far as 1/(1 + 𝓑/B) updates with the whole gradient would, where
𝓑 = tr(HΣ)/GᵀHG at that place. Added up over the way, that gives the fewest updates that any batch size needs, S_min,
and E_min = Σ𝓑/(1 + 𝓑/B), the fewest samples: S(B) = S_min + E_min/B. The theory speaks
of plain gradient descent: momentum and the scaling of other optimizers are not in it, so that those are refused.

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", sections 2.2 and 2.3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epochal.errors import OptionError
from epochal.gradient_noise import Sharpness

WITHIN = 2.0
"""The factor that a predicted number may be wrong by."""

_TENTHS = (1, 3, 5, 7, 9)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted curve of updates against batch size.

    Attributes:
        batch_size, steps: of the one training that was made, and the updates that it needed.
        scales: what was measured on its way.
        s_min: the fewest updates that any batch size needs.
        e_min: the fewest samples that any batch size needs.
    """

    batch_size: int
    steps: float
    scales: tuple[Sharpness, ...]
    s_min: float
    e_min: float

    @property
    def critical(self) -> float:
        """The batch size that needs twice the fewest updates, and twice the fewest samples."""
        return self.e_min / self.s_min

    @property
    def critical_low(self) -> float:
        """It may be half of that."""
        return self.critical / WITHIN

    @property
    def critical_high(self) -> float:
        """Or twice."""
        return self.critical * WITHIN

    def steps_of(self, batch_size: int) -> float:
        """Return the updates that a batch size needs; those of the training's own are as they were counted."""
        return self.s_min + self.e_min / batch_size

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, what follows from them included."""
        return {
            "batch_size": self.batch_size,
            "steps": self.steps,
            "s_min": self.s_min,
            "e_min": self.e_min,
            "critical": self.critical,
            "critical_low": self.critical_low,
            "critical_high": self.critical_high,
            "scales": [one.to_dict() for one in self.scales],  # last, as in the folder's file
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Prediction:
        """Read `to_dict`'s result."""
        scales = (Sharpness(one["trace"], one["trace_error"], one["curvature"]) for one in values["scales"])
        return cls(values["batch_size"], values["steps"], tuple(scales), values["s_min"], values["e_min"])


def checkpoints(steps: float) -> tuple[int, ...]:
    """Return after how many updates of a training the scale is to be measured: the middles of five equal parts.

    >>> checkpoints(319.0), checkpoints(3.0)
    ((32, 96, 160, 223, 287), (0, 1, 2, 3))
    """
    return tuple(sorted({round(steps * tenth / 10) for tenth in _TENTHS}))


def predict(batch_size: int, steps: float, scales: Sequence[Sharpness]) -> Prediction:
    """Return the curve from one training of ``batch_size`` that needed ``steps`` updates, and scales on its way.

    A place where the scale is not told, as the loss does not curve upwards, counts for nothing. Raises `OptionError`
    where there is no other.

    >>> flat = predict(64, 300.0, [Sharpness(trace=64.0, trace_error=1.0, curvature=1.0)] * 5)
    >>> flat.s_min, flat.e_min, flat.critical, flat.steps_of(64), flat.steps_of(1)
    (150.0, 9600.0, 64.0, 300.0, 9750.0)
    """
    known = [one.value for one in scales if math.isfinite(one.value) and one.value > 0]
    if not known:
        raise OptionError(
            "the curve cannot be predicted: at no place of the pilot run does the loss curve upwards along its "
            "gradient; leave out --quick, so that it is measured"
        )
    each = steps / len(known)
    s_min = math.fsum(each / (1 + scale / batch_size) for scale in known)
    e_min = math.fsum(each * scale / (1 + scale / batch_size) for scale in known)
    return Prediction(batch_size, steps, tuple(scales), s_min, e_min)


def refuse_quick(optimizer: str) -> None:
    """Refuse to predict for any optimizer but plain gradient descent: raises `OptionError`."""
    if optimizer != "sgd":
        raise OptionError(
            f"--quick predicts from the noise of gradients, which knows nothing of what {optimizer} makes of them: for "
            "momentum it is 3 times too low; leave out --quick, so that the curve is measured, or take sgd"
        )
