"""Which devices compute and hold what: shards of a batch, and the splits of a data set.

Shards are equal slices of a batch that devices compute side by side; their gradients are added as a balanced tree:
neighbours first, then pairs of neighbours. How many shards there are decides the last bits of a training; how many
devices does not: where there are fewer, each computes several shards one after another. A CPU shows JAX its cores as
devices, since the many small matrix products of some models keep only one of them busy.

Where several processes train together, the devices are those of all of them, and every process computes in one piece,
for itself, what is not cut: with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding
from jaxtyping import Array, Int, Shaped

from epochal.data import Dataset, Split
from epochal.engine.feed import AXIS, BY_DEVICE, EVERYWHERE, Resident, put_on_device
from epochal.errors import OptionError

Tree = TypeVar("Tree")
Own = TypeVar("Own")
_FEWEST_SAMPLES = 32
_SENT_AT_ONCE = 1 << 20  # bytes


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
        if jax.process_count() == 1:
            placed: Tree = jax.device_put(tree, self._everywhere)
        else:
            placed = jax.tree.map(partial(_place_here, sharding=self._everywhere), tree)
        return placed

    @property
    def own(self) -> range:
        """The numbers of this process's own devices among all of them."""
        own = [number for number, device in enumerate(self.devices) if device.process_index == jax.process_index()]
        return range(own[0], own[-1] + 1)

    def deal(self, tree: Tree) -> Tree:
        """Return host arrays cut along their first axis into equal parts, one on each device.

        They may be read until everything that was computed with the result has been waited for.
        """
        if jax.process_count() == 1:
            dealt: Tree = jax.device_put(tree, self.dealt, may_alias=True)
        else:
            dealt = jax.tree.map(partial(_place_here, sharding=self.dealt), tree)
        return dealt

    @property
    def dealt(self) -> Sharding:
        """How arrays lie that are cut along their first axis."""
        return self._placed(BY_DEVICE)

    @property
    def _everywhere(self) -> Sharding:
        return self._placed(EVERYWHERE)

    def _placed(self, spec: PartitionSpec) -> Sharding:
        if len(self.devices) == 1:
            return SingleDeviceSharding(self.devices[0])
        return NamedSharding(self._mesh, spec)

    @property
    def _mesh(self) -> Mesh:
        return Mesh(self.devices, (AXIS,))

    def spread(self, function: Callable[..., Any], *specs: Any) -> Callable[..., Any]:
        """Return the function as all devices run it at once, with the same results.

        ``specs`` say of each argument how it lies: `EVERYWHERE`, `BY_DEVICE`, or a tree of them.
        """
        if len(self.devices) == 1:
            return function
        return jax.shard_map(function, mesh=self._mesh, in_specs=specs, out_specs=EVERYWHERE, check_vma=False)

    def add_up(
        self, shard: Callable[[jax.Array | int], tuple[Tree, Own]], each: Int[Array | np.ndarray, ""]
    ) -> tuple[Tree, Own]:
        """Return the sum of what ``shard(number)`` returns over all numbers; within a function that is spread.

        Of its two results, the first is added over all devices, always as the same balanced tree. The second, of whole
        numbers, is added over this device's shards alone, and by `add_devices` in the end.

        ``each`` is `each` as a value that the compiler cannot know: a loop whose length is known would be taken apart
        and its contents mixed with what stands around it, which changes the last bits.
        """
        if self.count == 1:
            return shard(0)
        first = lax.axis_index(AXIS) * self.each if len(self.devices) > 1 else jnp.int32(0)

        def compute(number: jax.Array, done: tuple[Any, Own]) -> tuple[Any, Own]:
            part, own = shard(first + number)
            put = partial(lax.dynamic_update_index_in_dim, index=number, axis=0)
            return jax.tree.map(put, done[0], part), jax.tree.map(jnp.add, done[1], own)

        shapes, own_shapes = jax.eval_shape(shard, first)
        empty = jax.tree.map(lambda leaf: jnp.zeros((self.each, *leaf.shape), leaf.dtype), shapes)
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), own_shapes)
        parts, own = lax.fori_loop(jnp.int32(0), jnp.asarray(each), compute, (empty, nothing))

        total: Tree = jax.tree.map(_tree_sum, parts) if len(self.devices) == 1 else self._over_devices(parts)
        return total, own

    def add_devices(self, own: Own) -> Own:
        """Return the sum over all devices of whole numbers, whose order does not matter; once a chunk is enough."""
        if len(self.devices) == 1:
            return own
        added: Own = jax.tree.map(lambda leaf: lax.psum(leaf, AXIS), own)
        return added

    def _over_devices(self, parts: Tree) -> Tree:
        """Return the sum of all devices' shards, in one exchange for each type of numbers.

        The shards of a device are whole branches of the tree as far as their number is a power of two; it adds those up
        first, and sends no more than their sums.
        """
        leaves, structure = jax.tree.flatten(parts)
        branch = self.each & -self.each
        branches = [_tree_sum(leaf.reshape(-1, branch, *leaf.shape[1:]), axis=1) for leaf in leaves]

        totals: dict[int, Array] = {}
        for dtype in {leaf.dtype for leaf in leaves}:
            numbers = [number for number, leaf in enumerate(leaves) if leaf.dtype == dtype]
            flat = [branches[number].reshape(self.each // branch, -1) for number in numbers]
            total = self._exchange(jnp.concatenate(flat, axis=1))
            ends = np.cumsum([one.shape[1] for one in flat])
            for number, piece in zip(numbers, jnp.split(total, ends[:-1]), strict=True):
                totals[number] = piece.reshape(leaves[number].shape[1:])
        summed: Tree = jax.tree.unflatten(structure, [totals[number] for number in range(len(leaves))])
        return summed

    def _exchange(self, branches: Shaped[Array, "branches numbers"]) -> Shaped[Array, " numbers"]:
        """Return the sum of all devices' branches: few numbers at once, many by parts that a device each adds up."""
        devices, (count, numbers) = len(self.devices), branches.shape
        if devices == 2 or devices * branches.size * branches.dtype.itemsize <= _SENT_AT_ONCE:
            return _tree_sum(lax.all_gather(branches, AXIS, tiled=True))

        # each device sends and gets about twice the numbers, however many devices there are
        padded = jnp.pad(branches, ((0, 0), (0, -numbers % devices))).reshape(count, devices, -1)
        mine = lax.all_to_all(padded, AXIS, split_axis=1, concat_axis=0, tiled=True)
        everything: Array = lax.all_gather(_tree_sum(mine.reshape(devices * count, -1)), AXIS, tiled=True)
        return everything[:numbers]


def _tree_sum(values: Shaped[Array, "..."], axis: int = 0) -> Shaped[Array, "..."]:
    """Return the sum along an axis, neighbours first, then pairs of neighbours; an odd one out waits for its turn."""
    values = jnp.moveaxis(values, axis, 0)
    while len(values) > 1:
        pairs = len(values) // 2
        added = values[0 : 2 * pairs : 2] + values[1 : 2 * pairs : 2]
        values = jnp.concatenate([added, values[2 * pairs :]]) if len(values) % 2 else added
    return values[0]


def in_one_piece() -> Shards:
    """Return how the default device computes all of a batch."""
    return Shards(1, (jax.local_devices()[0],))


def cut(batch_size: int, count: int) -> Shards:
    """Return how a batch is computed where ``count`` shards are wanted.

    A batch that they do not divide, or that would leave a shard fewer than 32 samples, is computed in one piece.
    """
    if not _can_cut(batch_size, count):
        return in_one_piece()
    each, rest = divmod(count, jax.process_count())
    if rest or not each:
        raise OptionError(
            f"{count} shards cannot be dealt to {jax.process_count()} processes equally; take another number of "
            "processes, or of shards"
        )
    most = _largest_divisor(each, jax.local_device_count())
    processes = [[device for device in jax.devices() if device.process_index == rank][:most]
                 for rank in range(jax.process_count())]  # fmt: skip
    return Shards(count, tuple(device for devices in processes for device in devices))


def usual_shards(batch_sizes: Iterable[int]) -> int:
    """Return into how many shards several processes cut batches of these sizes where nobody says.

    That is the least power of two that gives every device of every process one, if the batches can be cut like that.
    Raises `OptionError` where not even every process can have one.
    """
    processes, sizes = jax.process_count(), tuple(batch_sizes)
    count: int = 1 << (processes * jax.local_device_count() - 1).bit_length()
    while count >= processes:
        if count % processes == 0 and all(_can_cut(size, count) for size in sizes):
            return count
        count //= 2

    raise OptionError(
        f"a batch of {min(sizes):,} cannot be cut for {processes} processes, each with at least {_FEWEST_SAMPLES} "
        f"samples; take a batch size that is a multiple, such as {processes * _FEWEST_SAMPLES}, or fewer processes"
    )


def check_processes(batch_size: int, count: int) -> None:
    """Refuse shards that several processes cannot share: raises `OptionError`."""
    processes = jax.process_count()
    if processes > 1 and (count % processes or not _can_cut(batch_size, count)):
        raise OptionError(
            f"a batch of {batch_size:,} in {count} shards cannot be dealt to {processes} processes, each with at least "
            f"{_FEWEST_SAMPLES} samples; take fewer processes, or other shards"
        )


def _can_cut(batch_size: int, count: int) -> bool:
    return batch_size % count == 0 and batch_size >= count * _FEWEST_SAMPLES


def _place_here(leaf: Any, sharding: Sharding) -> jax.Array:
    """Return an array as several processes hold it: each puts what its own devices need where they need it.

    What this process has of the array, it has whole: the array of this host, or the same on every device.
    """
    if isinstance(leaf, jax.Array):
        if leaf.sharding == sharding:
            return leaf
        leaf = leaf.addressable_data(0)
    if isinstance(sharding, SingleDeviceSharding):
        moved: jax.Array = jax.device_put(leaf, sharding)
        return moved
    if sharding.is_fully_replicated:
        parts = [jax.device_put(leaf, device) for device in sharding.addressable_devices]
    else:
        where = sharding.addressable_devices_indices_map(leaf.shape)
        parts = [jax.device_put(leaf[index], device) for device, index in where.items()]
    return jax.make_array_from_single_device_arrays(leaf.shape, sharding, parts)


def check_shards(batch_size: int, count: int) -> None:
    """Refuse a number of shards that does not divide a larger batch: raises `OptionError`."""
    if batch_size > count and batch_size % count:
        best = _largest_divisor(batch_size, count)
        raise OptionError(f"a batch of {batch_size} cannot be cut into {count} equal shards; take {best}")


def _largest_divisor(number: int, most: int) -> int:
    return max(divisor for divisor in range(1, min(number, most) + 1) if number % divisor == 0)


@dataclass(slots=True)
class Residence:
    """The splits of one data set that lie in memory, on devices: each is copied there once, and stays.

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
