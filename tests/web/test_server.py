from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from made_records import made_page, made_run

from epochal.errors import RunError
from epochal.record.history import Increment
from epochal.report import render, series, updates
from epochal.report.series import EpochTotals
from epochal.web.server import PageServer

Serve = Callable[..., PageServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve in a thread of its own until the test ends."""
    servers: list[tuple[PageServer, threading.Thread]] = []

    def start(page: Callable[[], str], updates: Callable[[Mapping[str, str]], Mapping[str, Any]]) -> PageServer:
        server = PageServer.open({"/": lambda query: page(), "/updates": updates})
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.server.shutdown()
        thread.join(10)


def status(url: str, **headers: str) -> int:
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


def test_it_answers_its_routes_and_nothing_else(serve: Serve) -> None:
    server = serve(lambda: "<p>日</p>", lambda query: {"asked": dict(query)})
    with urlopen(server.url, timeout=10) as answer:
        assert answer.read().decode() == "<p>日</p>"
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    with urlopen(f"{server.url}updates?run=0&version=1.0", timeout=10) as answer:
        assert json.load(answer) == {"asked": {"run": "0", "version": "1.0"}}
    assert status(f"{server.url}run.toml") == 404
    assert status(f"{server.url}../../etc/passwd") == 404


def test_it_listens_on_this_machine_alone(serve: Serve) -> None:
    server = serve(lambda: "", lambda query: {})
    assert server.url.startswith("http://127.0.0.1:")
    assert server.server.server_address[0] == "127.0.0.1"


def test_another_site_cannot_read_it_through_a_name_of_its_own(serve: Serve) -> None:
    """A page from elsewhere whose host name comes to mean 127.0.0.1 (DNS rebinding)."""
    server = serve(lambda: "secret", lambda query: {})
    assert status(server.url, Host="evil.example:80") == 403
    assert status(server.url, Host=f"localhost:{server.server.server_address[1]}") == 200


def test_what_the_user_can_fix_is_said(serve: Serve) -> None:
    def answer(query: Mapping[str, str]) -> Mapping[str, Any]:
        raise RunError("the run is gone")

    server = serve(lambda: "", answer)
    assert status(f"{server.url}updates?") == 503


@pytest.mark.parametrize("error", [KeyError("run"), ValueError("x")])
def test_a_question_that_no_page_asks(serve: Serve, error: Exception) -> None:
    def answer(query: Mapping[str, str]) -> Mapping[str, Any]:
        raise error

    assert status(f"{serve(lambda: '', answer).url}updates?run=x") == 400


def test_only_reading_is_possible(serve: Serve) -> None:
    server = serve(lambda: "", lambda query: {})
    connection = http.client.HTTPConnection("127.0.0.1", server.server.server_address[1], timeout=10)
    connection.request("POST", "/", body="x")
    assert connection.getresponse().status == 501
    connection.close()


def test_a_port_in_use(serve: Serve) -> None:
    server = serve(lambda: "", lambda query: {})
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


class Training:
    """A training that does 100 iterations whenever somebody asks, and never touches a file."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 100
        self.losses = np.linspace(2, 1, total).astype(np.float32)
        self.pages = 0

    def page(self) -> str:
        self.pages += 1
        is_over = self.done == self.total
        run = made_run(
            iterations=self.total,
            done=self.done,
            losses=self.losses[: self.done],
            status="finished" if is_over else "running",
        )
        return render(made_page(run), watch=True)

    def answer(self, query: Mapping[str, str]) -> Mapping[str, Any]:
        self.done = min(self.done + 100, self.total)
        record = made_run(iterations=self.total, done=self.done, losses=self.losses[: self.done]).record
        known, epoch, tested = (int(query[name]) for name in ("iterations", "epoch", "tested"))
        if query["version"] != series.version_of(record.file, 1):
            return {"reload": True, "is_over": False}

        increment = Increment(
            first=known,
            losses=self.losses[known : self.done],
            iterations=epoch * 10,
            samples=epoch * 1000,
            seconds=epoch * 0.5,
            epochs=record.history.epochs[epoch:],
            evaluations=tuple(row for row in record.history.tests if row.iteration > tested),
            sessions=record.history.sessions,
        )
        start = EpochTotals(epoch, epoch * 10, epoch * 1000, epoch * 0.5)
        update = updates.Update(record.file, self.done == self.total, start, increment)
        return {"is_over": update.is_over, "update": updates.pack(update, known, int(query["bucket"]))}


def test_the_page_follows_a_training_to_its_end(browser: Any, serve: Serve) -> None:
    training = Training(400)
    server = serve(training.page, training.answer)
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(server.url)
    assert page.inner_text('[data-now="iteration"]') == "100"
    counters = {name: page.locator(f'[data-now="{name}"]') for name in ("epoch", "batch", "iteration")}
    counters["iteration"].filter(has_text="200").wait_for()
    assert (counters["epoch"].inner_text(), counters["batch"].inner_text()) == ("20", "10")
    known = page.evaluate("Array.from(epochal.runs[0].mean)")
    np.testing.assert_array_equal(known, training.losses[: len(known)])
    points = page.evaluate("epochal.runs[0].points")
    assert points["epoch"] == list(range(1, len(known) // 10 + 1))
    assert points["test_iteration"] == points["train_iteration"]
    page.locator(".keys").wait_for()
    assert counters["iteration"].inner_text() == "400"
    assert training.pages == 2, "the whole report, once the training is over"
    page.close()
    assert problems == []


def test_a_server_that_is_gone_is_said_once_and_the_page_stays(browser: Any, serve: Serve) -> None:
    training = Training(600)
    server = serve(training.page, training.answer)
    page = browser.new_page()
    page.goto(server.url)
    page.route("**/updates*", lambda route: route.abort())
    page.wait_for_selector('[data-live="off"]', timeout=20_000)
    assert page.inner_text('[data-live="off"]').startswith("The server does not answer")
    page.close()
