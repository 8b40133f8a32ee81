"""Where the rows of a batch come from: today from a split that lies on the device as a whole."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Shaped, UInt32

from epochal.data import Dataset, Split
from epochal.data.dataset import to_input
from epochal.errors import DataError
from epochal.order import Order

_MOST = 2**31 - 1  # indices are 32-bit on the device


class Units(NamedTuple):
    """How the targets of a regression are seen in training, ``(y - shift) / scale``, as device arrays.

    Attributes:
        shift: each target's mean.
        scale: each target's deviation.
    """

    shift: Float[Array, " outputs"]
    scale: Float[Array, " outputs"]

    def standardise(self, y: Shaped[Array, "batch *target"]) -> Float[Array, "batch outputs"]:
        """Return targets as training sees them."""
        return (y.reshape(len(y), -1) - self.shift) / self.scale

    def restore(self, outputs: Float[Array, "batch outputs"]) -> Float[Array, "batch outputs"]:
        """Return a model's outputs in the targets' own units."""
        return outputs * self.scale + self.shift


class Rows(NamedTuple):
    """Samples as the train step needs them.

    Attributes:
        ids: which samples they are, for the audit.
        x: model input; a tree of arrays for samples of several parts.
        y: targets.
        weight: how much each sample's loss counts; ``None``: all count 1.
        units: of the targets, where training sees them standardised; ``None``: as they are.
    """

    ids: UInt32[Array, " batch"]
    x: PyTree[Shaped[Array, "batch ..."]]
    y: Shaped[Array, "batch *target"]
    weight: Float[Array, " batch"] | None
    units: Units | None = None


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

    x: PyTree[Shaped[Array, "n ..."]]
    y: Shaped[Array, "n *target"]
    shift: PyTree[Float[Array, "..."]]
    scale: PyTree[Float[Array, "..."]]
    weight: Float[Array, " n"] | None = None
    units: Units | None = None

    def rows(
        self, order: Order, keys: UInt32[Array | np.ndarray, " rounds"], positions: UInt32[Array, " batch"]
    ) -> Rows:
        """Gather the rows at these positions of an epoch's order."""
        ids = order.compiled_indices(keys, positions)
        indices = ids.astype(jnp.int32)

        def gather(values: Shaped[Array, "n *row"]) -> Shaped[Array, "batch *row"]:
            return values.at[indices].get(mode="promise_in_bounds")

        weight = None if self.weight is None else gather(self.weight)
        return Rows(ids, self.preprocess(jax.tree.map(gather, self.x)), gather(self.y), weight, self.units)

    def preprocess(self, x: PyTree[Shaped[Array, "batch ..."]]) -> PyTree[Shaped[Array, "batch ..."]]:
        """Turn stored values into model input."""
        return to_input(x, self.shift, self.scale)

    def in_units(self, outputs: PyTree[Shaped[Array, "batch ..."]]) -> PyTree[Shaped[Array, "batch ..."]]:
        """Return a model's outputs in the targets' own units."""
        return outputs if self.units is None else self.units.restore(outputs)


def put_on_device(split: Split, data: Dataset) -> Resident:
    """Copy a split to the default device as it is stored, with what its data set says of samples and targets.

    Raises `DataError` for more samples than it can index.
    """
    if len(split) > _MOST:
        raise DataError(
            f"{len(split):,} samples are more than the {_MOST:,} that one device can hold; use a part of them"
        )
    preprocessing, scaling = data.preprocessing, data.target_scaling
    return Resident(
        jax.tree.map(jnp.asarray, split.x),
        jnp.asarray(split.y),
        jax.tree.map(jnp.asarray, preprocessing.shift),
        jax.tree.map(jnp.asarray, preprocessing.scale),
        None if split.weight is None else jnp.asarray(split.weight),
        None if scaling is None else Units(jnp.asarray(scaling.shift), jnp.asarray(scaling.scale)),
    )
