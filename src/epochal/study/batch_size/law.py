"""The law S(B) = S_min (1 + (B_crit / B)^α)^(1/α) and its least squares: many fits at once, as a bootstrap needs them.

SciPy's solver fits one law in milliseconds; hundreds of them at once, as arrays, take no more.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float

BLUNTEST, SHARPEST = 0.7, 8.0
"""Between which α is looked for; measured ones lie between 0.9 and 5."""

_SOFT = 0.1  # residuals of logarithms above this count less than squared
_BEYOND = 4.0  # B_crit is looked for so many times outside the sizes of its points
_ITERATIONS = 60
_DAMPING, _LESS, _MORE = 1e-2, 0.3, 4.0
_LEAST = 1e-9  # of a diagonal, so that it can be inverted

Laws = Float[np.ndarray, "fits 3"]
"""The logarithms of S_min, B_crit and α, one law a row."""
Points = Float[np.ndarray, "fits points"]


def log_steps(law: Float[np.ndarray, "*fits 3"], logs: Float[np.ndarray, "*points"]) -> Float[np.ndarray, "*values"]:
    """Return log S of laws at these logarithms of B; the shapes before the last one are broadcast."""
    s_min, critical, alpha = law[..., 0], law[..., 1], np.exp(law[..., 2])
    bent: Float[np.ndarray, "*values"] = s_min + np.logaddexp(0.0, alpha * (critical - logs)) / alpha
    return bent


def fit_laws(logs: Points, means: Points, start: Float[np.ndarray, " 3"]) -> Laws:
    """Return the law that is nearest to each row of points, by Levenberg and Marquardt's damped least squares.

    Large residuals count less than squared ("soft L1": 2 (√(1 + r²) − 1)), so that one bad point moves a law little.

    Args:
        logs: the logarithms of each fit's batch sizes.
        means: the logarithms of the updates there.
        start: a law to begin with.
    """
    low, high = _bounds(logs)
    laws: Laws = np.clip(np.tile(start, (len(logs), 1)), low, high)
    damping = np.full(len(laws), _DAMPING)
    cost = _cost(laws, logs, means)
    for _ in range(_ITERATIONS):
        tried = np.clip(laws - _step(laws, logs, means, damping, low, high), low, high)
        new = _cost(tried, logs, means)
        is_better = new < cost
        laws = np.where(is_better[:, None], tried, laws)
        cost = np.where(is_better, new, cost)
        damping = np.clip(damping * np.where(is_better, _LESS, _MORE), 1e-9, 1e9)
    return laws


def _bounds(logs: Points) -> tuple[Laws, Laws]:
    room, nothing = math.log(_BEYOND), np.full(len(logs), math.inf)
    low = np.stack([-nothing, logs.min(axis=1) - room, np.full(len(logs), math.log(BLUNTEST))], axis=1)
    high = np.stack([nothing, logs.max(axis=1) + room, np.full(len(logs), math.log(SHARPEST))], axis=1)
    return low, high


def _cost(laws: Laws, logs: Points, means: Points) -> Float[np.ndarray, " fits"]:
    residuals = (log_steps(laws[:, None], logs) - means) / _SOFT
    cost: Float[np.ndarray, " fits"] = (np.sqrt(1 + residuals**2) - 1).sum(axis=1)
    return cost


def _step(laws: Laws, logs: Points, means: Points, damping: Float[np.ndarray, " fits"], low: Laws, high: Laws) -> Laws:
    """Return what to subtract from the laws; nothing from a parameter that would leave its bounds."""
    residuals = log_steps(laws[:, None], logs) - means
    weights = 1 / np.sqrt(1 + (residuals / _SOFT) ** 2)
    slopes = _slopes(laws, logs)
    downhill = np.einsum("fpk,fp,fp->fk", slopes, weights, residuals)
    is_held: Bool[np.ndarray, "fits 3"] = ((laws <= low) & (downhill > 0)) | ((laws >= high) & (downhill < 0))
    slopes = np.where(is_held[:, None], 0.0, slopes)
    downhill = np.where(is_held, 0.0, downhill)

    # the curvature, its diagonal made larger by the damping
    curved = np.einsum("fpk,fp,fpl->fkl", slopes, weights, slopes)
    diagonal = np.einsum("fkk->fk", curved)
    damped = curved + (damping[:, None] * diagonal + _LEAST)[:, :, None] * np.eye(3)
    step: Laws = np.linalg.solve(damped, downhill[..., None])[..., 0]
    return step


def _slopes(laws: Laws, logs: Points) -> Float[np.ndarray, "fits points 3"]:
    """Return the derivatives of log S by the three logarithms."""
    alpha = np.exp(laws[:, None, 2])
    away = laws[:, None, 1] - logs
    share = np.exp(alpha * away - np.logaddexp(0.0, alpha * away))  # of perfect scaling at each size
    by_alpha = share * away - np.logaddexp(0.0, alpha * away) / alpha
    return np.stack([np.ones_like(logs), share, by_alpha], axis=2)
