"""The connections of a server: how many there are at once, how long each may take, and that none is left at the end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from io import RawIOBase
from typing import Any, Final

MOST_AT_ONCE: Final = 32
REQUEST_SECONDS: Final = 10.0
"""Within which a request must have arrived as a whole, and an answer must have been taken."""
LAST_SECONDS: Final = 5.0
"""That answers have to end once nobody is served any more."""


class TimelyReader(RawIOBase):
    """Reads from a connection up to a point in time; raises `TimeoutError` then, however slowly something comes.

    Raises `ConnectionError` where the connection is gone.
    """

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._end = connection, time.monotonic() + seconds

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            self._connection.settimeout(left)
            return self._connection.recv_into(buffer)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:  # closed: a Ctrl-C fell into the moment between two connections
            raise ConnectionAbortedError from error


@dataclass(slots=True)
class Connections:
    """Those that are open, the oldest first, with their threads.

    Where there are too many, the oldest one that has not yet asked anything is dropped: who waits keeps nobody out.
    """

    most: int = MOST_AT_ONCE
    _threads: dict[socket.socket, threading.Thread] = field(default_factory=dict)
    _waiting: dict[socket.socket, None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, connection: socket.socket, thread: threading.Thread) -> bool:
        """Return whether a new one is taken."""
        with self._lock:
            if len(self._threads) >= self.most:
                if not self._waiting:
                    return False
                _hang_up(self._drop_oldest())
            self._threads[connection] = thread
            self._waiting[connection] = None
            return True

    def has_asked(self, connection: socket.socket) -> None:
        """Note that a request is whole: its answer is worked on."""
        with self._lock:
            self._waiting.pop(connection, None)

    @contextmanager
    def until_end(self, connection: socket.socket) -> Iterator[None]:
        """Forget a connection after the block."""
        try:
            yield
        finally:
            with self._lock:
                self._threads.pop(connection, None)
                self._waiting.pop(connection, None)

    @property
    def are_left(self) -> bool:
        """Whether one is still open: who asked has not been answered."""
        with self._lock:
            return any(thread.is_alive() for thread in self._threads.values())

    def end(self, seconds: float) -> None:
        """Hang up all, and wait for their threads."""
        with self._lock:
            threads = dict(self._threads)
            for connection in threads:
                _hang_up(connection)
        deadline = time.monotonic() + seconds
        for thread in filter(threading.Thread.is_alive, threads.values()):  # a Ctrl-C may fall before one begins
            thread.join(max(0.0, deadline - time.monotonic()))

    def _drop_oldest(self) -> socket.socket:
        oldest = next(iter(self._waiting))
        del self._waiting[oldest], self._threads[oldest]
        return oldest


def _hang_up(connection: socket.socket) -> None:
    """Wake whoever reads or writes there: it is closed by its own thread."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class LocalServer(ThreadingHTTPServer):
    """Answers each connection in a thread of its own; `server_close` ends them, but for answers that take long."""

    daemon_threads = True
    request_queue_size = MOST_AT_ONCE

    def __init__(self, *arguments: Any) -> None:
        self.connections = Connections()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there is room for one more."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        if self.connections.admit(request, thread):
            thread.start()
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and hang up."""
        with self.connections.until_end(request):
            super().process_request_thread(request, client_address)

    def server_close(self) -> None:
        """Stop listening, and end what is still answered."""
        super().server_close()
        self.connections.end(LAST_SECONDS)
