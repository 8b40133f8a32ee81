"""A page's server in a thread of its own, for the tests of servers and of pages that follow a training."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from epochal.web.server import PageServer, Route

Serve = Callable[[Mapping[str, Route]], PageServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve until the test ends."""
    servers: list[tuple[PageServer, threading.Thread]] = []

    def start(routes: Mapping[str, Route]) -> PageServer:
        server = PageServer.open(routes)
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.server.shutdown()
        thread.join(10)
