"""A small server for a page and what it asks for, on this machine alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from epochal.errors import EpochalError, RunError

ADDRESS = "127.0.0.1"

Route: TypeAlias = Callable[[Mapping[str, str]], "str | Mapping[str, Any]"]
"""Answers a query with text, which is sent as HTML, or with a mapping, sent as JSON.

Raises `KeyError` or `ValueError` for a query that it does not know, and `EpochalError` where it cannot answer.
"""


@dataclass(slots=True)
class PageServer:
    """Serves each route at its path, and nothing else.

    Attributes:
        server: the server under it, which listens already.
    """

    server: ThreadingHTTPServer

    @classmethod
    def open(cls, routes: Mapping[str, Route], port: int = 0) -> PageServer:
        """Listen on ``port``, or on any free one for 0. Raises `RunError` where that cannot be."""
        try:
            server = ThreadingHTTPServer((ADDRESS, port), partial(_PageHandler, routes))
        except (OSError, OverflowError) as error:
            raise RunError(f"cannot serve on port {port}: {error}; choose another with --port") from error
        server.daemon_threads = True
        return cls(server)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server.server_address[1]}/"

    def run(self) -> None:
        """Serve until Ctrl-C."""
        try:
            self.server.serve_forever(poll_interval=0.5)
        except KeyboardInterrupt:
            pass
        finally:
            self.server.server_close()


class _PageHandler(BaseHTTPRequestHandler):
    def __init__(self, routes: Mapping[str, Route], *request: Any) -> None:
        self.routes = routes
        super().__init__(*request)  # which answers the request

    def do_GET(self) -> None:
        """Answer what the path's route returns, or why not."""
        if self.headers.get("Host", "").rpartition(":")[0] not in (ADDRESS, "localhost"):
            self._answer(403, "text/plain", "this server answers its own machine alone")  # DNS rebinding
            return

        address = urlsplit(self.path)
        try:
            if (route := self.routes.get(address.path)) is None:
                self._answer(404, "text/plain", "there is nothing here")
                return
            content = route(dict(parse_qsl(address.query)))
            if isinstance(content, str):
                self._answer(200, "text/html", content)
            else:
                self._answer(200, "application/json", json.dumps(content))

        except EpochalError as error:
            self._answer(503, "text/plain", str(error))
        except (KeyError, ValueError):
            self._answer(400, "text/plain", "this route does not know this query")

    def _answer(self, status: int, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the standard library
        """Say nothing: a question a second is no event."""
