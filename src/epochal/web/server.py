"""A small server for a page and what it asks for, on this machine alone, for who knows its token."""

from __future__ import annotations

import hmac
import json
import math
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
from io import BufferedReader
from typing import Any, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlsplit

from epochal.errors import EpochalError, RunError
from epochal.web.connections import REQUEST_SECONDS, LocalServer, TimelyReader
from epochal.web.one_file import page_json
from epochal.words.phrases import translate

ADDRESS = "127.0.0.1"
TOKEN_HEADER = "X-Epochal-Token"
MOST_BYTES = 64 << 10
"""The longest body of a question."""

_MOST_FIELDS = 32
_ONCE = ("Host", "Origin", TOKEN_HEADER, "Content-Length")  # whichever of two is taken, another may take the other
_LONG_NUMBER = re.compile(r"[+-]?\d{16,}")  # beyond what a page's script can count exactly
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
        token: what every request must bring, in its query or in the header `TOKEN_HEADER`.
    """

    routes: Mapping[str, Route]
    questions: Mapping[str, Question] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def knows(self, token: str | None) -> bool:
        """Return whether a request with this token may be answered; how long that takes says nothing of the token."""
        return hmac.compare_digest((token or "").encode(errors="replace"), self.token.encode())


@dataclass(slots=True)
class PageServer:
    """Serves a site, and nothing else.

    Attributes:
        site: what it answers.
        server: the server under it, which listens already.
    """

    site: Site
    server: LocalServer

    @classmethod
    def open(cls, site: Site | Mapping[str, Route], port: int = 0) -> PageServer:
        """Listen on ``port``, or on any free one for 0, and serve a site, or routes alone.

        Raises `RunError` where that cannot be.
        """
        site = site if isinstance(site, Site) else Site(site)
        try:
            server = LocalServer((ADDRESS, port), partial(_PageHandler, site))
        except (OSError, OverflowError) as error:
            raise RunError(f"cannot serve on port {port}: {error}; choose another with --port") from error
        return cls(site, server)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{ADDRESS}:{self.server.server_address[1]}/"

    @property
    def address(self) -> str:
        """Where the page is: with the token, for those alone who may see it."""
        return f"{self.url}?token={self.site.token}"

    @property
    def is_answering(self) -> bool:
        """Whether something is still computed for somebody; after the end, for nobody."""
        return self.server.connections.are_left

    def run(self, ending: Callable[[], object] = lambda: None) -> None:
        """Serve until Ctrl-C; nothing is answered after that, and no thread is left but of answers that take long.

        ``ending`` is called first then: it may stop what is computed for answers.
        """
        try:
            self.server.serve_forever(poll_interval=0.5)
        except KeyboardInterrupt:
            pass
        finally:
            ending()
            self.server.server_close()


class _PageHandler(BaseHTTPRequestHandler):
    server: LocalServer

    def __init__(self, site: Site, *request: Any) -> None:
        self.site = site
        with suppress(ConnectionError, TimeoutError):  # whoever asked may go before that is whole, which is no error
            super().__init__(*request)  # which answers the request

    def setup(self) -> None:
        """Read the request within its time."""
        super().setup()
        self.rfile.close()
        self.rfile = BufferedReader(TimelyReader(self.connection, REQUEST_SECONDS))

    def do_GET(self) -> None:
        """Answer what the path's route returns, or why not."""
        if not self._is_from_here() or (parts := self._address()) is None:
            return
        address, query = parts
        if not self._has_token(query.get("token") or self.headers.get(TOKEN_HEADER)):
            return

        if address.path in self.site.questions:
            self._refuse(405, "this is asked by POST")
        elif (route := self.site.routes.get(address.path)) is None:
            self._refuse(404, "there is nothing here")
        else:
            self._reply(lambda: route(query), "this route does not know this query")

    def do_POST(self) -> None:
        """Answer the path's question, or why not."""
        if not self._is_from_here() or (parts := self._address()) is None:
            return
        if not self._has_token(self.headers.get(TOKEN_HEADER)):
            return

        path = parts[0].path
        if path in self.site.routes or not self.site.questions:
            self._refuse(405, "this is only read, by GET")
        elif (question := self.site.questions.get(path)) is None:
            self._refuse(404, "there is nothing here")
        elif (body := self._body()) is not None:
            self._reply(lambda: question(body), "this question is not understood")

    def _other_method(self) -> None:
        if self._is_from_here() and self._has_token(self.headers.get(TOKEN_HEADER)):
            self._refuse(405, "this server knows GET and POST alone")

    do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _other_method  # noqa: N815 - the standard library's names

    def _address(self) -> tuple[SplitResult, Mapping[str, str]] | None:
        """Return the parts of what was asked for, and its query; ``None`` where that was refused."""
        try:
            address = urlsplit(self.path)
            query = dict(parse_qsl(address.query, max_num_fields=_MOST_FIELDS))
        except ValueError:
            self._refuse(400, "this address is not understood")
            return None
        if address.netloc and not self._is_here(address.netloc):
            self._refuse(403, "this server answers its own machine alone")
            return None
        if any(_LONG_NUMBER.fullmatch(value) for value in query.values()):
            self._refuse(400, "a number of this question is out of range")
            return None
        return address, query

    def _is_from_here(self) -> bool:
        """Refuse what does not come from a page of this server, or may be read in two ways."""
        if any(len(self.headers.get_all(name, ())) > 1 for name in _ONCE) or "Transfer-Encoding" in self.headers:
            self._refuse(400, "this request is not understood")
        elif not self._is_here(self.headers.get("Host", "")):
            self._refuse(403, "this server answers its own machine alone")  # DNS rebinding
        elif not self._is_own(self.headers.get("Origin")):
            self._refuse(403, "this server answers its own pages alone")
        else:
            return True
        return False

    def _has_token(self, token: str | None) -> bool:
        """Refuse who does not know the token."""
        is_known = self.site.knows(token)
        if not is_known:
            self._refuse(403, "this address needs its token; take the whole one that the command printed")
        return is_known

    def _is_here(self, host: str) -> bool:
        name, _, port = host.rpartition(":")
        return name in (ADDRESS, "localhost") and port == str(self.server.server_address[1])

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
            body = json.loads(
                self.rfile.read(int(length)), parse_int=_whole, parse_float=_finite, parse_constant=_finite
            )
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            self._refuse(400, "a question is a JSON object")
            return None

        return body

    def _reply(self, answer: Callable[[], str | Mapping[str, Any]], unknown: str) -> None:
        """Send the answer: text as HTML, anything else as JSON; or say what the user can fix."""
        self.server.connections.has_asked(self.connection)
        try:
            content = answer()
        except EpochalError as error:
            self._refuse(503, str(error))
            return
        except (KeyError, ValueError, OverflowError):
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
            self._answer(status, "text/plain", translate(why))
            return
        error = {"en": why, "zh": translate(why, "zh")}
        self._answer(status, "application/json", page_json({"ok": False, "error": error}))

    def _answer(self, status: int, kind: str, text: str) -> None:
        """Send an answer; whoever asked may have gone meanwhile, or this server, which is no error."""
        with suppress(OSError):
            self._send(status, kind, text)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say in a line what the standard library does not take; it would quote the request in a page."""
        self.close_connection = True
        self.request_version = self.protocol_version  # of a request that says none, headers would be left out
        match code:
            case 414:
                self._refuse(code, "this address is too long")
            case 431:
                self._refuse(code, "this request has too many headers, or too long ones")
            case 501:
                self._refuse(code, "this server knows GET and POST alone")
            case 505:
                self._refuse(code, "this server speaks HTTP/1.0 and HTTP/1.1 alone")
            case _:
                self._refuse(int(code), "this request is not understood")

    def _send(self, status: int, kind: str, text: str) -> None:
        self.connection.settimeout(REQUEST_SECONDS)  # for all of it
        content = text.encode(errors="replace")
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


def _whole(digits: str) -> int:
    if _LONG_NUMBER.fullmatch(digits):
        raise ValueError(digits)
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number
