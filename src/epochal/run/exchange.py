"""Whether several processes are worth it: the time of an iteration against that of its exchange, said once."""

from __future__ import annotations

from collections.abc import Callable

from epochal.run.callbacks import Callback, ChunkEnd, Start

_CHUNKS = 3


class ExchangeNote(Callback):
    """Tells, after some chunks, where the processes of a training wait for each other longer than they compute.

    Args:
        processes: how many.
        seconds: of one exchange.
    """

    def __init__(self, processes: int, seconds: float) -> None:
        self._processes, self._exchange = processes, seconds
        self._chunks, self._iterations, self._seconds = 0, 0, 0.0
        self._warn: Callable[[str], object] | None = None

    def on_start(self, start: Start) -> None:
        """Note whom to tell."""
        self._warn = start.warn

    def on_chunk(self, chunk: ChunkEnd) -> None:
        """Count; the first chunk may have to warm up."""
        self._chunks += 1
        if self._chunks == 1 or self._chunks > _CHUNKS:
            return
        self._iterations += chunk.losses.size
        self._seconds += chunk.seconds
        if self._chunks == _CHUNKS:
            self._tell()

    def _tell(self) -> None:
        """Say what is to be said: nothing where one process would take longer."""
        iteration = self._seconds / self._iterations
        exchange = min(self._exchange, iteration)
        if self._warn is not None and (iteration - exchange) * (self._processes - 1) < exchange:
            self._warn(
                f"an iteration takes {iteration * 1e3:.1f} ms, and its exchange between {self._processes} processes "
                f"takes {exchange * 1e3:.1f} ms of them: one process would be faster"
            )
