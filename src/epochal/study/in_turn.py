"""What follows several runs that are trained at once: called by one of them at a time, as if there were only one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

from epochal.clock import Position
from epochal.run.callbacks import Callback, ChunkEnd, End, EpochEnd, Start
from epochal.run.point import Point

About = TypeVar("About")


class InTurn(Callback):
    """Hands all that it is told to a callback, while no other of the same ``turn`` is told anything."""

    def __init__(self, follower: Callback, turn: threading.RLock) -> None:
        self._follower, self._turn = follower, turn

    @property
    def should_stop(self) -> bool:  # type: ignore[override]
        """Whether the callback wants the training to stop."""
        with self._turn:
            return self._follower.should_stop

    def next_stop(self, position: Position) -> int | None:
        """Ask it."""
        with self._turn:
            return self._follower.next_stop(position)

    def on_warning(self, message: str) -> None:
        """Hand it on."""
        with self._turn:
            self._follower.on_warning(message)

    def on_start(self, start: Start) -> None:
        """Hand it on."""
        with self._turn:
            self._follower.on_start(start)

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Hand it on."""
        with self._turn:
            self._follower.on_chunk(chunk)

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Hand it on."""
        with self._turn:
            self._follower.on_epoch(epoch)

    def on_point(self, point: Point) -> None:
        """Hand it on."""
        with self._turn:
            self._follower.on_point(point)

    def on_end(self, end: End) -> None:
        """Hand it on."""
        with self._turn:
            self._follower.on_end(end)


class FollowedInTurn(Generic[About]):
    """The context around a run: the one that ``follow`` makes, entered, left and told of the run in turn."""

    def __init__(
        self,
        follow: Callable[[About], AbstractContextManager[Sequence[Callback]]],
        about: About,
        turn: threading.RLock,
    ) -> None:
        self._follow, self._about, self._turn = follow, about, turn

    def __enter__(self) -> tuple[Callback, ...]:
        with self._turn:
            self._context = self._follow(self._about)
            return tuple(InTurn(follower, self._turn) for follower in self._context.__enter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        with self._turn:
            return self._context.__exit__(kind, error, traceback)
