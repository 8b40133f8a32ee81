"""One iteration computed whole and in micro-batches, neither of which is kept: what accumulating changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from epochal.engine import State, named_leaves
from epochal.learn.lane import Lane
from epochal.learn.numbers_as_json import number
from epochal.record.checkpoint_file import weights_sha256


def compare_micro_batches(lane: Lane, micro_batch: int) -> dict[str, Any]:
    """Return what the lane's next iteration is when its batch is computed at once, and when in smaller pieces."""
    position, plan = lane.position, lane.plan
    size = plan.next_batch_size(position)
    micro_batch = min(micro_batch, size)

    def next_state(at_once: int) -> tuple[State, float]:
        engine = dataclasses.replace(lane.setup.engine, micro_batch=at_once)
        copy = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), lane.point.state)
        state, chunk = engine.run(copy, position, size, 1)
        return state, float(chunk.losses[0])

    (whole, loss), (pieces, loss_in_pieces) = next_state(size), next_state(micro_batch)
    first, second = (named_leaves(state.params) for state in (whole, pieces))
    with np.errstate(invalid="ignore"):
        difference = max(float(np.abs(first[name] - second[name]).max()) for name in first)
        largest = max(float(np.abs(array).max()) for array in first.values())
    return {
        "whole": {"loss": number(loss), "sha": weights_sha256(named_leaves(whole))},
        "micro": {
            "loss": number(loss_in_pieces),
            "sha": weights_sha256(named_leaves(pieces)),
            "slices": [min(micro_batch, size - at) for at in range(0, size, micro_batch)],
        },
        "largest_difference": number(difference),
        "largest_weight": number(largest),
        "iterations": 1,
        "updates": 1,
    }
