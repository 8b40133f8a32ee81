"""An order for rows that lie on a slow disk: blocks of neighbouring rows are drawn, and rows within a few blocks.

A disk, or storage at the other end of a network, reads 256 KiB in one piece hundreds of times faster than as single
small rows. So the rows of an epoch are drawn in two levels: a bijection puts the blocks of K neighbouring rows in an
order, G blocks in turn make a window, and a bijection shuffles the rows within each window. Both have keys of their own
in every epoch, so that other blocks meet in a window each time. The N mod K rows that fill no block join one window,
chosen anew in each epoch.

Each level is an `Order`: each sample once in every epoch, no permutation stored, any position found in O(1). A window's
rows are computed as one array, and only that window's blocks are.

Neighbours are rows that lie side by side where they are stored. Neighbours in a user's file are often alike, sorted by
class or time, and windows of such blocks would be uneven. So rows are stored in one shuffle, `stored_order`, and
neighbours are those of that shuffle, wherever the rows really lie: samples in memory are visited in the same order as
the same samples in a pack.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from epochal.errors import OptionError, PlanError
from epochal.order import EpochOrder, Indices, Keys, Order, round_keys

BLOCK_BYTES = 1 << 18
"""What a block is meant to hold: the size from which a disk reads pieces nearly as fast as a whole file."""
WINDOW_BLOCKS = 64

_BLOCKS, _INSIDE, _REST = 1, 2, 3  # what keys are for
_STORED_SEED = 0x73746F726564


class BlockSize(NamedTuple):
    """How large the blocks of an order are, and its windows; as text, ``334x64``.

    Attributes:
        rows: K, rows of a block.
        blocks: G, blocks of a window.
    """

    rows: int
    blocks: int = WINDOW_BLOCKS

    @classmethod
    def for_rows(cls, row_bytes: int) -> BlockSize:
        """Return what suits rows of so many bytes.

        >>> str(BlockSize.for_rows(784))
        '334x64'
        """
        return cls(max(1, BLOCK_BYTES // max(1, row_bytes)))

    @classmethod
    def parse(cls, text: str) -> BlockSize:
        """Read `str`'s text. Raises `OptionError` for any other."""
        numbers = text.split("x")
        if len(numbers) != 2 or not all(number.isdecimal() and number.isascii() and int(number) for number in numbers):
            raise OptionError(f"the size of blocks must be rows x blocks of a window, such as 334x64, got '{text}'")
        return cls(*map(int, numbers))

    def __str__(self) -> str:
        return f"{self.rows}x{self.blocks}"


def order_named(name: str | None, samples: int, seed: int) -> EpochOrder:
    """Return the order that an option names: ``None`` is the exact one, ``blocks:334x64`` one of such blocks.

    Raises `OptionError` or `PlanError` where there is none.
    """
    if name is None:
        return Order(samples, seed)
    size = BlockSize.parse(name.removeprefix("blocks:"))
    return BlockOrder(samples, seed, size.rows, size.blocks)


def stored_order(samples: int) -> Order:
    """Return the shuffle in which rows are stored: place p holds the sample ``stored_order(N).indices_at(0, p)``."""
    return Order(samples, _STORED_SEED)


class Window(NamedTuple):
    """Blocks of an epoch whose rows are shuffled together.

    Attributes:
        number: of the windows of an epoch.
        start, stop: its positions in the epoch.
        first_block: its first place in the epoch's order of blocks.
        blocks: how many it has.
    """

    number: int
    start: int
    stop: int
    first_block: int
    blocks: int


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """The sequence in which each epoch visits ``samples`` samples that are read in blocks.

    >>> BlockOrder(samples=10, seed=7, block_rows=2, window_blocks=2).places(epoch=0, start=2, stop=5)
    array([1, 7, 9])

    Arguments:
        samples: N, 1 to 2⁶².
        seed: 0 to 2⁶⁴ - 1.
        block_rows: K, how many neighbouring rows make a block.
        window_blocks: G, how many blocks are shuffled together, at most; windows differ by one block.

    Raises `PlanError` or `OptionError` for values outside these ranges.
    """

    samples: int
    seed: int = 0
    block_rows: int = 1
    window_blocks: int = WINDOW_BLOCKS

    def __post_init__(self) -> None:
        Order(self.samples, self.seed)
        for name in ("block_rows", "window_blocks"):
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, operator.index(value))
            except TypeError:
                raise OptionError(f"{name} must be a whole number, got {value!r}") from None
            if getattr(self, name) < 1:
                raise OptionError(f"{name} must be at least 1, got {value}")

    @property
    def blocks(self) -> int:
        """How many whole blocks there are."""
        return self.samples // self.block_rows

    @property
    def rest(self) -> int:
        """How many rows fill no block."""
        return self.samples % self.block_rows

    @property
    def windows(self) -> int:
        """How many windows an epoch has."""
        return max(1, -(-self.blocks // self.window_blocks))

    @property
    def stored(self) -> Order:
        """Which sample lies at which place, as the first epoch of an order."""
        return stored_order(self.samples)

    def keys(self, epoch: int) -> Keys:
        """Return the round keys of the epoch's order of blocks, uint32: a pure function of seed and epoch."""
        return round_keys(Order(max(1, self.blocks)).rounds, self.seed, epoch, _BLOCKS)

    def indices(self, epoch: int, start: int, stop: int) -> Indices:
        """Return the sample indices at positions ``start`` to ``stop`` (not included) of that epoch, int64.

        Raises `PlanError` unless 0 ≤ start ≤ stop ≤ N.
        """
        return self.stored.indices_at(0, self.places(epoch, start, stop))

    def places(self, epoch: int, start: int, stop: int) -> Indices:
        """Return the places at which the rows of these positions are stored, int64.

        Raises `PlanError` unless 0 ≤ start ≤ stop ≤ N.
        """
        if not 0 <= start <= stop <= self.samples:
            raise PlanError(f"positions {start} to {stop} are not within the epoch's 0 to {self.samples}")
        with_rest = self._window_with_rest(epoch)
        parts = [np.arange(0)]
        while start < stop:
            window = self._window(start, with_rest)
            end = min(stop, window.stop)
            parts.append(self._places(epoch, window, start, end))
            start = end
        return np.concatenate(parts)

    def window(self, epoch: int, position: int) -> Window:
        """Return the window in which that epoch's position is. Raises `PlanError` for none of its positions."""
        if not 0 <= position < self.samples:
            raise PlanError(f"{position} is not within the order's 0 to {self.samples - 1}")
        return self._window(position, self._window_with_rest(epoch))

    def _window_with_rest(self, epoch: int) -> Window:
        """Return the epoch's window that the rows join which fill no block."""
        high, low = (int(key) for key in round_keys(2, self.seed, epoch, _REST))
        number = ((high << 32 | low) * self.windows) >> 64  # each number alike, but for one part in 2⁶⁴ / windows
        first, blocks = self._blocks_of(number)
        start = first * self.block_rows
        return Window(number, start, start + blocks * self.block_rows + self.rest, first, blocks)

    def _window(self, position: int, with_rest: Window) -> Window:
        """Return the window of a position."""
        if with_rest.start <= position < with_rest.stop:
            return with_rest
        before = self.rest if position >= with_rest.stop else 0
        block = (position - before) // self.block_rows

        # the windows are of equal lengths, but the first ones may have one block more
        each, longer = divmod(self.blocks, self.windows)
        number = block // (each + 1)
        if number >= longer:
            number = (block - longer) // each
        first, blocks = self._blocks_of(number)
        start = before + first * self.block_rows
        return Window(number, start, start + blocks * self.block_rows, first, blocks)

    def _blocks_of(self, number: int) -> tuple[int, int]:
        """Return the first of a window's blocks, and how many they are."""
        each, longer = divmod(self.blocks, self.windows)
        return number * each + min(number, longer), each + (number < longer)

    def _places(self, epoch: int, window: Window, start: int, stop: int) -> Indices:
        """Return the places of these positions, all of them in one window."""
        inside = Order(window.stop - window.start)
        keys = round_keys(inside.rounds, self.seed, epoch, _INSIDE, window.number)
        rows = inside.under(keys, np.arange(start - window.start, stop - window.start, dtype=np.uint64))
        if not window.blocks:
            return rows  # fewer samples than a block has

        numbers = np.arange(window.first_block, window.first_block + window.blocks, dtype=np.uint64)
        starts = Order(self.blocks).under(self.keys(epoch), numbers) * self.block_rows

        # the rows that fill no block follow the window's blocks, as they follow all blocks where they are stored
        starts = np.append(starts, self.blocks * self.block_rows)
        block = np.minimum(rows // self.block_rows, window.blocks)
        places: Indices = starts[block] + (rows - block * self.block_rows)
        return places
