"""Where the rows of a batch come from: today from a split that lies on the device as a whole."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped, UInt32

from epochal.data import Preprocessing, Split
from epochal.data.dataset import to_input
from epochal.errors import DataError
from epochal.order import Order

_MOST = 2**31 - 1  # indices are 32-bit on the device


class Rows(NamedTuple):
    """Samples as the train step needs them.

    Attributes:
        ids: which samples they are, for the audit.
        x: model input.
        y: targets.
        weight: how much each sample's loss counts; ``None``: all count 1.
    """

    ids: UInt32[Array, " batch"]
    x: Float[Array, "batch *sample"]
    y: Shaped[Array, "batch *target"]
    weight: Float[Array, " batch"] | None


@runtime_checkable
class Feed(Protocol):
    """A source of rows, as a pytree of device arrays that a compiled program takes as an argument."""

    def rows(
        self, order: Order, keys: UInt32[Array | np.ndarray, " rounds"], positions: UInt32[Array, " batch"]
    ) -> Rows:
        """Return the rows at these positions of the epoch whose order has these keys; within a compiled function."""
        ...


class Resident(NamedTuple):
    """A whole split on the device, in its storage type, and the numbers that turn it into model input."""

    x: Shaped[Array, "n *sample"]
    y: Shaped[Array, "n *target"]
    shift: Float[Array, "..."]
    scale: Float[Array, "..."]
    weight: Float[Array, " n"] | None = None

    def rows(
        self, order: Order, keys: UInt32[Array | np.ndarray, " rounds"], positions: UInt32[Array, " batch"]
    ) -> Rows:
        """Gather the rows at these positions of an epoch's order."""
        ids = order.compiled_indices(keys, positions)
        indices = ids.astype(jnp.int32)

        def gather(values: Shaped[Array, "n *row"]) -> Shaped[Array, "batch *row"]:
            return values.at[indices].get(mode="promise_in_bounds")

        weight = None if self.weight is None else gather(self.weight)
        return Rows(ids, self.preprocess(gather(self.x)), gather(self.y), weight)

    def preprocess(self, x: Shaped[Array, "batch *sample"]) -> Float[Array, "batch *sample"]:
        """Turn stored values into model input."""
        prepared: Array = to_input(x, self.shift, self.scale)
        return prepared


def put_on_device(split: Split, preprocessing: Preprocessing) -> Resident:
    """Copy a split to the default device, as it is stored. Raises `DataError` for more samples than it can index."""
    if len(split) > _MOST:
        raise DataError(
            f"{len(split):,} samples are more than the {_MOST:,} that one device can hold; use a part of them"
        )
    return Resident(
        jnp.asarray(split.x), jnp.asarray(split.y), jnp.asarray(preprocessing.shift), jnp.asarray(preprocessing.scale)
    )
