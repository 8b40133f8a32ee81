"""The pilot: a first training that says where to begin, and the target where none is given.

The target then is the held-out loss three quarters of the way, in its logarithm, from the beginning to the best that
the pilot saw: near the best, the loss falls so slowly that two seeds cross it at very different times.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from epochal.errors import OptionError
from epochal.study.batch_size.kept import Pilot
from epochal.study.target import Target
from epochal.study.to_target import ToTarget

_PASSES, _FEWEST_UPDATES = 5, 400
_WAY = 0.75
_LEARNED = 0.9
_STEP = 2.0
_MOST_CLIMBS = 8
_PATIENCE = 2.0  # times the updates of the best, after which nothing better is waited for
_TOO_FEW = 50  # updates, before which nothing is given up


@dataclass(frozen=True, slots=True)
class Curve:
    """The held-out loss before a training and its lowest on the way; infinite where it diverged."""

    lr: float
    begun: float
    best: float


def run_pilot(
    trials: ToTarget,
    *,
    batch_size: int,
    lr: float,
    seed: int,
    samples: int,
    climbs: bool = True,
    learned: float = _LEARNED,
) -> Pilot:
    """Train with several rates, or with this one alone, and return the best, with the target that it says.

    ``learned`` is the share of the loss at the beginning that it must get below. Raises `OptionError` where none of
    them does.
    """
    limit = max(_PASSES * samples // batch_size, _FEWEST_UPDATES)

    def curve(rate: float) -> Curve:
        return _curve(trials, batch_size, float(f"{rate:.6g}"), seed, limit)

    curves = _climb(curve, lr) if climbs else [curve(lr)]
    best = min(curves, key=lambda one: one.best)
    rates = sorted(one.lr for one in curves)
    if not math.isfinite(best.best):
        raise diverged(rates[0], rates[-1], batch_size)
    if best.best > learned * best.begun:
        raise OptionError(
            f"a first training with batch size {batch_size} brought the held-out loss from {best.begun:.4g} to "
            f"{best.best:.4g} at best in {limit:,} updates, which is too little to compare batch sizes by; look at the "
            "data and the model, or give a target that is reached later: --target-loss"
        )
    target = Target("loss", float(f"{best.best**_WAY * best.begun ** (1 - _WAY):.3g}"))
    return Pilot(target, best.lr, best.begun, best.best, 0.0)


def diverged(low: float, high: float, batch_size: int) -> OptionError:
    """Return the error for a size at which every rate diverges."""
    return OptionError(
        f"every learning rate from {low:g} to {high:g} diverges at batch size {batch_size}; look at the scale of the "
        "data and the targets, or give a smaller one: --lr"
    )


def _climb(curve: Callable[[float], Curve], lr: float) -> list[Curve]:
    """Return the curves of rates that are climbed by factors of 2 to the lowest loss."""
    curves = [curve(lr)]
    best = curves[0]
    for factor in (_STEP, 1 / _STEP):
        if factor > 1 and not math.isfinite(best.best):
            continue
        climbed = False
        for _ in range(_MOST_CLIMBS):
            one = curve(best.lr * factor)
            curves.append(one)
            if one.best >= best.best and math.isfinite(best.best):
                break
            best, climbed = one, True
        if climbed:
            break
    return curves


def _curve(trials: ToTarget, batch_size: int, lr: float, seed: int, limit: int) -> Curve:
    begun, best, when = math.nan, math.inf, 0
    for seen in trials.evaluations(batch_size=batch_size, lr=lr, seed=seed, limit=limit):
        value = seen.value("loss")
        if not seen.updates:
            begun = value
        if not math.isfinite(value):
            return Curve(lr, begun, math.inf)

        if value < best:
            best, when = value, seen.updates
        if seen.updates > max(_TOO_FEW, _PATIENCE * when):
            break
    return Curve(lr, begun, best)
