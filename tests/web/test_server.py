from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from epochal.errors import RunError
from epochal.web.server import PageServer, Route
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


def test_it_answers_its_routes_and_nothing_else(serve: Serve) -> None:
    server = serve(routes(lambda: "<p>日</p>", lambda query: {"asked": dict(query)}))
    with urlopen(server.url, timeout=10) as answer:
        assert answer.read().decode() == "<p>日</p>"
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    with urlopen(f"{server.url}updates?run=0&version=1.0", timeout=10) as answer:
        assert json.load(answer) == {"asked": {"run": "0", "version": "1.0"}}
    assert status(f"{server.url}run.toml") == 404
    assert status(f"{server.url}../../etc/passwd") == 404


def test_it_listens_on_this_machine_alone(serve: Serve) -> None:
    server = serve(routes(lambda: "", lambda query: {}))
    assert server.url.startswith("http://127.0.0.1:")
    assert server.server.server_address[0] == "127.0.0.1"


def test_another_site_cannot_read_it_through_a_name_of_its_own(serve: Serve) -> None:
    """A page from elsewhere whose host name comes to mean 127.0.0.1 (DNS rebinding)."""
    server = serve(routes(lambda: "secret", lambda query: {}))
    assert status(server.url, Host="evil.example:80") == 403
    assert status(server.url, Host=f"localhost:{server.server.server_address[1]}") == 200


def test_what_the_user_can_fix_is_said(serve: Serve) -> None:
    def answer(query: Mapping[str, str]) -> Mapping[str, Any]:
        raise RunError("the run is gone")

    server = serve(routes(lambda: "", answer))
    assert status(f"{server.url}updates?") == 503


@pytest.mark.parametrize("error", [KeyError("run"), ValueError("x")])
def test_a_question_that_no_page_asks(serve: Serve, error: Exception) -> None:
    def answer(query: Mapping[str, str]) -> Mapping[str, Any]:
        raise error

    assert status(f"{serve(routes(lambda: '', answer)).url}updates?run=x") == 400


def test_only_reading_is_possible(serve: Serve) -> None:
    server = serve(routes(lambda: "", lambda query: {}))
    connection = http.client.HTTPConnection("127.0.0.1", server.server.server_address[1], timeout=10)
    connection.request("POST", "/", body="x")
    assert connection.getresponse().status == 501
    connection.close()


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
