"""How long an iteration takes for each batch size on this machine: measured apart from the trials, in turns.

The sizes are measured one after another, many times over and for a few milliseconds each, and the fastest of each
counts: other work only ever makes an iteration slower, and milliseconds often pass without any.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax

from epochal.clock import Position
from epochal.engine import CAPACITY
from epochal.study.to_target import Stopped, ToTarget

_WARM_UP, _FEWEST, _MOST = 2, 5, 40  # rounds
_LEAST = 1e-9
_ENOUGH = 0.5  # seconds that a size is measured for, in more rounds than the fewest
_SECONDS = 0.004  # of one measurement


def measure_speeds(trials: ToTarget, rates: Mapping[int, float]) -> dict[int, float]:
    """Return the microseconds of an iteration by batch size; ``rates`` are the learning rates that they have.

    Raises `Stopped` where a stop is asked for meanwhile.
    """
    setups = {size: trials.set_up(size, lr) for size, lr in rates.items()}
    states = {size: setup.engine.initial_state() for size, setup in setups.items()}
    spent = dict.fromkeys(setups, 0.0)
    found: dict[int, list[float]] = {size: [] for size in setups}

    # all sizes in turn, again and again
    for _ in range(_WARM_UP + _MOST):
        for size, setup in setups.items():
            if trials.is_stopping:
                raise Stopped
            if len(found[size]) >= _WARM_UP + _FEWEST and spent[size] > _ENOUGH:
                continue

            # as many iterations as are long enough to be measured, by the fastest so far
            most = min(setup.plan.iterations_per_epoch, CAPACITY)
            count = max(1, min(most, round(_SECONDS / min(found[size][1:], default=_SECONDS))))
            states[size], chunk = setup.engine.run(states[size], Position(), size, count)
            found[size].append(max(chunk.seconds / count, _LEAST))
            spent[size] += chunk.seconds
    jax.block_until_ready(states)
    return {size: float(f"{1e6 * min(each[_WARM_UP:]):.4g}") for size, each in found.items()}
