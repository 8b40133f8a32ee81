"""A page that follows a training, served and in a real browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from made_records import made_page, made_run

from epochal.record.history import Increment
from epochal.report import render, series, updates
from epochal.report.series import EpochTotals
from serving import Serve, serve

__all__ = ["serve"]


class Training:
    """A training that does 100 iterations whenever somebody asks, and never touches a file."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 100
        self.losses = np.linspace(2, 1, total).astype(np.float32)
        self.pages = 0

    def page(self, query: Mapping[str, str]) -> str:
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
    server = serve({"/": training.page, "/updates": training.answer})
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(server.address)
    assert page.inner_text('[data-now="iteration"]') == "100"
    counters = {name: page.locator(f'[data-now="{name}"]') for name in ("epoch", "batch", "iteration")}
    counters["iteration"].filter(has_text="200").wait_for()
    assert (counters["epoch"].inner_text(), counters["batch"].inner_text()) == ("20", "10")
    known = page.evaluate("Array.from(epochal.runs[0].mean)")
    np.testing.assert_array_equal(known, training.losses[: len(known)])
    points = page.evaluate("epochal.runs[0].points")
    assert points["epoch"] == list(range(1, len(known) // 10 + 1))
    assert points["test_iteration"] == points["train_iteration"]
    page.locator("main .keys").wait_for()
    assert counters["iteration"].inner_text() == "400"
    assert training.pages == 2, "the whole report, once the training is over"
    page.close()
    assert problems == []


def test_a_server_that_is_gone_is_said_once_and_the_page_stays(browser: Any, serve: Serve) -> None:
    training = Training(600)
    server = serve({"/": training.page, "/updates": training.answer})
    page = browser.new_page()
    page.goto(server.address)
    page.route("**/updates*", lambda route: route.abort())
    page.wait_for_selector('[data-live="off"]', timeout=20_000)
    assert page.inner_text('[data-live="off"]').startswith("The server does not answer")
    page.close()
