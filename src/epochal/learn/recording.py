"""A recorded session of the learn page: the answers to all that its lessons ask, in one file that needs no server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from epochal.errors import OptionError, RunError, unknown_name
from epochal.files import atomic_write
from epochal.learn.lab import Answer, Body, Lab
from epochal.learn.learn_page import render_page
from epochal.learn.lessons import lessons_for_page
from epochal.words.language import present_language
from epochal.words.plain_text import plain_text

Goals: TypeAlias = Sequence[Mapping[str, Any]]

ALL = "all"
_SINGLE_STEPS = 60  # as many iterations of the main lane are recorded one by one
_FEW = 3  # and of those that have more, so many at the beginning
_EPOCHS = 3
_EPOCHS_TO_THE_FLOOR = 25
_WORLDS, _BYTES = 64, 8 << 30  # that live at once: lessons may share one
_SAMPLES_SHOWN = 20  # of a batch whose images are part of each answer


def key_of(path: str, body: Body) -> str:
    """Return what a recording finds an answer by, as the page's script writes it.

    >>> key_of("/api/go", {"to": 1, "lane": "mbgd", "id": "w0"})
    '/api/go {"id":"w0","lane":"mbgd","to":1}'
    """
    whole = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in body.items()
        if value is not None
    }
    return f"{path} {json.dumps(whole, sort_keys=True, separators=(',', ':'), ensure_ascii=False)}"


@dataclass(slots=True)
class Recording:
    """Asks a lab as the page would, and keeps what it answers."""

    lab: Lab
    answers: dict[str, Answer] = field(default_factory=dict)

    def ask(self, path: str, body: Body) -> Answer:
        """Return the lab's answer, recorded. Raises `RunError` for a question that has none."""
        key = key_of(path, body)
        # a lane is moved there in any case: what is asked next may be about that place
        if key not in self.answers or path == "/api/go":
            answer = self.lab.answer(path, body)
            if not answer["ok"]:
                raise RunError(f"the lesson cannot be recorded: {answer['error']['en']}")
            self.answers[key] = answer
        return self.answers[key]

    def lesson(self, start: Body, goals: Goals) -> None:
        """Record a lesson: its world, and one for each setting that it asks for."""
        began = self.world(start, goals)
        for goal in goals:
            if goal["type"] == "set":
                asked = {name: value for name, value in goal.items() if name != "type"}
                problem = began["problem"]
                whole = {"model": problem["model"], "seed": problem["seed"], **start, **asked}
                self.world(whole, ())

    def world(self, start: Body, goals: Goals) -> Answer:
        """Record a world: its lanes as far as these goals ask, its landscape, its orders, its samples."""
        began = self.ask("/api/start", start)
        name = began["id"]
        self.lab.finish_background(name)
        self.ask("/api/landscape", {"id": name})

        for lane, about in began["lanes"].items():
            for to in sorted(_stops(lane, about, goals)):
                view = self.ask("/api/go", {"id": name, "lane": lane, "to": to})
                if lane == "mbgd":
                    self._beside(name, view, goals)
        for epoch in range(_EPOCHS + 1):
            if began["problem"]["samples"] <= self.lab.most_labels:
                self.ask("/api/order", {"id": name, "epoch": epoch})
        return began

    def _beside(self, name: str, view: Answer, goals: Goals) -> None:
        """Record what can be asked of the main lane where it stands."""
        iteration = view["position"]["iteration"]
        types = {goal["type"]: goal for goal in goals}
        here = {"id": name, "iteration": iteration}
        if "open_sample" in types and iteration <= _FEW:
            for index in view["in_hand"]["indices"]:
                self.ask("/api/sample", {**here, "lane": "mbgd", "index": index})
        if "micro" in types and iteration <= _FEW:
            self.ask("/api/micro", {**here, "micro_batch": types["micro"]["micro_batch"]})


def _stops(lane: str, about: Mapping[str, Any], goals: Goals) -> set[int]:
    """Return the iterations of a lane that are recorded."""
    each, limit = about["batches_per_epoch"], about["limit"]
    wanted = {0, 1, 2, _FEW}
    epochs = range(_EPOCHS + 1) if each <= _SINGLE_STEPS or lane != "sgd" else range(2)
    if each > _SINGLE_STEPS and lane == "sgd" and each > 5_000:
        epochs = range(1)  # nobody waits for it

    for goal in goals:
        if goal["type"] == "epoch_loss":
            epochs = range(_EPOCHS_TO_THE_FLOOR + 1)
        if goal.get("lane", "mbgd") == lane and goal["type"] == "reach":
            place = goal["epoch"] * each + goal["batch"]
            wanted |= {place - 1, place}
            epochs = range(max(epochs.stop, goal["epoch"] + 1))
        if goal.get("lane", "mbgd") == lane and goal["type"] == "iterations_done":
            wanted |= {goal["count"] - 1, goal["count"]}

    # one by one where that is not much, for going forth and back
    ends = {epoch * each for epoch in epochs}
    singles = range(min(max(ends), 2 * _SINGLE_STEPS) + 1) if lane == "mbgd" and each <= _SINGLE_STEPS else ()
    return {place for place in {*wanted, *ends, *singles} if 0 <= place <= limit}


def record(data: str, keys: Iterable[str] | None = None) -> tuple[list[Any], dict[str, Answer]]:
    """Record lessons by their keys, all of them by default; return them and the answers.

    Raises `OptionError` for an unknown lesson.
    """
    lab = Lab(data, shown=_SAMPLES_SHOWN, most_worlds=_WORLDS, most_bytes=_BYTES)
    known = lessons_for_page(lab.worked_example)
    by_key = {lesson["key"]: lesson for lesson in known}
    chosen = list(by_key) if keys is None else list(keys)
    for key in chosen:
        if key not in by_key:
            raise OptionError(unknown_name("lesson", key, [*by_key, ALL]))

    recording = Recording(lab)
    recording.world({"problem": plain_text(data)}, ())  # as the page has it
    for key in chosen:
        lesson = by_key[key]
        goals = [step["goal"] for step in lesson["steps"]] + [lesson["question"]["goal"]]
        recording.lesson(lesson["start"], goals)
    lab.close()
    return [by_key[key] for key in chosen], recording.answers


def write_recording(file: Path, data: str, lesson: str = ALL) -> int:
    """Write a page that plays a recording; return its size in bytes. Raises `OptionError` or `RunError`."""
    lessons, answers = record(data, None if lesson == ALL else [lesson])
    page = render_page(None, lang=present_language(), lessons=lessons, problem=data, recording={"answers": answers})
    try:
        atomic_write(file, page.encode(errors="replace"))
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}; choose another place with --export") from error
    return file.stat().st_size
