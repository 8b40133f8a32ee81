"""A small server for a page and what it asks for, on this machine alone."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlsplit

from epochal.errors import EpochalError, RunError
from epochal.web.one_file import page_json
from epochal.words.phrases import translate

ADDRESS = "127.0.0.1"
TOKEN_HEADER = "X-Epochal-Token"
MOST_BYTES = 64 << 10
"""The longest body of a question."""

Route: TypeAlias = Callable[[Mapping[str, str]], "str | Mapping[str, Any]"]
"""Answers a query with text, which is sent as HTML, or with a mapping, sent as JSON.

Raises `KeyError` or `ValueError` for a query that it does not know, and `EpochalError` where it cannot answer.
"""

Question: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Answers a JSON object with another; raises as a `Route` does."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a server answers.

    Attributes:
        routes: what is read (GET), by path.
        questions: what is asked and may change something (POST), by path.
        token: what every request must bring, in its query or in the header `TOKEN_HEADER`; ``None``: none is needed.
    """

    routes: Mapping[str, Route]
    questions: Mapping[str, Question] = field(default_factory=dict)
    token: str | None = None

    def knows(self, token: str | None) -> bool:
        """Return whether a request with this token may be answered; how long that takes says nothing of the token."""
        return self.token is None or hmac.compare_digest((token or "").encode(), self.token.encode())


@dataclass(slots=True)
class PageServer:
    """Serves a site, and nothing else.

    Attributes:
        server: the server under it, which listens already.
    """

    server: ThreadingHTTPServer

    @classmethod
    def open(cls, site: Site | Mapping[str, Route], port: int = 0) -> PageServer:
        """Listen on ``port``, or on any free one for 0, and serve a site, or routes alone.

        Raises `RunError` where that cannot be.
        """
        site = site if isinstance(site, Site) else Site(site)
        try:
            server = ThreadingHTTPServer((ADDRESS, port), partial(_PageHandler, site))
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
    timeout = 60  # of a connection that brings nothing

    def __init__(self, site: Site, *request: Any) -> None:
        self.site = site
        with suppress(ConnectionError):  # whoever asked may go before the question is whole, which is no error
            super().__init__(*request)  # which answers the request

    def do_GET(self) -> None:
        """Answer what the path's route returns, or why not."""
        address = self._address()
        query = dict(parse_qsl(address.query))
        if not self._is_welcome(query.get("token")):
            return

        if address.path in self.site.questions:
            self._refuse(405, "this is asked by POST")
        elif (route := self.site.routes.get(address.path)) is None:
            self._refuse(404, "there is nothing here")
        else:
            self._reply(lambda: route(query), "this route does not know this query")

    def do_POST(self) -> None:
        """Answer the path's question, or why not."""
        if not self._is_welcome(self.headers.get(TOKEN_HEADER)):
            return

        path = self._address().path
        if path in self.site.routes or not self.site.questions:
            self._refuse(405, "this is only read, by GET")
        elif (question := self.site.questions.get(path)) is None:
            self._refuse(404, "there is nothing here")
        elif (body := self._body()) is not None:
            self._reply(lambda: question(body), "this question is not understood")

    def _other_method(self) -> None:
        if self._is_welcome(self.headers.get(TOKEN_HEADER)):
            self._refuse(405, "this server knows GET and POST alone")

    do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _other_method  # noqa: N815 - the standard library's names

    def _address(self) -> SplitResult:
        """Return the parts of what was asked for; of an address that is none, no parts."""
        try:
            return urlsplit(self.path)
        except ValueError:
            return urlsplit("")

    def _is_welcome(self, token: str | None) -> bool:
        """Refuse what does not come from a page of this server, with its token."""
        if not self._is_here(self.headers.get("Host", "")):
            self._refuse(403, "this server answers its own machine alone")  # DNS rebinding
        elif not self._is_own(self.headers.get("Origin")):
            self._refuse(403, "this server answers its own pages alone")
        elif not self.site.knows(token):
            self._refuse(403, "this address needs its token; take the whole one that the command printed")
        else:
            return True
        return False

    def _is_here(self, host: str) -> bool:
        name, _, port = host.rpartition(":")
        own = str(self.server.server_address[1])  # type: ignore[index]
        return name in (ADDRESS, "localhost") and (self.site.token is None or port == own)

    def _is_own(self, origin: str | None) -> bool:
        """Return whether an origin, which browsers name with each question, is this server; none is no browser's."""
        return origin is None or origin == f"http://{self.headers.get('Host', '')}"

    def _body(self) -> Mapping[str, Any] | None:
        """Return the JSON object that a question brings; ``None`` where it was refused."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse(411, "a question says how long it is")
            return None
        if len(length) > 9 or int(length) > MOST_BYTES:
            self._refuse(413, f"a question has at most {MOST_BYTES:,} bytes")
            return None

        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            self._refuse(400, "a question is a JSON object")
            return None
        return body

    def _reply(self, answer: Callable[[], str | Mapping[str, Any]], unknown: str) -> None:
        """Send the answer: text as HTML, anything else as JSON; or say what the user can fix."""
        try:
            content = answer()
        except EpochalError as error:
            self._refuse(503, str(error))
            return
        except (KeyError, ValueError):
            self._refuse(400, unknown)
            return
        except Exception:
            self._refuse(500, "this could not be computed; the terminal says more")
            raise
        if isinstance(content, str):
            self._answer(200, "text/html", content)
        else:
            self._answer(200, "application/json", page_json(content))

    def _refuse(self, status: int, why: str) -> None:
        """Say why not: in every language as JSON to what asks, in one line to what reads."""
        if self.command != "POST":
            self._answer(status, "text/plain", why if self.site.token is None else translate(why))
            return
        error = {"en": why, "zh": translate(why, "zh")}
        self._answer(status, "application/json", page_json({"ok": False, "error": error}))

    def _answer(self, status: int, kind: str, text: str) -> None:
        """Send an answer; whoever asked may have gone meanwhile, which is no error."""
        with suppress(ConnectionError):
            self._send(status, kind, text)

    def _send(self, status: int, kind: str, text: str) -> None:
        content = text.encode(errors="replace")  # JSON may hold half a letter, which no text can
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        if status == 405:
            self.send_header("Allow", "POST" if self.command == "GET" else "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the standard library
        """Say nothing: a question a second is no event."""
