from __future__ import annotations

import http.client
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from epochal.errors import RunError
from epochal.web import connections
from epochal.web import server as server_module
from epochal.web.connections import MOST_AT_ONCE, Connections, TimelyReader
from epochal.web.server import MOST_BYTES, TOKEN_HEADER, PageServer, Route, Site
from serving import Serve, serve

__all__ = ["serve"]


def routes(page: Callable[[], str], updates: Callable[[Mapping[str, str]], Mapping[str, Any]]) -> Mapping[str, Route]:
    return {"/": lambda query: page(), "/updates": updates}


def status(url: str, **headers: str) -> int:
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


def token(server: PageServer) -> dict[str, str]:
    return {TOKEN_HEADER: server.site.token}


def test_it_answers_its_routes_and_nothing_else(serve: Serve) -> None:
    server = serve(routes(lambda: "<p>日</p>", lambda query: {"asked": dict(query)}))
    with urlopen(server.address, timeout=10) as answer:
        assert answer.read().decode() == "<p>日</p>"
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    with urlopen(Request(f"{server.url}updates?run=0&version=1.0", headers=token(server)), timeout=10) as answer:
        assert json.load(answer) == {"asked": {"run": "0", "version": "1.0"}}
    assert status(f"{server.url}run.toml", **token(server)) == 404
    assert status(f"{server.url}../../etc/passwd", **token(server)) == 404


def test_each_server_has_a_token_of_its_own(serve: Serve) -> None:
    server, other = serve(routes(lambda: "secret", lambda query: {})), serve({})
    assert server.site.token != other.site.token
    assert len(server.site.token) >= 20
    assert (status(server.url), status(f"{server.url}?token={other.site.token}"), status(server.address)) == (
        403,
        403,
        200,
    )


def test_it_listens_on_this_machine_alone(serve: Serve) -> None:
    server = serve(routes(lambda: "", lambda query: {}))
    assert server.url.startswith("http://127.0.0.1:")
    assert server.server.server_address[0] == "127.0.0.1"


def test_another_site_cannot_read_it_through_a_name_of_its_own(serve: Serve) -> None:
    """A page from elsewhere whose host name comes to mean 127.0.0.1 (DNS rebinding)."""
    server = serve(routes(lambda: "secret", lambda query: {}))
    assert status(server.address, Host="evil.example:80") == 403
    assert status(server.address, Host=f"localhost:{server.server.server_address[1]}") == 200


def test_what_the_user_can_fix_is_said(serve: Serve) -> None:
    def answer(query: Mapping[str, str]) -> Mapping[str, Any]:
        raise RunError("the run is gone")

    server = serve(routes(lambda: "", answer))
    assert status(f"{server.url}updates?", **token(server)) == 503


@pytest.mark.parametrize("error", [KeyError("run"), ValueError("x"), OverflowError("y")])
def test_a_question_that_no_page_asks(serve: Serve, error: Exception) -> None:
    def answer(query: Mapping[str, str]) -> Mapping[str, Any]:
        raise error

    server = serve(routes(lambda: "", answer))
    assert status(f"{server.url}updates?run=x", **token(server)) == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"])
def test_only_reading_is_possible(serve: Serve, method: str) -> None:
    server = serve(routes(lambda: "", lambda query: {}))
    assert send(server, method, "/", body="{}", X_Epochal_Token=server.site.token)[0] == 405


# --- questions, which may change something ---------------------------------------------------------------------------

TOKEN = "a-token-that-nobody-guesses"


def send(server: PageServer, method: str, path: str, *, body: str = "", **headers: str) -> tuple[int, str]:
    """Send a request with these headers, ``_`` for ``-``; return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server.server_address[1], timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body.encode() if body else None, headers=named)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content


@pytest.fixture
def asked(serve: Serve) -> tuple[PageServer, list[Mapping[str, Any]]]:
    """A server with a token and one question, and what it was asked."""
    seen: list[Mapping[str, Any]] = []

    def question(body: Mapping[str, Any]) -> Mapping[str, Any]:
        seen.append(body)
        if body.get("wrong"):
            raise KeyError("wrong")
        return {"ok": True, "got": dict(body), "语": "言"}

    return serve(Site({"/": lambda query: "<p>page</p>"}, {"/api/ask": question}, TOKEN)), seen


def test_a_question_is_answered_to_the_page_that_knows_the_token(asked: Any) -> None:
    server, seen = asked
    origin = server.url.rstrip("/")
    status_, text = send(server, "POST", "/api/ask", body='{"to": 3}', X_Epochal_Token=TOKEN, Origin=origin)
    assert (status_, json.loads(text)) == (200, {"ok": True, "got": {"to": 3}, "语": "言"})
    assert seen == [{"to": 3}]
    assert TOKEN_HEADER == "X-Epochal-Token"
    assert send(server, "GET", f"/?token={TOKEN}") == (200, "<p>page</p>")


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "needs its token"),
        ({"X_Epochal_Token": "wrong"}, "needs its token"),
        ({"X_Epochal_Token": TOKEN[:-1]}, "needs its token"),
        ({"X_Epochal_Token": TOKEN + "é"}, "needs its token"),
        ({"X_Epochal_Token": TOKEN, "Origin": "http://evil.example"}, "its own pages"),
        ({"X_Epochal_Token": TOKEN, "Origin": "null"}, "its own pages"),
        ({"X_Epochal_Token": TOKEN, "Origin": "http://127.0.0.1:1"}, "its own pages"),
        ({"X_Epochal_Token": TOKEN, "Host": "evil.example"}, "its own machine"),
        ({"X_Epochal_Token": TOKEN, "Host": "evil.example:80"}, "its own machine"),
        ({"X_Epochal_Token": TOKEN, "Host": "127.0.0.1:1"}, "its own machine"),
        ({"X_Epochal_Token": TOKEN, "Host": "127.0.0.1.evil.example:80"}, "its own machine"),
    ],
)
def test_nobody_else_is_answered(asked: Any, headers: dict[str, str], why: str) -> None:
    server, seen = asked
    status_, text = send(server, "POST", "/api/ask", body="{}", **headers)
    answer = json.loads(text)
    assert (status_, answer["ok"]) == (403, False)
    assert why in answer["error"]["en"]
    assert answer["error"]["zh"] != answer["error"]["en"]
    assert seen == []


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", f"?token={TOKEN}x"])
def test_the_page_needs_the_token_too(asked: Any, query: str) -> None:
    status_, text = send(asked[0], "GET", f"/{query}")
    assert (status_, "page" in text) == (403, False)


@pytest.mark.parametrize(
    ("body", "status_"),
    [
        ("{", 400),
        ("[1]", 400),
        ("3", 400),
        ("[" * 20_000, 400),
        ('{"wrong": 1}', 400),
        ('{"long": "' + "x" * MOST_BYTES + '"}', 413),
    ],
    ids=["half", "list", "number", "deep", "not understood", "long"],
)
def test_what_is_no_question(asked: Any, body: str, status_: int) -> None:
    status, text = send(asked[0], "POST", "/api/ask", body=body, X_Epochal_Token=TOKEN)
    assert (status, json.loads(text)["ok"]) == (status_, False)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999999999999", "٣"])
def test_a_length_that_is_none(asked: Any, length: str) -> None:
    headers = {"X_Epochal_Token": TOKEN, "Content_Length": length.encode().decode("latin-1")}
    status_, _ = send(asked[0], "POST", "/api/ask", **headers)
    assert status_ in (411, 413)


@pytest.mark.parametrize(
    ("method", "path", "status_"),
    [
        ("GET", f"/api/ask?token={TOKEN}", 405),
        ("POST", "/", 405),
        ("PUT", "/api/ask", 405),
        ("DELETE", "/api/ask", 405),
        ("OPTIONS", "/api/ask", 405),
        ("POST", "/api/other", 404),
        ("GET", f"/other?token={TOKEN}", 404),
        ("GET", f"/../etc/passwd?token={TOKEN}", 404),
    ],
)
def test_other_methods_and_places(asked: Any, method: str, path: str, status_: int) -> None:
    server, seen = asked
    assert send(server, method, path, body="{}", X_Epochal_Token=TOKEN)[0] == status_
    assert seen == []


def test_a_port_in_use(serve: Serve) -> None:
    server = serve(routes(lambda: "", lambda query: {}))
    with pytest.raises(RunError, match=r"cannot serve on port \d+: .*in use; choose another with --port"):
        PageServer.open({}, server.server.server_address[1])


def test_no_such_port() -> None:
    with pytest.raises(RunError, match="cannot serve on port 70000"):
        PageServer.open({}, 70_000)


def test_ctrl_c_ends_it_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    server = PageServer.open({})
    monkeypatch.setattr(server.server, "serve_forever", lambda **options: (_ for _ in ()).throw(KeyboardInterrupt))
    server.run()
    assert server.server.socket.fileno() == -1


@pytest.fixture
def errors(asked: Any, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the server of `asked` could not handle."""
    seen: list[object] = []
    monkeypatch.setattr(asked[0].server, "handle_error", lambda *request: seen.append(sys.exception()))
    return seen


def host(server: PageServer) -> str:
    return f"127.0.0.1:{server.server.server_address[1]}"


def connect(server: PageServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server.server_address[1]), timeout=10)


HALF = f"POST /api/ask HTTP/1.0\r\nHost: 127.0.0.1:PORT\r\n{TOKEN_HEADER}: {TOKEN}\r\nContent-Length: 9\r\n\r\n{{"


def test_who_sends_half_a_question_and_waits_keeps_nobody_waiting(asked: Any) -> None:
    server, seen = asked
    with connect(server) as slow:
        slow.sendall(HALF.replace("PORT", str(server.server.server_address[1])).encode())
        assert send(server, "POST", "/api/ask", body="{}", X_Epochal_Token=TOKEN)[0] == 200
        slow.shutdown(socket.SHUT_WR)
        assert slow.recv(100).startswith(b"HTTP/1.0 400")
    assert seen == [{}]


@pytest.mark.parametrize("sent", ["POST /a", HALF], ids=["line", "body"])
def test_who_goes_before_the_question_is_whole_is_no_error(
    asked: Any, errors: list[object], sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = asked[0]
    done = threading.Event()
    close = server.server.shutdown_request

    def closed(request: Any) -> None:
        close(request)
        done.set()

    monkeypatch.setattr(server.server, "shutdown_request", closed)
    with connect(server) as browser:
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        browser.sendall(sent.replace("PORT", str(server.server.server_address[1])).encode())
    assert done.wait(10)
    assert errors == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_address_that_is_none(asked: Any, errors: list[object], method: str) -> None:
    server = asked[0]
    host = f"Host: 127.0.0.1:{server.server.server_address[1]}"
    with connect(server) as browser:
        browser.sendall(f"{method} http://[ HTTP/1.0\r\n{host}\r\n{TOKEN_HEADER}: {TOKEN}\r\n\r\n".encode())
        assert browser.recv(100).startswith(b"HTTP/1.0 400")
    assert errors == []


def test_half_a_letter_is_answered(asked: Any, errors: list[object]) -> None:
    status_, text = send(asked[0], "POST", "/api/ask", body='{"to": "\\ud800"}', X_Epochal_Token=TOKEN)
    assert (status_, json.loads(text)["got"]) == (200, {"to": "\ufffd"})
    assert errors == []


def test_what_nobody_foresaw_is_answered_and_told_to_the_terminal(serve: Serve, monkeypatch: Any) -> None:
    server = serve(Site({}, {"/api/ask": lambda body: {"ok": 1 / 0}}, TOKEN))
    told: list[object] = []
    monkeypatch.setattr(server.server, "handle_error", lambda *request: told.append(sys.exception()))
    done = threading.Event()
    close = server.server.shutdown_request

    def closed(request: Any) -> None:
        close(request)
        done.set()

    monkeypatch.setattr(server.server, "shutdown_request", closed)
    status_, text = send(server, "POST", "/api/ask", body="{}", X_Epochal_Token=TOKEN)
    answer = json.loads(text)
    assert done.wait(10)
    assert (status_, answer["ok"]) == (500, False)
    assert answer["error"]["zh"] != answer["error"]["en"] == "this could not be computed; the terminal says more"
    assert "division" not in text
    assert isinstance(told[0], ZeroDivisionError)


def test_a_browser_that_goes_away_is_no_error(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, gone, done = threading.Event(), threading.Event(), threading.Event()
    errors: list[object] = []

    def page() -> str:
        asked.set()
        gone.wait(10)
        return "x" * 10_000_000

    server = serve(routes(page, lambda query: {}))
    monkeypatch.setattr(server.server, "handle_error", lambda *request: errors.append(request))
    close = server.server.shutdown_request

    def closed(request: Any) -> None:
        close(request)
        done.set()

    monkeypatch.setattr(server.server, "shutdown_request", closed)
    with socket.create_connection(("127.0.0.1", server.server.server_address[1])) as browser:
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        browser.sendall(f"GET /?token={server.site.token} HTTP/1.0\r\nHost: {host(server)}\r\n\r\n".encode())
        assert asked.wait(10)
    gone.set()
    assert done.wait(10)
    assert errors == []


# --- what no browser sends -------------------------------------------------------------------------------------------

ODD = {
    "method": (b"BREW /?token=TOKEN HTTP/1.1\r\nHost: HOST\r\n\r\n", b"501"),
    "no method": (b"\r\n\r\n", b""),
    "words": (b"one two three four\r\n\r\n", b"400"),
    "bytes": (b"\x16\x03\x01\x02\x00\x01\x00\xff\r\n\r\n", b"400"),
    "version": (b"GET / HTTP/9.9\r\nHost: HOST\r\n\r\n", b"505"),
    "version that is none": (b"GET / HTTP/\xc2\xb9.1\r\nHost: HOST\r\n\r\n", b"400"),
    "long address": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n", b"414"),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"Host: HOST\r\n\r\n", b"431"),
    "no host": (b"GET /?token=TOKEN HTTP/1.1\r\n\r\n", b"403"),
    "no port": (b"GET /?token=TOKEN HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"403"),
    "address": (b"GET http://[ HTTP/1.1\r\nHost: HOST\r\n\r\n", b"400"),
    "long number": (b"GET /?iterations=" + b"9" * 30 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n", b"400"),
    "many fields": (b"GET /?" + b"a=1&" * 100 + b" HTTP/1.1\r\nHost: HOST\r\n\r\n", b"400"),
    "half a letter": (b"GET /?token=%ED%B3%BF HTTP/1.1\r\nHost: HOST\r\n\r\n", b"403"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_requests_are_answered_in_one_line(asked: Any, errors: list[object], name: str) -> None:
    server, (request, status_) = asked[0], ODD[name]
    with connect(server) as client:
        client.sendall(request.replace(b"HOST", host(server).encode()).replace(b"TOKEN", TOKEN.encode()))
        client.shutdown(socket.SHUT_WR)
        answer = everything(client)
    head, _, text = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1:2] == ([status_] if status_ else [])
    assert (text.count(b"\n"), b"<" in text) == (0, False)
    assert errors == []


def everything(client: socket.socket) -> bytes:
    pieces = []
    try:
        while piece := client.recv(65536):
            pieces.append(piece)
    except ConnectionError:  # what was not read is answered by a reset
        pass
    return b"".join(pieces)


@pytest.mark.parametrize("number", ["9" * 30, "-" + "9" * 5000, "1e999", "NaN", "-Infinity"])
def test_numbers_that_nobody_counts(asked: Any, errors: list[object], number: str) -> None:
    server, seen = asked
    status_, _ = send(server, "POST", "/api/ask", body=f'{{"to": {number}}}', X_Epochal_Token=TOKEN)
    assert (status_, seen, errors) == (400, [], [])


def test_a_slow_client_is_dropped_however_it_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    now = iter(map(float, range(100)))
    monkeypatch.setattr(connections.time, "monotonic", lambda: next(now))
    with ours, theirs:
        reader = TimelyReader(ours, 3.0)
        theirs.sendall(b"abc")
        assert reader.read(1) == b"a"
        assert reader.read(1) == b"b"
        with pytest.raises(TimeoutError):
            reader.read(1)


def test_who_sends_nothing_is_dropped(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_SECONDS", 0.2)
    server = serve({})
    with connect(server) as silent, connect(server) as half:
        half.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert (everything(silent), everything(half)) == (b"", b"")


def test_a_crowd_that_waits_keeps_nobody_out(serve: Serve) -> None:
    server = serve(routes(lambda: "page", lambda query: {}))
    crowd = [connect(server) for _ in range(3 * MOST_AT_ONCE)]
    try:
        assert status(server.address) == 200
        assert sum(thread.name.endswith("(process_request_thread)") for thread in threading.enumerate()) < 64
    finally:
        for one in crowd:
            one.close()


def test_who_works_is_not_dropped_for_who_comes() -> None:
    some = Connections(most=2)
    pairs = [socket.socketpair() for _ in range(4)]
    thread = threading.Thread()
    first, second, third, fourth = (ours for ours, _ in pairs)
    assert some.admit(first, thread)
    assert some.admit(second, thread)
    some.has_asked(first)
    assert some.admit(third, thread), "in place of the second, which has not asked"
    assert pairs[1][1].recv(1) == b""
    some.has_asked(third)
    assert not some.admit(fourth, thread)
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    server = PageServer.open({})
    running = threading.Thread(target=server.run)
    running.start()
    waiting = [connect(server) for _ in range(5)]
    for one in waiting:
        one.sendall(b"GET / HTTP/1.1\r\n")
    server.server.shutdown()
    running.join(10)
    assert set(threading.enumerate()) <= before
    for one in waiting:
        one.close()
