"""Ways to choose each batch's samples, as rows of sample numbers; all but the first are shown, and not offered.

Epochal itself trains in the first way alone: every epoch visits each sample exactly once, in an order of its own.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
from jaxtyping import Int32, Shaped

from epochal.order import Order

Way: TypeAlias = Literal["reshuffled", "once", "file", "sorted", "replacement"]
WAYS: Final[tuple[Way, ...]] = ("reshuffled", "once", "file", "sorted", "replacement")
_DRAWS: Final = 0x72657065  # keeps these draws apart from any other use of the seed


def row_order(way: Way, labels: Shaped[np.ndarray, " n"], epochs: int, seed: int) -> Int32[np.ndarray, "epochs n"]:
    """Return the sample numbers that each epoch uses, in order.

    Args:
        way: reshuffled each epoch; shuffled once; in the file's order; sorted by class; or drawn with replacement.
        labels: each sample's class.
        epochs: how many.
        seed: decides what is random.
    """
    samples = len(labels)
    order = Order(samples, seed)
    match way:
        case "reshuffled":
            rows = np.stack([order.indices(epoch, 0, samples) for epoch in range(epochs)])
        case "replacement":
            rows = np.random.default_rng((_DRAWS, seed)).integers(samples, size=(epochs, samples))
        case "once":
            rows = np.tile(order.indices(0, 0, samples), (epochs, 1))
        case "file":
            rows = np.tile(np.arange(samples), (epochs, 1))
        case "sorted":
            rows = np.tile(np.argsort(labels, kind="stable"), (epochs, 1))
    return rows.astype(np.int32)
