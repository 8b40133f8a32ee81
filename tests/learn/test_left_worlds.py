"""What the lab still computes for worlds that nobody asks for, and what of it reaches the terminal."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from epochal.learn import lab as lab_module
from epochal.learn.lab import Lab
from epochal.learn.problem import Wish
from epochal.learn.toys import line


def landscapes() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "landscape"]


def test_no_thread_of_any_world_is_left() -> None:
    lab = Lab("line", most_worlds=1)
    for batch_size in (7, 11, 13):
        assert lab.answer("/api/start", {"batch_size": batch_size})["ok"]
    assert len(landscapes()) > 1, "those of worlds that were dropped go on for a piece"
    lab.close()
    assert (landscapes(), lab.is_computing) == ([], False)
    assert not lab.answer("/api/start", {})["ok"]


def test_a_lane_stops_where_its_world_is_left() -> None:
    lab = Lab("line")
    name = lab.start({})["id"]
    lane, answers = lab._world({"id": name}).lane("sgd"), list[Any]()
    question = {"id": name, "lane": "sgd", "to": lane.limit}
    going = threading.Thread(target=lambda: answers.append(lab.answer("/api/go", question)))
    going.start()
    while len(lane.kept) == 1:
        time.sleep(0.001)
    lab.leave({"id": name})
    going.join(30)
    lab.close()
    assert "not in memory any more" in answers[0]["error"]["en"]
    assert lane.position.iteration < lane.limit


@pytest.mark.parametrize(("lr", "path", "question"), [(1e39, "go", {"to": 2}), (1e19, "landscape", {})])
def test_numbers_that_are_none_are_no_news_for_the_terminal(lr: float, path: str, question: dict[str, Any]) -> None:
    """A warning is an error in tests."""
    lab = Lab("line")
    name = lab.start({"lr": lr})["id"]
    lab.finish_background(name)
    assert lab.answer(f"/api/{path}", {"id": name, **question})["ok"]
    lab.close()


def test_a_problem_is_known_as_it_is_shown() -> None:
    assert Wish.of({"problem": "a\ufffd␛.csv"}, "a\u202e\x1b.csv").problem == "a\u202e\x1b.csv"
    assert Wish.of({"problem": "line"}, "a\u202e.csv").problem == "line"


def test_only_so_much_data_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[str]()
    monkeypatch.setattr(lab_module, "load_problem", lambda name: read.append(name) or line())
    lab = Lab("a", most_bytes=2 * line().nbytes)
    for name in "abbcba":
        lab.load(name)
    assert read == ["a", "b", "c", "a"]
