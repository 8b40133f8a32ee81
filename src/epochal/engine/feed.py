"""Where the rows of a batch come from: a split that lies on the device as a whole, or a window of rows in order."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, PyTree, Shaped, UInt32

from epochal.data import Dataset, Split
from epochal.data.dataset import to_input
from epochal.errors import DataError
from epochal.order import Order

_MOST = 2**31 - 1  # indices are 32-bit on the device

AXIS = "devices"
EVERYWHERE, BY_DEVICE = PartitionSpec(), PartitionSpec(AXIS)
"""How an array lies on several devices: whole on each of them, or cut along its first axis."""


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


Ids: TypeAlias = tuple[UInt32[Array, " batch"], UInt32[Array, " batch"] | None]


class Rows(NamedTuple):
    """Samples as the train step needs them.

    Attributes:
        ids: which samples they are, for the audit: lower and upper 32 bits; no upper ones where all of them are 0.
        x: model input; a tree of arrays for samples of several parts.
        y: targets.
        weight: how much each sample's loss counts; ``None``: all count 1.
        units: of the targets, where training sees them standardised; ``None``: as they are.
    """

    ids: Ids
    x: PyTree[Shaped[Array, "batch ..."]]
    y: Shaped[Array, "batch *target"]
    weight: Float[Array, " batch"] | None
    units: Units | None = None


@runtime_checkable
class Feed(Protocol):
    """A source of rows, as a pytree of device arrays that a compiled program takes as an argument."""

    def rows(
        self, order: Order | None, keys: UInt32[Array | np.ndarray, " rounds"], start: UInt32[Array, ""], size: int
    ) -> Rows:
        """Return ``size`` rows from a position on, of the epoch whose order has these keys; in a compiled function."""
        ...

    @property
    def specs(self) -> Any:
        """How the parts lie on several devices: of the same structure, `EVERYWHERE` or `BY_DEVICE` in place of each."""
        ...


class Resident(NamedTuple):
    """A whole split on the device, in its storage type, and the numbers that turn it into model input."""

    x: PyTree[Shaped[Array, "n ..."]]
    y: Shaped[Array, "n *target"]
    shift: PyTree[Float[Array, "..."]]
    scale: PyTree[Float[Array, "..."]]
    weight: Float[Array, " n"] | None = None
    units: Units | None = None

    @property
    def specs(self) -> Any:
        """Everything lies on every device."""
        return EVERYWHERE

    def rows(
        self, order: Order | None, keys: UInt32[Array | np.ndarray, " rounds"], start: UInt32[Array, ""], size: int
    ) -> Rows:
        """Gather the rows at ``size`` positions of an epoch's order."""
        assert order is not None
        ids = order.compiled_indices(keys, start + jnp.arange(size, dtype=jnp.uint32))
        indices = ids.astype(jnp.int32)

        def gather(values: Shaped[Array, "n *row"]) -> Shaped[Array, "batch *row"]:
            return values.at[indices].get(mode="promise_in_bounds")

        weight = None if self.weight is None else gather(self.weight)
        return Rows((ids, None), self.preprocess(jax.tree.map(gather, self.x)), gather(self.y), weight, self.units)

    def preprocess(self, x: PyTree[Shaped[Array, "batch ..."]]) -> PyTree[Shaped[Array, "batch ..."]]:
        """Turn stored values into model input."""
        return to_input(x, self.shift, self.scale)

    def in_units(self, outputs: PyTree[Shaped[Array, "batch ..."]]) -> PyTree[Shaped[Array, "batch ..."]]:
        """Return a model's outputs in the targets' own units."""
        return outputs if self.units is None else self.units.restore(outputs)


class Window(NamedTuple):
    """Rows of an epoch in its order, each with its id; of every batch, a device holds the part that it computes.

    Attributes:
        ids: the lower and the upper 32 bits of each row's id.
        batch: samples of a batch, of which a device holds one after another `of_device`.
        of_device: how many of a batch's samples are on one device.
    """

    ids: UInt32[Array, "rows 2"]
    x: PyTree[Shaped[Array, "rows ..."]]
    y: Shaped[Array, "rows *target"]
    weight: Float[Array, " rows"] | None
    shift: PyTree[Float[Array, "..."]]
    scale: PyTree[Float[Array, "..."]]
    units: Units | None
    batch: UInt32[Array | np.ndarray, ""]
    of_device: UInt32[Array | np.ndarray, ""]

    @property
    def specs(self) -> Any:
        """The rows are dealt to the devices."""
        weight = None if self.weight is None else BY_DEVICE
        units = None if self.units is None else EVERYWHERE
        return Window(BY_DEVICE, BY_DEVICE, BY_DEVICE, weight, EVERYWHERE, EVERYWHERE, units, EVERYWHERE, EVERYWHERE)  # type: ignore[arg-type]

    def rows(
        self, order: Order | None, keys: UInt32[Array | np.ndarray, " rounds"], start: UInt32[Array, ""], size: int
    ) -> Rows:
        """Return ``size`` rows from a position on, counted from the window's first; they belong to one device."""
        place = start // self.batch * self.of_device + start % self.batch % self.of_device

        indices = place.astype(jnp.int32) + jnp.arange(size, dtype=jnp.int32)

        def cut(values: Shaped[Array, "rows *row"]) -> Shaped[Array, "batch *row"]:
            # a gather becomes a part of what follows it, where a slice is copied first
            return values.at[indices].get(mode="promise_in_bounds", unique_indices=True, indices_are_sorted=True)

        ids = cut(self.ids)
        x = to_input(jax.tree.map(cut, self.x), self.shift, self.scale)
        weight = None if self.weight is None else cut(self.weight)
        return Rows((ids[:, 0], ids[:, 1]), x, cut(self.y), weight, self.units)


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
