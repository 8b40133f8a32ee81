"""A small server for one page and its news, on this machine alone."""

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

Page: TypeAlias = Callable[[], str]
News: TypeAlias = Callable[[Mapping[str, str]], Mapping[str, Any]]


@dataclass(slots=True)
class PageServer:
    """Serves ``page()`` at ``/`` and ``news(query)`` as JSON at ``/news``, and nothing else.

    Attributes:
        server: the server under it, which listens already.
    """

    server: ThreadingHTTPServer

    @classmethod
    def open(cls, page: Page, news: News, port: int = 0) -> PageServer:
        """Listen on ``port``, or on any free one for 0. Raises `RunError` where that cannot be."""
        try:
            server = ThreadingHTTPServer((ADDRESS, port), partial(_PageHandler, page, news))
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
    def __init__(self, page: Page, news: News, *request: Any) -> None:
        self.make_page, self.make_news = page, news
        super().__init__(*request)  # which answers the request

    def do_GET(self) -> None:
        """Answer the page, its news, or why not."""
        if self.headers.get("Host", "").rpartition(":")[0] not in (ADDRESS, "localhost"):
            self._answer(403, "text/plain", "this server answers its own machine alone")  # another site's name for it
            return
        address = urlsplit(self.path)
        try:
            if address.path == "/":
                self._answer(200, "text/html", self.make_page())
            elif address.path == "/news":
                self._answer(200, "application/json", json.dumps(self.make_news(dict(parse_qsl(address.query)))))
            else:
                self._answer(404, "text/plain", "there is only the page")
        except EpochalError as error:
            self._answer(503, "text/plain", str(error))
        except (KeyError, ValueError):
            self._answer(400, "text/plain", "this is no question that the page asks")

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
