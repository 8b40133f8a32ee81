"""How long an iteration takes for each batch size on this machine: measured apart from the trials, in turns.

The sizes are measured one after another, several times over, so that a machine that is busy for a while slows all of
them alike; the fastest of each counts, as other work only ever makes an iteration slower.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax

from epochal.clock import Position
from epochal.engine import CAPACITY
from epochal.study.to_target import Stopped, ToTarget

_ROUNDS = 5
_SECONDS = 0.02  # of one measurement


def measure_speeds(trials: ToTarget, rates: Mapping[int, float]) -> dict[int, float]:
    """Return the microseconds of an iteration by batch size; ``rates`` are the learning rates that they have.

    Raises `Stopped` where a stop is asked for meanwhile.
    """
    setups = {size: trials.set_up(size, lr) for size, lr in rates.items()}
    states = {size: setup.engine.initial_state() for size, setup in setups.items()}
    counts = dict.fromkeys(setups, 1)
    found: dict[int, list[float]] = {size: [] for size in setups}

    # the first two rounds warm up, and say how many iterations are long enough to be measured
    for turn in range(_ROUNDS + 2):
        for size, setup in setups.items():
            if trials.is_stopping:
                raise Stopped
            states[size], chunk = setup.engine.run(states[size], Position(), size, counts[size])
            each = chunk.seconds / counts[size]
            if turn < 2:
                most = min(setup.plan.iterations_per_epoch, CAPACITY)
                counts[size] = max(1, min(most, round(_SECONDS / max(each, 1e-9))))
            else:
                found[size].append(each)
    jax.block_until_ready(states)
    return {size: float(f"{1e6 * min(each):.4g}") for size, each in found.items()}
