"""A recorded session: what it answers is what a live lab answers, and it holds what the lessons ask for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from epochal.errors import OptionError
from epochal.learn import recording
from epochal.learn.lab import Lab
from epochal.learn.recording import Recording, key_of, write_recording

START = {"problem": "digits", "samples": 30, "batch_size": 10, "model": "linear"}
GOALS = ({"type": "open_sample"}, {"type": "micro", "micro_batch": 4}, {"type": "set", "batch_size": 15})


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "milliseconds"}


def asked(key: str) -> tuple[str, dict[str, Any]]:
    import json

    path, _, body = key.partition(" ")
    return path, json.loads(body)


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    """The answers of a small lesson."""
    lab = Lab("digits")
    one = Recording(lab)
    one.lesson(START, GOALS[1:])
    one.lesson(START, GOALS[:1])  # another lesson in the same world
    lab.close()
    return one.answers


def test_a_recording_answers_as_a_live_engine_does(recorded: dict[str, Any]) -> None:
    lab = Lab("digits")
    for key, answer in recorded.items():
        path, body = asked(key)
        if "iteration" in body:  # of the lane's present place
            lab.answer("/api/go", {"id": body["id"], "lane": "mbgd", "to": body["iteration"]})
        live = lab.answer(path, body)
        if path == "/api/start":
            lab.finish_background(live["id"])
        assert without_times(live) == without_times(answer), key
    lab.close()


def test_it_holds_what_the_lesson_asks_for(recorded: dict[str, Any]) -> None:
    first = recorded[key_of("/api/start", START)]["id"]
    for lane in ("mbgd", "sgd", "bgd"):
        for to in (0, 1, 2, 3):
            assert key_of("/api/go", {"id": first, "lane": lane, "to": to}) in recorded
    assert key_of("/api/landscape", {"id": first}) in recorded
    hand = recorded[key_of("/api/go", {"id": first, "lane": "mbgd", "to": 0})]["in_hand"]
    for index in hand["indices"]:
        assert key_of("/api/sample", {"id": first, "lane": "mbgd", "index": index, "iteration": 0}) in recorded
    assert key_of("/api/micro", {"id": first, "micro_batch": 4, "iteration": 0}) in recorded

    # the world that the lesson asks to set, as the page's settings ask for it
    other = {**START, "batch_size": 15, "seed": 0}
    assert recorded[key_of("/api/start", other)]["lanes"]["mbgd"]["batch_size"] == 15


def test_keys_are_as_the_script_writes_them() -> None:
    assert key_of("/api/start", {"lr": 1.0, "model": None, "problem": "数"}) == '/api/start {"lr":1,"problem":"数"}'
    assert key_of("/api/start", {"lr": 0.5}) == '/api/start {"lr":0.5}'


def test_a_page_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = [{**recording.lessons_for_page()[0], "start": {"problem": "line"}, "steps": []}]
    monkeypatch.setattr(recording, "lessons_for_page", lambda data: small)
    file = tmp_path / "lesson.html"
    size = write_recording(file, "line", small[0]["key"])
    page = file.read_text(encoding="utf-8")
    assert size == file.stat().st_size < 5e6
    assert not re.search(r"""(src|href)=["']?https?:""", page)
    assert "/api/go " in page


def test_no_such_lesson(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"unknown lesson 'epochs': did you mean 'epoch'"):
        write_recording(tmp_path / "lesson.html", "digits", "epochs")
