"""How the best learning rate grew with the batch size: in proportion, with its square root, or not; and up to where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

Growth: TypeAlias = Literal["linear", "root", "none"]

_POWERS: dict[Growth, float] = {"linear": 1.0, "root": 0.5}
_LEAST_SIZES = 3
_STANDS = 2.0  # rates within such a factor do not grow: a search by factors of two tells no less


@dataclass(frozen=True, slots=True)
class RateRule:
    """The best rates in a few words: ``factor`` · B^power up to the size ``until``, and ``then`` beyond.

    Attributes:
        growth: ``linear`` (Goyal et al. 2017), ``root`` (Malladi et al. 2022, for Adam) or ``none``.
        factor: of B, of √B, or the rate itself where it does not grow.
        until: the largest size that the growth holds for.
        then: the rate beyond.
        is_to_the_end: whether it grew up to the largest size, so that no rate beyond is known.
    """

    growth: Growth
    factor: float
    until: int
    then: float
    is_to_the_end: bool

    @classmethod
    def of(cls, rates: Mapping[int, float]) -> RateRule | None:
        """Return the rule that comes nearest to these best rates by size; ``None`` for fewer than three sizes.

        >>> rule = RateRule.of({1: 0.01, 4: 0.04, 16: 0.16, 64: 0.64, 256: 0.64, 1024: 0.64})
        >>> rule.growth, round(rule.factor, 4), rule.until, round(rule.then, 4)
        ('linear', 0.01, 64, 0.64)
        """
        if len(rates) < _LEAST_SIZES:
            return None
        sizes = sorted(rates)
        logs = np.log([rates[size] for size in sizes])
        if np.ptp(logs) < math.log(_STANDS) * 1.01:
            rate = float(np.exp(logs.mean()))
            return cls("none", rate, sizes[-1], rate, is_to_the_end=True)

        # each growth up to each size: the nearest one in logarithms, the linear one where two are equally near
        best: tuple[float, RateRule] | None = None
        for growth, power in _POWERS.items():
            for until in sizes[1:]:
                bent = power * np.log(np.minimum(sizes, until))
                level = float((logs - bent).mean())
                distance = float(np.square(logs - bent - level).sum())
                if best is None or distance < best[0] - 1e-9:
                    then = math.exp(level) * until**power
                    best = distance, cls(growth, math.exp(level), until, then, is_to_the_end=until == sizes[-1])
        return None if best is None else best[1]
