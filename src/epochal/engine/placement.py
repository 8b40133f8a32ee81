"""Which devices compute and hold what: shards of a batch, and the splits of a data set.

Shards are equal slices of a batch that devices compute side by side; their gradients are added in a fixed order. How
many shards there are decides the last bits of a training; how many devices does not: where there are fewer, each
computes several shards one after another. A CPU shows JAX its cores as devices, since the many small matrix products
of some models keep only one of them busy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding
from jaxtyping import Array, Int

from epochal.data import Dataset, Split
from epochal.engine.feed import Resident, put_on_device
from epochal.errors import OptionError

Tree = TypeVar("Tree")
_AXIS = "shards"
_FEWEST_SAMPLES = 32


@dataclass(frozen=True, slots=True)
class Shards:
    """Into how many shards a batch is cut, and the devices that compute them: as many or a divisor of them."""

    count: int
    devices: tuple[jax.Device, ...]

    @property
    def each(self) -> int:
        """How many shards a device computes."""
        return self.count // len(self.devices)

    @property
    def share_memory(self) -> bool:
        """Whether the devices are several CPU cores of one machine, whose values lie in one memory."""
        return len(self.devices) > 1 and self.devices[0].platform == "cpu"

    def place(self, tree: Tree) -> Tree:
        """Return the tree's arrays on every device; what lies there already is not copied."""
        placed: Tree = jax.device_put(tree, self._everywhere)
        return placed

    @property
    def _everywhere(self) -> Sharding:
        if len(self.devices) == 1:
            return SingleDeviceSharding(self.devices[0])
        return NamedSharding(self._mesh, PartitionSpec())

    @property
    def _mesh(self) -> Mesh:
        return Mesh(self.devices, (_AXIS,))

    def spread(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as all devices run it at once, with the same arguments and the same results."""
        if len(self.devices) == 1:
            return function
        same = PartitionSpec()
        return jax.shard_map(function, mesh=self._mesh, in_specs=same, out_specs=same, check_vma=False)

    def add_up(self, shard: Callable[[jax.Array | int], Tree], each: Int[Array | np.ndarray, ""]) -> Tree:
        """Return the sum of ``shard(number)`` over all numbers, in their order; within a function that is spread.

        ``each`` is `each` as a value that the compiler cannot know: a loop whose length is known would be taken apart
        and its contents mixed with what stands around it, which changes the last bits.
        """
        if self.count == 1:
            return shard(0)
        several = len(self.devices) > 1
        first = lax.axis_index(_AXIS) * self.each if several else jnp.int32(0)

        def compute(number: jax.Array, parts: Any) -> Any:
            put = partial(lax.dynamic_update_index_in_dim, index=number, axis=0)
            return jax.tree.map(put, parts, shard(first + number))

        shapes = jax.eval_shape(shard, first)
        empty = jax.tree.map(lambda leaf: jnp.zeros((self.each, *leaf.shape), leaf.dtype), shapes)
        parts = lax.fori_loop(jnp.int32(0), jnp.asarray(each), compute, empty)
        if several:
            parts = lax.all_gather(parts, _AXIS, tiled=True)
        total: Tree = jax.tree.map(lambda leaf: reduce(jnp.add, leaf), parts)
        return total


def in_one_piece() -> Shards:
    """Return how the default device computes all of a batch."""
    return Shards(1, (jax.local_devices()[0],))


def cut(batch_size: int, count: int) -> Shards:
    """Return how a batch is computed where ``count`` shards are wanted.

    A batch that they do not divide, or that would leave a shard fewer than 32 samples, is computed in one piece.
    """
    if batch_size % count or batch_size < count * _FEWEST_SAMPLES:
        return in_one_piece()
    devices = jax.local_devices()
    return Shards(count, tuple(devices[: _largest_divisor(count, len(devices))]))


def check_shards(batch_size: int, count: int) -> None:
    """Refuse a number of shards that does not divide a larger batch: raises `OptionError`."""
    if batch_size > count and batch_size % count:
        best = _largest_divisor(batch_size, count)
        raise OptionError(f"a batch of {batch_size} cannot be cut into {count} equal shards; take {best}")


def _largest_divisor(number: int, most: int) -> int:
    return max(divisor for divisor in range(1, min(number, most) + 1) if number % divisor == 0)


@dataclass(slots=True)
class Residence:
    """The splits of one data set on devices: each is copied there once, and stays.

    Raises `DataError` for more samples than a device can index.
    """

    data: Dataset
    _held: dict[tuple[str, tuple[jax.Device, ...]], Resident] = field(default_factory=dict, init=False, repr=False)

    def of(self, split: Split, shards: Shards) -> Resident:
        """Return a split on the devices of these shards; one that is not the data set's own is copied each time."""
        for name, own in (("train", self.data.train), ("test", self.data.test)):
            if split is own:
                if (name, shards.devices) not in self._held:
                    self._held[name, shards.devices] = shards.place(put_on_device(split, self.data))
                return self._held[name, shards.devices]
        return shards.place(put_on_device(split, self.data))
