"""The law behind measured points: how the updates that a training needs fall with the batch size, and how far.

S(B) = S_min (1 + (B_crit / B)^α)^(1/α). Small batches scale perfectly: twice the batch, half the updates, and
E_min = S_min · B_crit samples in all. Large ones need S_min updates, whatever their size. B_crit lies between; α says
how sharp the knee is. α = 1 is (S / S_min − 1)(E / E_min − 1) = 1.

Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", section 2.3; the exponent is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from epochal.study.batch_size.law import fit_laws, log_steps

LEAST_SIZES = 5
"""Batch sizes that a fit of three parameters needs before it says anything."""

_SEED = 20_181_214  # of the draws, so that the same points have the same interval
_NOISE = 0.1  # of the logarithm of one training's updates: the seeds', the grid of evaluations' and of rates'
_FEWEST_DISTINCT = 4  # sizes of a draw
_DRAWS = 200
_INTERVAL = (5.0, 95.0)

Points = Float[np.ndarray, " sizes"]
Law = Float[np.ndarray, " 3"]
"""The logarithms of S_min, B_crit and α."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted law, and how sure it is.

    Attributes:
        s_min: updates that no batch size gets below.
        critical: B_crit, in samples.
        critical_low, critical_high: 5 % to 95 % of what a bootstrap over sizes and seeds gives.
        alpha: how sharp the knee is; 1 is a hyperbola.
        alpha_low, alpha_high: its interval.
        residual: the largest distance of a point from the law, of logarithms: 0.1 is about 10 %.
        residual_at: the batch size of that point.
        smallest, largest: the batch sizes that were measured; outside of them the law is extrapolated.
        draws: the laws of the bootstrap.
    """

    s_min: float
    critical: float
    critical_low: float
    critical_high: float
    alpha: float
    alpha_low: float
    alpha_high: float
    residual: float
    residual_at: int
    smallest: int
    largest: int
    draws: Float[np.ndarray, "draws 3"] = field(repr=False, compare=False)

    @property
    def e_min(self) -> float:
        """Samples that no batch size gets below."""
        return self.s_min * self.critical

    @property
    def has_knee(self) -> bool:
        """Whether the knee lies among the measured sizes; else its place is a bound, not a value."""
        return self.smallest < self.critical < self.largest

    def steps(self, batch_sizes: Points) -> Points:
        """Return the updates that the law gives at these batch sizes."""
        steps: Points = np.exp(log_steps(self._law, np.log(batch_sizes)))
        return steps

    def band(self, batch_sizes: Points) -> tuple[Points, Points]:
        """Return the 5 % and 95 % of the bootstrap's laws at these batch sizes."""
        low, high = np.percentile(log_steps(self.draws[:, None], np.log(batch_sizes)), _INTERVAL, axis=0)
        return np.exp(low), np.exp(high)

    @property
    def _law(self) -> Law:
        law: Law = np.log([self.s_min, self.critical, self.alpha])
        return law


def fit_curve(steps: Mapping[int, Sequence[float]]) -> Curve | None:
    """Fit the law to the updates that trainings needed: least squares of logarithms, large residuals counting less.

    The interval is a bootstrap's: sizes are drawn with replacement, then the seeds of each, and every draw has a
    single training's noise of 10 %, of which two seeds alone tell little. The same points give the same interval.

    >>> curve = fit_curve({size: [100 * (1 + 32 / size)] for size in (1, 4, 16, 64, 256, 1024)})
    >>> round(curve.s_min), round(curve.critical), round(curve.alpha, 2)
    (100, 32, 1.0)

    Args:
        steps: of each batch size, the updates of each seed that reached the target; a size may have none.

    Returns:
        The law; ``None`` below `LEAST_SIZES` sizes that have some.
    """
    reached = {size: np.log(np.asarray(some, np.float64)) for size, some in sorted(steps.items()) if len(some)}
    if len(reached) < LEAST_SIZES:
        return None
    logs = np.log(np.array(list(reached), np.float64))
    means = np.array([some.mean() for some in reached.values()])

    start = np.array([means.min(), (logs[0] + logs[-1]) / 2, 0.0])
    (law,) = fit_laws(logs[None], means[None], start)
    laws = _bootstrap(logs, list(reached.values()), law)
    away = np.abs(log_steps(law, logs) - means)

    s_min, critical, alpha = np.exp(law)
    (_, critical_low, alpha_low), (_, critical_high, alpha_high) = np.exp(np.percentile(laws, _INTERVAL, axis=0))
    return Curve(
        s_min=float(s_min),
        critical=float(critical),
        critical_low=float(min(critical_low, critical)),
        critical_high=float(max(critical_high, critical)),
        alpha=float(alpha),
        alpha_low=float(min(alpha_low, alpha)),
        alpha_high=float(max(alpha_high, alpha)),
        residual=float(away.max()),
        residual_at=list(reached)[int(away.argmax())],
        smallest=min(reached),
        largest=max(reached),
        draws=laws,
    )


def _bootstrap(logs: Points, seeds: Sequence[Float[np.ndarray, " _"]], law: Law) -> Float[np.ndarray, "draws 3"]:
    """Return the laws of drawn sizes and drawn seeds."""
    draw = np.random.default_rng(_SEED)
    places = np.stack([_drawn_sizes(len(logs), draw) for _ in range(_DRAWS)])
    means = np.empty(places.shape)
    for row, column in np.ndindex(*places.shape):
        some = seeds[int(places[row, column])]
        noise = draw.normal(scale=_NOISE / np.sqrt(len(some)))
        means[row, column] = draw.choice(some, len(some)).mean() + noise
    return fit_laws(logs[places], means, law)


def _drawn_sizes(number: int, draw: np.random.Generator) -> Int[np.ndarray, " sizes"]:
    """Draw sizes with replacement; as few as one or two of them would not determine a law."""
    while True:
        places = draw.integers(0, number, number)
        if np.unique(places).size >= min(number, _FEWEST_DISTINCT):
            return places
