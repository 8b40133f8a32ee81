"""Ten lessons of a minute each, which follow the article statement by statement: what to do, and one question.

A lesson is data. Its sentences are in the catalogue (`lesson.<key>_title` and so on), all its numbers follow from a
`Plan` or an `Order`, and a goal is a small predicate that the page evaluates on what the engine has answered. The
article's statements are in order: `epoch`, `batch`, `iteration`, then what follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from epochal import formats
from epochal.clock import Plan
from epochal.order import Order
from epochal.words.catalogue import Words, say

Goal: TypeAlias = Mapping[str, Any]
"""What must be so for a step to be done: a mapping with a ``type``, one of `GOALS`."""

GOALS: Final = (
    "answer",  # the learner types these values
    "back",  # the main lane goes back
    "compare_orders",  # the orders of two epochs are compared
    "epoch_loss",  # an epoch's training loss is below so much of the first one's
    "iterations_done",  # a lane has done at least so many iterations
    "lanes_epoch",  # all three lanes have finished so many epochs
    "micro",  # an iteration is computed whole and in micro-batches of this size
    "open_sample",  # a sample's view is opened
    "reach",  # a lane has come to a batch of an epoch, both counted from 0, or beyond
    "set",  # the world has this batch size or this number of samples
)
EXAMPLE: Final = {"samples": 60_000, "tests": 10_000, "batch_size": 100, "iterations": 30_000}
"""The article's worked example."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One statement of the article, to be tried and counted.

    Attributes:
        key: the lesson's name, from which its sentences have theirs.
        start: what the lesson starts with: the body of a request to start a world.
        focus: the parts of the page that matter here.
        steps: a goal for each step, in order.
        question: the goal of the question at the end.
        numbers: what fills the gaps of the lesson's sentences.
    """

    key: str
    start: Mapping[str, Any]
    focus: tuple[str, ...]
    steps: tuple[Goal, ...]
    question: Goal
    numbers: Mapping[str, int]

    def say(self, part: str) -> Words:
        """Return a sentence of this lesson, such as its ``title``, in every language."""
        numbers = {name: formats.count(number) for name, number in self.numbers.items()}
        sentence = say(f"lesson.{self.key}_{part}", **numbers)
        return Words({language: text.strip() for language, text in sentence.texts.items()})


def lessons(data: str = "digits-60k") -> tuple[Lesson, ...]:
    """Return the ten lessons in order; ``data`` names the 60,000 images of the last one."""
    return (
        _epoch(),
        _batch(),
        _iteration(),
        _batches(),
        _methods(),
        _ragged(),
        _order(),
        _valley(),
        _micro(),
        _example(data),
    )


def lessons_for_page(data: str = "digits-60k") -> list[dict[str, Any]]:
    """Return the lessons as JSON that a page's script reads, with each sentence by its language."""
    return [
        {
            "key": lesson.key,
            "start": dict(lesson.start),
            "focus": list(lesson.focus),
            **{part: dict(lesson.say(part).texts) for part in ("title", "statement", "text", "hint", "right")},
            "steps": [
                {"goal": dict(goal), "text": dict(lesson.say(f"step{number}").texts)}
                for number, goal in enumerate(lesson.steps, start=1)
            ],
            "question": {"goal": dict(lesson.question), "text": dict(lesson.say("question").texts)},
        }
        for lesson in lessons(data)
    ]


def certificate() -> dict[str, Words]:
    """Return what the page says when the lessons are done: a title, a lead, and why 30,000 iterations are 50 epochs."""
    example = lessons()[-1]
    numbers = {name: formats.count(number) for name, number in example.numbers.items()}
    return {
        "title": say("certificate.title"),
        "lead": say("certificate.lead"),
        "because": say("certificate.because", **numbers),
    }


def _epoch() -> Lesson:
    plan = Plan(samples=60, batch_size=10, epochs=3)
    return Lesson(
        key="epoch",
        start=_start(plan),
        focus=("grid", "strip", "counters"),
        steps=(_iterations(1), _reach(epoch=1)),
        question=_answer(plan.samples_used),
        numbers={
            "samples": plan.samples,
            "batch_size": plan.batch_size,
            "epochs": plan.full_epochs,
            "answer": plan.samples_used,
        },
    )


def _batch() -> Lesson:
    plan = Plan(samples=60, batch_size=12)
    parts = 3
    return Lesson(
        key="batch",
        start=_start(plan),
        focus=("batch", "sample", "strip"),
        steps=({"type": "open_sample"}, _iterations(1)),
        question={"type": "set", "batch_size": plan.samples // parts},
        numbers={**_sizes(plan), "parts": parts, "answer": plan.samples // parts},
    )


def _iteration() -> Lesson:
    plan = Plan(samples=60, batch_size=15, epochs=3)
    return Lesson(
        key="iteration",
        start=_start(plan),
        focus=("counters", "batch", "landscape"),
        steps=(_iterations(1), {"type": "back"}, _iterations(1)),
        question=_answer(plan.updates),
        numbers={**_sizes(plan), "epochs": plan.full_epochs, "answer": plan.updates},
    )


def _batches() -> Lesson:
    plan, smaller, answer = (Plan(samples=120, batch_size=size) for size in (30, 20, 5))
    return Lesson(
        key="batches",
        start=_start(plan),
        focus=("formulas", "strip"),
        steps=(_reach(epoch=1), {"type": "set", "batch_size": smaller.batch_size}),
        question={"type": "set", "batch_size": answer.batch_size},
        numbers={
            **_sizes(plan),
            "smaller": smaller.batch_size,
            "more": smaller.batches_per_epoch,
            "wanted": answer.batches_per_epoch,
            "answer": answer.batch_size,
        },
    )


def _methods() -> Lesson:
    plan = Plan(samples=60, batch_size=12)
    bgd, sgd = (Plan(samples=plan.samples, batch_size=size, epochs=2) for size in (plan.samples, 1))
    return Lesson(
        key="methods",
        start=_start(plan),
        focus=("lanes", "formulas"),
        steps=(_reach(epoch=1, lane="bgd"), {"type": "lanes_epoch", "epoch": 1}),
        question=_answer(sgd.updates, bgd.updates),
        numbers={**_sizes(plan), "bgd_batches": bgd.batches_per_epoch, "epochs": sgd.full_epochs},
    )


def _ragged() -> Lesson:
    plan, even, other = (Plan(samples=samples, batch_size=100) for samples in (1198, 1200, 1250))
    example = Plan(EXAMPLE["samples"], EXAMPLE["batch_size"])

    return Lesson(
        key="ragged",
        start=_start(plan),
        focus=("strip", "batch", "formulas"),
        steps=(
            _reach(batch=plan.batches_per_epoch - 1),
            _reach(epoch=1),
            {"type": "set", "samples": even.samples},
        ),
        question=_answer(other.batches_per_epoch),
        numbers={
            **_sizes(plan),
            "full": plan.batches_per_epoch - 1,
            "rest": plan.last_batch_size,
            "even": even.samples,
            "even_batches": even.batches_per_epoch,
            "other": other.samples,
            "other_rest": other.last_batch_size,
            "answer": other.batches_per_epoch,
            "example": example.samples,
            "example_batches": example.batches_per_epoch,
        },
    )


def _order() -> Lesson:
    plan = Plan(samples=72, batch_size=12)
    order = Order(samples=plan.samples, seed=0)
    first = int(order.indices(epoch=0, start=0, stop=1)[0])
    place = order.indices(epoch=1, start=0, stop=plan.samples).tolist().index(first)
    batch = place // plan.batch_size + 1

    return Lesson(
        key="order",
        start={**_start(plan), "seed": order.seed},
        focus=("orders", "batch", "landscape"),
        steps=(_reach(epoch=1), {"type": "compare_orders"}, _reach(epoch=2)),
        question=_answer(batch),
        numbers={**_sizes(plan), "index": first, "answer": batch},
    )


def _valley() -> Lesson:
    plan = Plan(samples=40, batch_size=10, epochs=3)
    percent = 25
    return Lesson(
        key="valley",
        start={**_start(plan), "problem": "line"},
        focus=("landscape", "losses"),
        steps=(_reach(epoch=1), _reach(epoch=plan.full_epochs)),
        question={"type": "epoch_loss", "below": percent / 100},
        numbers={"samples": plan.samples, "epochs": plan.full_epochs, "percent": percent},
    )


def _micro() -> Lesson:
    plan = Plan(samples=120, batch_size=30)
    micro = 10
    return Lesson(
        key="micro",
        start=_start(plan),
        focus=("micro", "counters"),
        steps=({"type": "micro", "micro_batch": micro}, _reach(epoch=1)),
        question=_answer(plan.iterations_per_epoch),
        numbers={
            **_sizes(plan),
            "micro": micro,
            "slices": plan.batch_size // micro,
            "answer": plan.iterations_per_epoch,
            "wrong": plan.samples // micro,
        },
    )


def _example(data: str) -> Lesson:
    plan = Plan(EXAMPLE["samples"], EXAMPLE["batch_size"], iterations=EXAMPLE["iterations"])
    epochs = 10
    return Lesson(
        key="example",
        start={"problem": data, "model": "linear", "batch_size": plan.batch_size},
        focus=("counters", "formulas", "losses", "audit"),
        steps=(_reach(epoch=1), _reach(epoch=epochs), _iterations(plan.iterations)),
        question=_answer(plan.iterations_per_epoch, plan.iterations_per_epoch, plan.full_epochs),
        numbers={
            **_sizes(plan),
            "tests": EXAMPLE["tests"],
            "iterations": plan.iterations,
            "epochs": plan.full_epochs,
            "ten_epochs": epochs,
            "ten": plan.iterations_after(epochs=epochs),
        },
    )


def _start(plan: Plan) -> dict[str, Any]:
    return {"problem": "digits", "samples": plan.samples, "batch_size": plan.batch_size}


def _sizes(plan: Plan) -> dict[str, int]:
    return {"samples": plan.samples, "batch_size": plan.batch_size, "batches": plan.batches_per_epoch}


def _iterations(count: int) -> Goal:
    return {"type": "iterations_done", "lane": "mbgd", "count": count}


def _reach(epoch: int = 0, batch: int = 0, lane: str = "mbgd") -> Goal:
    return {"type": "reach", "lane": lane, "epoch": epoch, "batch": batch}


def _answer(*values: int) -> Goal:
    return {"type": "answer", "values": list(values)}
