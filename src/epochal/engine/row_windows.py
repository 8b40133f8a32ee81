"""Windows: rows of an epoch in its order, gathered ahead by threads, where the samples do not lie on the device.

While the device computes with one window, the next ones are gathered from where the samples are stored; so that a disk
is busy with many rows at once, and the loop waits for none of them as long as reading is faster than training. The
memory that this takes does not depend on the number of samples.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int64, Shaped

from epochal.clock import Position
from epochal.data import Dataset
from epochal.data.row_source import PlacedSource, RowBuffer, RowSource
from epochal.data.trees import map_arrays
from epochal.engine.feed import Feed, Units, Window
from epochal.engine.micro_batch import device_memory
from epochal.engine.placement import Shards
from epochal.errors import DataError
from epochal.order import EpochOrder

WINDOW_BYTES = 16 << 20
"""What a window takes, unless a batch takes more."""

_IN_FLIGHT = 3
_THREADS = 8
_NICE = 5  # at 10, a busy machine lets a training wait for its rows; at 0, they take processors from it
_ROWS_AT_ONCE = 1024  # what one thread reads between two looks at the queue
_ALIGNMENT = 64  # bytes, at which a CPU device uses a buffer as it is, without a copy


class HeldFeed(NamedTuple):
    """Rows on the device, and which positions of their epoch they hold."""

    feed: Feed
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Where a window lies: whole batches from one position of an epoch to another."""

    epoch: int
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the rows of a window lie in its buffer: device by device, and of each batch as many rows.

    ``own`` are the numbers of this process's devices, whose rows alone are read.
    """

    batch_size: int
    batches: int
    devices: int
    own: range

    @property
    def rows(self) -> int:
        """How many rows the buffer has."""
        return self.batch_size * self.batches

    def dealt(self, ids: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "devices rows"]:
        """Return the ids of whole batches as the devices get them."""
        by_batch = ids.reshape(-1, self.devices, self.batch_size // self.devices)
        return np.ascontiguousarray(by_batch.swapaxes(0, 1)).reshape(self.devices, -1)


_Waiting: TypeAlias = tuple[_Stretch, Future[RowBuffer]]


@dataclass(slots=True)
class WindowReader:
    """Reads a source's rows in the order of epoch after epoch, some windows ahead.

    A request that does not go on where the last one ended, as after a change of the batch size, begins anew there.

    Raises `DataError` for a batch that does not fit into the memory, and what the source raises.
    """

    source: RowSource
    order: EpochOrder
    data: Dataset
    window_bytes: int = WINDOW_BYTES
    _shards: Shards | None = field(default=None, init=False, repr=False)
    _layout: _Layout | None = field(default=None, init=False, repr=False)
    _present: HeldFeed | None = field(default=None, init=False, repr=False)
    _stretch: _Stretch | None = field(default=None, init=False, repr=False)
    _ahead: deque[_Waiting] = field(default_factory=deque, init=False, repr=False)
    _stretches: Iterator[_Stretch] = field(default_factory=lambda: iter(()), init=False, repr=False)
    _free: list[RowBuffer] = field(default_factory=list, init=False, repr=False)
    _used: RowBuffer | None = field(default=None, init=False, repr=False)
    _planners: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_IN_FLIGHT, "window", _step_back), init=False, repr=False
    )
    _readers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_THREADS, "rows", _step_back), init=False, repr=False
    )

    def window(self, position: Position, batch_size: int, shards: Shards) -> HeldFeed:
        """Return the window that holds the batch of this size at this position.

        Whatever was computed with the window before must be waited for: its memory is used again.
        """
        layout = self._layout
        if layout is None or (layout.batch_size, self._shards) != (batch_size, shards):
            if layout is not None and batch_size < layout.batch_size and self._ends_epoch(position, batch_size):
                return self._alone(position, batch_size, shards)
            self._begin(position, batch_size, shards)

        if self._present is not None and self._stretch is not None and _holds(self._stretch, position):
            return self._present
        return self._next(position, shards)

    def shapes(self, batch_size: int, shards: Shards) -> Window:
        """Return what a window looks like, without any rows."""
        layout = self._layout_for(batch_size, shards)
        room = RowBuffer.of(self.source.layout, 0)

        def shape(values: Shaped[np.ndarray, "..."]) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((layout.rows, *values.shape[1:]), values.dtype, sharding=shards.dealt)

        return self._window(jax.tree.map(shape, _columns(room)), layout, shards)

    def _ends_epoch(self, position: Position, batch_size: int) -> bool:
        return position.offset + batch_size == self.order.samples

    def _alone(self, position: Position, batch_size: int, shards: Shards) -> HeldFeed:
        """Return an epoch's smaller last batch, read when it is asked for; the windows ahead are of the next epoch."""
        layout = self._layout_for(batch_size, shards)
        stretch = _Stretch(position.epoch, position.offset, position.offset + batch_size)
        rows = self._read(stretch, layout, _buffer(self.source, layout.rows))
        return HeldFeed(self._put(rows, layout, shards), stretch.first, stretch.stop)

    def _begin(self, position: Position, batch_size: int, shards: Shards) -> None:
        """Forget what was read ahead, and read from this position on."""
        for _, reading in self._ahead:
            reading.cancel()
        for _, reading in self._ahead:
            if not reading.cancelled():
                reading.exception()  # wait: it writes into a buffer
        self._ahead.clear()

        self._layout, self._shards = self._layout_for(batch_size, shards), shards
        self._present = self._stretch = self._used = None
        self._free = [_buffer(self.source, self._layout.rows) for _ in range(self._buffers(self._layout))]
        self._stretches = self._from(position, self._layout)
        self._read_ahead()

    def _next(self, position: Position, shards: Shards) -> HeldFeed:
        """Move on to the next window; begin anew where it is not the one that is asked for."""
        assert self._layout is not None
        if not self._ahead or not _holds(self._ahead[0][0], position):
            self._begin(position, self._layout.batch_size, shards)
        stretch, reading = self._ahead.popleft()
        rows = reading.result()

        # the buffer of the window before is free from here on, and not earlier
        if self._used is not None:
            self._free.append(self._used)
        self._used = rows
        self._read_ahead()

        self._stretch = stretch
        self._present = HeldFeed(self._put(rows, self._layout, shards), stretch.first, stretch.stop)
        return self._present

    def _read_ahead(self) -> None:
        """Let all free buffers be filled with what comes next."""
        assert self._layout is not None
        while self._free and (stretch := next(self._stretches, None)) is not None:
            reading = self._planners.submit(self._read, stretch, self._layout, self._free.pop())
            self._ahead.append((stretch, reading))

    def _from(self, position: Position, layout: _Layout) -> Iterator[_Stretch]:
        """Yield the windows of whole batches from a position on, epoch after epoch without an end."""
        epoch, offset, size = position.epoch, position.offset, layout.batch_size
        while True:
            end = offset + (self.order.samples - offset) // size * size
            for first in range(offset, end, layout.rows):
                yield _Stretch(epoch, first, min(first + layout.rows, end))
            epoch, offset = epoch + 1, 0

    def _read(self, stretch: _Stretch, layout: _Layout, buffer: RowBuffer) -> RowBuffer:
        """Fill a buffer with the rows of a window, in a thread that others help where a disk keeps it waiting."""
        ids = self.order.indices(stretch.epoch, stretch.first, stretch.stop)
        dealt = layout.dealt(ids)[layout.own]
        columns, read, is_quick = self._wanted(dealt.reshape(-1))

        each, parts = layout.rows // layout.devices, []
        by_device = (column.reshape(dealt.shape) for column in columns)
        for device, *wanted in zip(layout.own, *by_device, strict=True):
            for start in range(0, len(wanted[0]), _ROWS_AT_ONCE):
                some = [column[start : start + _ROWS_AT_ONCE] for column in wanted]
                place = device * each + start
                part = buffer.part(place, place + len(some[0]))
                if is_quick:
                    read(*some, part)  # more threads would only take processors from those that compute
                else:
                    parts.append(self._readers.submit(read, *some, part))

        errors = [error for part in parts if (error := part.exception()) is not None]  # all of them are waited for
        if errors:
            raise errors[0]
        return buffer

    def _wanted(self, ids: Int64[np.ndarray, " n"]) -> tuple[list[Int64[np.ndarray, " n"]], Callable[..., None], bool]:
        """Tell the source which rows are read soon; return what names them, and what reads them by that.

        And whether reading is quick, since all of them are in memory.
        """
        source = self.source
        if isinstance(source, PlacedSource):
            # found here for the whole window: for a few rows it takes as long
            places = source.places_of(ids)
            is_quick = source.hint_places(places)
            return [places, ids], source.read_places, is_quick
        source.hint(ids)
        return [ids], source.read, False

    def _layout_for(self, batch_size: int, shards: Shards) -> _Layout:
        """Return as many whole batches as a window has room for, at least one and at most an epoch's."""
        room = self.window_bytes // max(1, batch_size * _row_bytes(self.source))
        batches = max(1, min(room, self.order.samples // batch_size))
        return _Layout(batch_size, batches, len(shards.devices), shards.own)

    def _buffers(self, layout: _Layout) -> int:
        """Return how many windows may be in memory: the one that is used, and those that are read ahead."""
        one, memory = layout.rows * _row_bytes(self.source), device_memory()
        most = _IN_FLIGHT + 1 if memory is None else min(_IN_FLIGHT + 1, memory // 2 // one)
        if most < 1:
            raise DataError(
                f"a batch of {layout.batch_size:,} samples takes {one / 1e9:,.1f} GB, more than half of this machine's "
                "memory; take a smaller batch size"
            )
        return most

    def _put(self, rows: RowBuffer, layout: _Layout, shards: Shards) -> Window:
        return self._window(shards.deal(_columns(rows)), layout, shards)

    def _window(self, columns: _Columns, layout: _Layout, shards: Shards) -> Window:
        """Return the arrays of a window with the numbers that turn them into model input, on all devices."""
        preprocessing, scaling = self.data.preprocessing, self.data.target_scaling
        numbers = (
            preprocessing.shift,
            preprocessing.scale,
            None if scaling is None else Units(jnp.asarray(scaling.shift), jnp.asarray(scaling.scale)),
            np.array(layout.batch_size, np.uint32),
            np.array(layout.batch_size // layout.devices, np.uint32),
        )
        shift, scale, units, batch, of_device = shards.place(numbers)
        return Window(*columns, shift, scale, units, batch, of_device)


def _step_back() -> None:
    """Let this thread run where the threads that compute leave a core idle; Linux alone has threads of such a kind."""
    if hasattr(os, "setpriority") and sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


_Columns: TypeAlias = tuple[Any, Any, Any, Any]


def _columns(rows: RowBuffer) -> _Columns:
    """Return the rows' ids as two words each, and their samples, targets and weights."""
    words = rows.ids.astype("<i8", copy=False).view(np.uint32).reshape(-1, 2)
    return words, rows.x, rows.y, rows.weight


def _holds(stretch: _Stretch, position: Position) -> bool:
    return stretch.epoch == position.epoch and stretch.first <= position.offset < stretch.stop


def _row_bytes(source: RowSource) -> int:
    """Return what a row takes in a buffer."""
    return RowBuffer.of(source.layout, 1).nbytes


def _buffer(source: RowSource, rows: int) -> RowBuffer:
    """Return an uninitialised buffer whose arrays begin where a device can use them in place."""

    def aligned(values: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
        shape = (rows, *values.shape[1:])
        size = int(np.prod(shape)) * values.dtype.itemsize
        room = np.empty(size + _ALIGNMENT, np.uint8)
        start = -room.ctypes.data % _ALIGNMENT
        return room[start : start + size].view(values.dtype).reshape(shape)

    empty = RowBuffer.of(source.layout, 0)
    weight = None if empty.weight is None else aligned(empty.weight)
    return RowBuffer(aligned(empty.ids), map_arrays(aligned, empty.x), aligned(empty.y), weight)
