"""The lessons: their numbers follow from plans, their goals are known, and every sentence exists and is used."""

from __future__ import annotations

import json
import re
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from epochal.clock import Plan
from epochal.learn.lessons import EXAMPLE, GOALS, Lesson, certificate, lessons, lessons_for_page
from epochal.order import Order
from epochal.words.catalogue import messages
from epochal.words.language import LANGUAGES

DOCS = Path(__file__).parents[2] / "docs"
STATEMENTS = ("epoch", "batch", "iteration", "batches", "methods", "ragged", "order", "valley", "micro", "example")
"""What the article says, in its order."""

FIELDS = {
    "answer": {"values"},
    "back": set(),
    "compare_orders": set(),
    "epoch_loss": {"below"},
    "iterations_done": {"lane", "count"},
    "lanes_epoch": {"epoch"},
    "micro": {"micro_batch"},
    "open_sample": set(),
    "reach": {"lane", "epoch", "batch"},
}


@pytest.fixture(params=lessons(), ids=lambda lesson: lesson.key)
def lesson(request: pytest.FixtureRequest) -> Lesson:
    return request.param  # type: ignore[no-any-return]


def plan_of(start: Any) -> Plan:
    return Plan(start.get("samples", EXAMPLE["samples"]), start["batch_size"])


def goals(lesson: Lesson) -> list[Any]:
    return [*lesson.steps, lesson.question]


def test_the_ten_statements_of_the_article_are_covered_in_order() -> None:
    assert tuple(lesson.key for lesson in lessons()) == STATEMENTS


def test_a_lesson_takes_a_minute(lesson: Lesson) -> None:
    """One to three steps, and no more text than is read in a minute: 300 words, or 400 characters of Chinese."""
    assert 1 <= len(lesson.steps) <= 3
    parts = ["statement", "text", "question", *(f"step{number + 1}" for number in range(len(lesson.steps)))]
    texts = [lesson.say(part).texts for part in parts]
    assert len(" ".join(text["en"] for text in texts).split()) <= 300
    assert sum(len(re.findall(r"[\u4e00-\u9fff]", text["zh"])) for text in texts) <= 450


def test_goals_are_known_and_whole(lesson: Lesson) -> None:
    for goal in goals(lesson):
        fields = goal.keys() - {"type"}
        assert goal["type"] in GOALS
        if goal["type"] == "set":
            assert fields
            assert fields <= {"batch_size", "samples"}
        else:
            assert fields == FIELDS[goal["type"]]


def test_every_goal_is_used() -> None:
    assert {goal["type"] for lesson in lessons() for goal in goals(lesson)} == set(GOALS)


def test_nothing_is_done_before_the_learner_does_it(lesson: Lesson) -> None:
    """No lesson starts with what its steps ask for."""
    for goal in goals(lesson):
        if goal["type"] == "set":
            assert {name: goal[name] for name in goal.keys() - {"type"}}.items() - lesson.start.items()
        if goal["type"] == "reach":
            assert (goal["epoch"], goal["batch"]) > (0, 0)
        if goal["type"] in ("iterations_done", "lanes_epoch"):
            assert goal.get("count", goal.get("epoch")) > 0


def test_goals_can_be_reached(lesson: Lesson) -> None:
    """Batches of a goal exist, batch sizes fit the set, and slices are smaller than the batch."""
    plan = plan_of(lesson.start)
    for goal in goals(lesson):
        if goal["type"] == "reach" and goal["lane"] == "mbgd":
            assert goal["batch"] < plan.batches_per_epoch
        if goal["type"] == "micro":
            assert 1 <= goal["micro_batch"] < plan.batch_size
        if goal["type"] == "set":
            assert Plan(goal.get("samples", plan.samples), goal.get("batch_size", plan.batch_size))


def test_numbers_follow_from_the_plan(lesson: Lesson) -> None:
    plan, numbers = plan_of(lesson.start), lesson.numbers
    due = {
        "samples": plan.samples,
        "batch_size": plan.batch_size,
        "batches": ceil(plan.samples / plan.batch_size),
        "example": 60_000,
        "example_batches": 600,
        "tests": 10_000,
    }
    assert {name: numbers[name] for name in due.keys() & numbers.keys()} == {
        name: due[name] for name in due.keys() & numbers.keys()
    }


@pytest.mark.parametrize("part", ["title", "statement", "text", "hint", "right", "question", "step1"])
def test_no_number_is_typed_into_a_sentence(part: str, lesson: Lesson) -> None:
    """But for 0, 1 and 2, as in "the first", "epoch 2" and "N/B + 1"."""
    for language in LANGUAGES:
        sentence = re.sub(r"\{\w+\}", "", messages(language)[f"lesson.{lesson.key}_{part}"])
        assert re.findall(r"\d+", sentence.replace("1/", "")) == [
            number for number in re.findall(r"\d+", sentence.replace("1/", "")) if int(number) <= 2
        ]


def test_a_question_has_a_box_for_each_value(lesson: Lesson) -> None:
    boxes = len(lesson.question.get("values", []))
    assert {text.count("□") for text in lesson.say("question").texts.values()} == {boxes}


def test_a_question_does_not_give_its_answer_away(lesson: Lesson) -> None:
    """No value stands in the question or the hint, nor the last one anywhere before, but for BGD's: one an epoch."""
    values = [] if lesson.key == "methods" else lesson.question.get("values", [lesson.question.get("batch_size")])
    asked = [text for part in ("question", "hint") for text in lesson.say(part).texts.values()]
    read = [text for part in ("title", "statement", "text", "step1") for text in lesson.say(part).texts.values()]
    for value in filter(None, values):
        places = [*asked, *read] if value == values[-1] else asked
        assert not [text for text in places if re.search(rf"(?<![\d,]){value:,}(?![\d,])", text)]


def test_the_answers_are_right() -> None:
    """Counted here by hand, or by listing every batch."""
    answers = {lesson.key: lesson.question for lesson in lessons()}
    epoch_of_1250 = [range(1250)[start : start + 100] for start in range(0, 1250, 100)]
    assert answers["epoch"]["values"] == [60 + 60 + 60]
    assert answers["batch"]["batch_size"] == 20
    assert answers["iteration"]["values"] == [4 + 4 + 4]
    assert answers["batches"]["batch_size"] * 24 == 120
    assert answers["methods"]["values"] == [60 + 60, 1 + 1]
    assert answers["ragged"]["values"] == [len(epoch_of_1250)]
    assert answers["micro"]["values"] == [4]
    assert answers["example"]["values"] == [600, 600, 50]


def test_the_order_is_the_engines() -> None:
    """The first sample of epoch 1 is in the batch of epoch 2 that the lesson says, and not in its first."""
    lesson = next(lesson for lesson in lessons() if lesson.key == "order")
    order = Order(samples=72, seed=0)
    second = order.indices(epoch=1, start=0, stop=72).tolist()
    (batch,) = lesson.question["values"]
    assert order.indices(epoch=0, start=0, stop=1).tolist() == [lesson.numbers["index"]]
    assert lesson.numbers["index"] in second[12 * (batch - 1) : 12 * batch]
    assert batch > 1


def test_the_ragged_lesson_has_the_articles_both_cases() -> None:
    numbers = next(lesson for lesson in lessons() if lesson.key == "ragged").numbers
    assert (numbers["samples"], numbers["full"], numbers["batch_size"], numbers["rest"]) == (1198, 11, 100, 98)
    assert numbers["samples"] // numbers["batch_size"] + 1 == numbers["batches"]
    assert numbers["even"] // numbers["batch_size"] + 1 != numbers["even_batches"]


def test_the_last_lesson_is_the_worked_example_on_the_named_data() -> None:
    for data in ("digits-60k", "mnist"):
        lesson = lessons(data)[-1]
        assert lesson.start == {"problem": data, "model": "linear", "batch_size": 100}
        assert lesson.steps[-1] == {"type": "iterations_done", "lane": "mbgd", "count": 30_000}


def test_every_sentence_of_the_catalogue_belongs_to_a_lesson() -> None:
    used = {
        f"lesson.{lesson.key}_{part}"
        for lesson in lessons()
        for part in (
            *("title", "statement", "text", "question", "hint", "right"),
            *(f"step{number + 1}" for number in range(len(lesson.steps))),
        )
    }
    assert {key for key in messages("en") if key.startswith("lesson.")} == used


def test_the_page_gets_json_with_all_gaps_filled() -> None:
    page = lessons_for_page()
    assert json.loads(json.dumps(page)) == page
    assert len(page) == 10
    assert not re.search(r"\{\w+\}", json.dumps(page))


def test_the_page_gets_each_sentence_in_every_language(lesson: Lesson) -> None:
    row = next(row for row in lessons_for_page() if row["key"] == lesson.key)
    texts = [row[part] for part in ("title", "statement", "text", "hint", "right")]
    texts += [step["text"] for step in row["steps"]] + [row["question"]["text"]]
    assert all(tuple(text) == LANGUAGES and all(text.values()) for text in texts)


def test_the_certificate_says_why_30_000_iterations_are_50_epochs() -> None:
    because = certificate()["because"].texts
    assert because["zh"] == "30,000 次迭代是 50 轮，因为一轮有 60,000 ÷ 100 = 600 次迭代，而 30,000 ÷ 600 = 50。"
    for number in ("30,000", "50", "60,000", "100", "600"):
        assert number in because["en"]


def test_chinese_needs_no_english() -> None:
    """Latin letters are the terms at their first use, the methods' short names and the letters of formulas."""
    allowed = {"epoch", "batch", "size", "iteration", "micro", "BGD", "SGD", "MBGD", "N", "B", "w", "b"}
    for lesson in lessons():
        for part in ("title", "statement", "text", "question", "hint", "right", "step1"):
            assert set(re.findall(r"[A-Za-z]+", lesson.say(part).texts["zh"])) <= allowed


@pytest.mark.parametrize(("page", "language"), [("learn.md", "en"), ("learn.zh-CN.md", "zh")])
def test_the_documentation_has_the_lessons_as_they_are(page: str, language: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for number, lesson in enumerate(lessons(), start=1):
        title, statement = (lesson.say(part).texts[language] for part in ("title", "statement"))
        assert f"| {number} | {title} | `{lesson.key}` | {statement} |" in text
    assert f"> {certificate()['because'].texts[language]}" in text
