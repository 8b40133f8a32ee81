"""What may be read in two ways, what names itself otherwise than it is shown, and what goes on when nobody asks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from epochal.cli.signals import leaving_behind
from epochal.web.connections import Connections, TimelyReader
from epochal.web.one_file import page_json
from epochal.web.server import TOKEN_HEADER, PageServer, Site
from serving import Serve, serve

__all__ = ["serve"]

TOKEN = "a-token-that-nobody-guesses"
ODD = "a\x1b]0;X\x07\x7f\u202e\u2028b"
"""A name that would act on a terminal, and on the direction of a page's writing."""


@pytest.fixture
def asked(serve: Serve) -> tuple[PageServer, list[Mapping[str, Any]]]:
    """A server with a question, and what it was asked."""
    seen: list[Mapping[str, Any]] = []

    def question(body: Mapping[str, Any]) -> Mapping[str, Any]:
        seen.append(body)
        return {"ok": True}

    return serve(Site({"/": lambda query: "page"}, {"/api/ask": question}, TOKEN)), seen


def answer(server: PageServer, head: str, body: str = "{}") -> str:
    """Send a request whose head has HOST for the server's own address; return the status."""
    port = server.server.server_address[1]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(head.replace("HOST", f"127.0.0.1:{port}").replace("\n", "\r\n").encode() + body.encode())
        return client.recv(100).decode().split(" ")[1]


WHOLE = f"POST /api/ask HTTP/1.1\nHost: HOST\n{TOKEN_HEADER}: {TOKEN}\nContent-Length: 2\n"


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ("", "200"),
        ("Content-Length: 30\n", "400"),
        ("content-length: 2\n", "400"),
        ("Transfer-Encoding: chunked\n", "400"),
        ("Host: evil.example\n", "400"),
        (f"{TOKEN_HEADER}: other\n", "400"),
        ("Origin: http://HOST\n", "200"),
        ("Origin: http://HOST\nOrigin: http://evil.example\n", "400"),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(asked: Any, more: str, status: str) -> None:
    server, seen = asked
    assert answer(server, f"{WHOLE}{more}\n") == status
    assert len(seen) == (status == "200")


@pytest.mark.parametrize(("place", "status"), [("http://HOST/", "200"), ("http://evil.example/", "403")])
def test_a_whole_address_is_of_this_server(asked: Any, place: str, status: str) -> None:
    assert answer(asked[0], f"GET {place}?token={TOKEN} HTTP/1.1\nHost: HOST\n\n", "") == status


def test_no_text_of_an_answer_acts() -> None:
    value = {ODD: [ODD, 'a\\u001b "\\"\n']}
    shown = "a␛]0;X␇␡\ufffd\ufffdb"
    assert json.loads(page_json(value)) == {shown: [shown, 'a\\u001b "\\"\n']}


# --- at the end ------------------------------------------------------------------------------------------------------

LEFT = """
import os, signal, threading, time
from epochal.cli.signals import leaving_behind
work = threading.Thread(target=time.sleep, args=(60,))
with leaving_behind(work.is_alive):
    print("served", flush=True)
    work.start()
    {end}
raise SystemExit("not left behind")
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a signal")
@pytest.mark.parametrize(("end", "status"), [("pass", 0), ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", 130)])
def test_a_thread_at_work_for_nobody_keeps_no_process(end: str, status: int) -> None:
    process = subprocess.run([sys.executable, "-c", LEFT.format(end=end)], capture_output=True, text=True, timeout=30)
    assert (process.returncode, process.stdout, process.stderr) == (status, "served\n", "")


def test_a_block_that_left_nothing_goes_on() -> None:
    with leaving_behind(lambda: False):
        pass
    with pytest.raises(KeyboardInterrupt), leaving_behind(lambda: False):
        raise KeyboardInterrupt


def test_a_connection_that_the_end_closed_is_no_error(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ctrl-C between two connections closes the latest one, whose thread has begun."""
    server, _ = asked
    errors, done = list[object](), threading.Event()
    monkeypatch.setattr(server.server, "handle_error", lambda *request: errors.append(sys.exception()))
    monkeypatch.setattr(server.server, "shutdown_request", lambda request: done.set())

    def closing(query: Mapping[str, str]) -> str:
        for connection in server.server.connections._threads:
            connection.close()
        return "page"

    monkeypatch.setitem(server.site.routes, "/", closing)
    with socket.create_connection(("127.0.0.1", server.server.server_address[1]), timeout=10) as client:
        port = server.server.server_address[1]
        client.sendall(f"GET /?token={TOKEN} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert done.wait(10)
    assert errors == []


def test_a_closed_connection_cannot_be_read() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        with pytest.raises(ConnectionError):
            TimelyReader(ours, 3.0).read(1)


def test_a_connection_whose_thread_never_began_is_not_waited_for() -> None:
    some, (ours, theirs) = Connections(), socket.socketpair()
    with ours, theirs:
        assert some.admit(ours, threading.Thread())
        some.end(1.0)
        assert not some.are_left


def test_what_is_computed_is_stopped_before_it_is_waited_for() -> None:
    stop, server = threading.Event(), PageServer.open(Site({"/": lambda query: str(stop.wait(20))}, token=TOKEN))
    running = threading.Thread(target=server.run, args=(stop.set,))
    running.start()
    with socket.create_connection(("127.0.0.1", server.server.server_address[1]), timeout=10) as client:
        port = server.server.server_address[1]
        client.sendall(f"GET /?token={TOKEN} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        while not server.is_answering:
            time.sleep(0.01)
        server.server.shutdown()
        running.join(10)
    assert (stop.is_set(), server.is_answering) == (True, False)
