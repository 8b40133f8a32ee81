"""The learn page as a learner has it: the real server in a process of its own, and a real browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from learner import SECONDS, Learner, ask, learn_server

from epochal.clock import Plan
from epochal.learn.lessons import Lesson, certificate, lessons
from epochal.words.catalogue import say

OpenPage = Callable[..., Learner]
ClassOf = Callable[[str], Learner]

TERMS = frozenset(
    {
        *("epochal", "epoch", "batch", "size", "iteration", "micro", "micro-batch", "bgd", "sgd", "mbgd", "mlp", "cnn"),
        *("linear", "digits", "mnist", "digits-60k", "fashion-mnist", "kmnist", "line", "points", "english"),
    }
)
"""What may be English on the Chinese page: names of data sets, models and keys, and terms at their first use."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests of this module."""
    with learn_server(tmp_path_factory.mktemp("learn"), "digits") as address:
        yield address


@pytest.fixture(scope="module")
def open_learner(browser: Any, address: str) -> Iterator[OpenPage]:
    """Open the page at a lesson; at the end there may have been no error, and no request off this machine."""
    contexts, learners = [], []

    def open_it(lesson: str = "epoch", language: str = "en", width: int = 1280, **options: Any) -> Learner:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * SECONDS)
        learner = Learner(page, address)
        learners.append(learner)
        learner.listen()
        page.goto(f"{address}#lesson={lesson}")
        learner.settle()
        learner.speak(language)
        return learner

    yield open_it
    for context in contexts:
        context.close()
    assert [problem for learner in learners for problem in learner.problems] == []


@pytest.fixture(scope="module")
def class_of(open_learner: OpenPage) -> ClassOf:
    """A learner of each language, who stays for all lessons; the English one has asked for less motion."""
    motion = {"zh": "no-preference", "en": "reduce"}
    return cache(lambda language: open_learner(language=language, reduced_motion=motion[language]))


def in_both_languages() -> Iterator[Any]:
    """Yield each lesson in both languages: in turns, one of them waits for the long tests."""
    for number, lesson in enumerate(lessons()):
        for turn, language in enumerate(("zh", "en")):
            marks = [] if (number + turn) % 2 == 0 else [pytest.mark.slow]
            yield pytest.param(lesson, language, id=f"{lesson.key}-{language}", marks=marks)


@pytest.mark.parametrize(("lesson", "language"), list(in_both_languages()))
def test_a_lesson_from_start_to_end(class_of: ClassOf, lesson: Lesson, language: str) -> None:
    """Each step is ticked when it is done and not before; a wrong answer brings the hint, the right one ends it."""
    learner = class_of(language)
    learner.choose(lesson.key)
    words = {part: lesson.say(part).texts[language] for part in ("title", "question", "hint", "right")}
    assert words["title"] in learner.page.inner_text("[data-title]")

    for number, goal in enumerate(lesson.steps):
        assert not learner.is_done(number)
        learner.follow(goal, lesson)
        assert learner.is_done(number), goal

    # the question: first wrong, then right
    learner.answer(lesson.question, wrong=True)
    if lesson.question["type"] != "epoch_loss":
        assert learner.at("[data-hint]").inner_text().endswith(words["hint"])
    assert not learner.at("[data-right]").count()
    learner.answer(lesson.question)
    assert words["right"] in learner.at("[data-right]").inner_text()
    assert learner.page.locator(f"[data-lesson={lesson.key}][data-done]").count() == 1

    # what can be seen by then: in Chinese alone, and on a phone without scrolling sideways
    assert language == "en" or learner.english(TERMS) == set()
    assert learner.width_on_a_phone() <= 390


@pytest.mark.parametrize("done", [9, 10])
def test_ten_lessons_make_a_certificate(class_of: ClassOf, done: int) -> None:
    """A tick for each lesson that is done, and after the tenth the reason why 30,000 iterations are 50 epochs."""
    learner = class_of("zh")
    keys = ",".join(lesson.key for lesson in lessons()[:done])
    for place in ("free", "certificate"):
        learner.page.evaluate(f"location.hash = '#lesson={place}&done={keys}'")
        learner.at(f"[data-guide={place}]").wait_for()

    statements = learner.page.locator("[data-statements] li")
    assert [text.strip() for text in statements.all_inner_texts()] == [
        lesson.say("statement").texts["zh"] for lesson in lessons()
    ]
    assert learner.page.locator("[data-statements] li[data-done]").count() == done
    reasons = learner.at("[data-because]").all_inner_texts()
    assert reasons == ([certificate()["because"].texts["zh"]] if done == 10 else [])


def test_the_counters_equal_the_engines_audit(class_of: ClassOf, address: str) -> None:
    learner = class_of("en")
    learner.choose("ragged")
    plan = Plan(samples=1198, batch_size=100)
    for due, do in [(1, "iteration"), (2, "iteration"), (12, "epoch"), (24, "epoch"), (25, "iteration"), (24, "back")]:
        learner.press(do)
        view = ask(address, "/api/view", {"id": learner.world, "lane": "mbgd"})
        position = plan.position(iteration=due)
        assert learner.number("iteration") == view["position"]["iteration"] == due
        assert learner.number("epoch") == view["position"]["epoch"] == position.epoch
        assert learner.number("samples") == view["position"]["samples_used"] == plan.samples_after(iterations=due)
        assert view["audit"]["samples"] == view["audit"]["expected_samples"]
        assert view["audit"]["hash"] == view["audit"]["expected_hash"]
        assert view["weights_sha256"].startswith(learner.sha().rstrip("…"))
    assert [epoch["exact"] for epoch in view["epochs"]] == [True, True]


def test_back_and_forth_gives_the_same_bits(class_of: ClassOf) -> None:
    learner = class_of("en")
    learner.choose("batches")
    seen = [learner.sha()]
    for _ in range(6):  # beyond the end of the first epoch
        learner.press("iteration")
        seen.append(learner.sha())
    assert len(set(seen)) == len(seen)
    for sha in reversed(seen[:-1]):
        learner.press("back")
        assert learner.sha() == sha
    learner.go_to(6)
    assert learner.sha() == seen[-1]


def test_two_browsers_at_once_do_not_meet(class_of: ClassOf) -> None:
    first, second = class_of("en"), class_of("zh")
    for learner in (first, second):
        learner.choose("epoch")
    first.press("iteration")
    second.press("epoch")
    first.press("iteration")
    assert (first.number("iteration"), second.number("iteration")) == (2, 6)
    assert first.world != second.world
    second.go_to(2)
    assert second.sha() == first.sha(), "same weights, order and batches: the same bits"


CONTROLS: dict[str, Callable[[Learner], object]] = {
    "iteration": lambda learner: learner.number("iteration"),
    "epoch": lambda learner: learner.number("epoch"),
    "back": lambda learner: learner.number("iteration"),
    "restart": lambda learner: learner.number("iteration"),
    "play": lambda learner: learner.page.get_attribute("[data-do=play]", "aria-pressed"),
    "batch": lambda learner: learner.page.inner_html("[data-stages]"),
    "sample": lambda learner: learner.page.inner_html("[data-samples]"),
    "lanes": lambda learner: learner.page.inner_text("[data-lane=sgd] [data-lane-epochs]"),
    "orders": lambda learner: learner.at("[data-orders]").count(),
    "micro": lambda learner: learner.at("[data-micro-result]").count(),
    "free": lambda learner: learner.at("[data-guide=free]").count(),
    "next": lambda learner: learner.page.inner_text("[data-title]"),
}
"""What each button changes."""


@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_every_control_works(class_of: ClassOf, way: str) -> None:
    learner = class_of("en")
    learner.choose("batches")
    for do, shown in CONTROLS.items():
        if not learner.at("[data-guide=lesson]").count():
            learner.choose("batches")
        learner.press("iteration")
        if do == "micro":
            learner.page.fill("[data-micro-size]", "10")
        before = shown(learner)
        button = learner.at(f"[data-do={do}]").first
        if way == "mouse":
            button.click()
        else:
            button.focus()
            learner.page.keyboard.press("Enter")
        learner.page.wait_for_timeout(50)
        learner.settle()
        assert shown(learner) != before, do
        if do == "play":
            button.click()


SHORTCUTS = [("i", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("e", 4), ("r", 0)]
"""Keys, and the iteration after each."""


def test_keys_do_what_the_buttons_do(class_of: ClassOf) -> None:
    learner = class_of("en")
    learner.choose("batches")
    for key, due in SHORTCUTS:
        learner.page.keyboard.press(key)
        learner.settle()
        assert learner.number("iteration") == due, key
    learner.page.evaluate("document.activeElement.blur()")  # Space presses the button that has the focus
    for pressed in ("true", "false"):
        learner.page.keyboard.press("Space")
        learner.page.wait_for_selector(f"[data-do=play][aria-pressed={pressed}]")


def test_the_samples_in_hand_are_one_stop_of_the_tab_key(class_of: ClassOf) -> None:
    learner = class_of("en")
    learner.choose("epoch")
    keyboard, focused = learner.page.keyboard, "document.activeElement.dataset.sample"
    hand = [image.get_attribute("data-sample") for image in learner.page.locator("[data-sample]").all()]
    learner.page.focus("[data-set-grid]")
    for key, due in [("Tab", hand[0]), ("ArrowRight", hand[1]), ("Tab", None), ("Shift+Tab", hand[1])]:
        keyboard.press(key)
        assert learner.page.evaluate(focused) == due, key
    assert learner.number("iteration") == 0


WRONG_NUMBERS = [
    ("samples", "0"),
    ("samples", "99999"),
    ("batch_size", "61"),
    ("batch_size", "2.5"),
    ("lr", "-1"),
    ("lr", "0"),
]


def test_a_wrong_number_is_refused_in_words_and_taken_back(class_of: ClassOf) -> None:
    learner = class_of("zh")
    learner.choose("epoch")
    for name, typed in WRONG_NUMBERS:
        world, before = learner.world, learner.page.input_value(f"[data-set={name}]")
        learner.set(name, typed)
        assert say(f"learn.{name}").texts["zh"] in learner.at("[data-trouble]").inner_text()
        assert learner.page.input_value(f"[data-set={name}]") == before
        assert learner.world == world, "nothing was begun"
    learner.press("iteration")
    assert not learner.at("[data-trouble]").count()


def test_a_number_typed_into_a_field_does_not_press_buttons(class_of: ClassOf) -> None:
    learner = class_of("en")
    learner.choose("epoch")
    learner.page.locator("[data-goto-number]").press_sequentially("2e")
    learner.settle()
    assert learner.number("iteration") == 0


@pytest.mark.parametrize("problem", ["digits", "line", "points"])
def test_chinese_leaves_no_english(class_of: ClassOf, problem: str) -> None:
    """In free exploration, with everything opened, and in what a screen reader says."""
    learner = class_of("zh")
    learner.press("free")
    learner.page.select_option("[data-set=problem]", problem)
    learner.settle()
    learner.press("epoch")
    learner.press("orders")
    learner.press("micro")
    if learner.page.locator("[data-sample]").count():
        learner.page.locator("[data-sample]").first.click()
    assert learner.english(TERMS) == set()


def test_english_words_on_a_chinese_page_are_seen(class_of: ClassOf) -> None:
    learner = class_of("zh")
    footer = learner.page.locator("footer")
    footer.evaluate("footer => { footer.append('forgotten'); footer.title = 'overlooked'; }")
    assert learner.english(TERMS) == {"forgotten", "overlooked"}
    footer.evaluate("footer => { footer.lastChild.remove(); footer.removeAttribute('title'); }")
    assert learner.english(TERMS) == set()


def test_dark_is_dark(class_of: ClassOf) -> None:
    learner = class_of("en")
    paper = "getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).slice(0, 3).map(Number)"
    learner.page.emulate_media(color_scheme="dark")
    assert max(learner.page.evaluate(paper)) < 64
    learner.page.click("button[data-theme=light]")
    assert min(learner.page.evaluate(paper)) > 200
    learner.page.click("button[data-theme=auto]")
    learner.page.emulate_media(color_scheme="light")
    assert min(learner.page.evaluate(paper)) > 200


def test_a_lesson_is_played_on_a_phone(open_learner: OpenPage) -> None:
    """The settings are folded there until they are needed."""
    learner, lesson = open_learner("batch", "zh", width=390, has_touch=True), lessons()[1]
    for goal in lesson.steps:
        learner.follow(goal, lesson)
    assert not learner.at("[data-set=batch_size]").count()
    learner.page.locator("details.settings summary").tap()
    learner.answer(lesson.question)
    assert learner.at("[data-right]").count()
    assert learner.page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first lesson as a file, made by the command."""
    folder = tmp_path_factory.mktemp("recorded")
    command = [sys.executable, "-m", "epochal", "learn", "--export", "lesson.html", "--lesson", "epoch"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "lesson.html"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_exported_lesson_plays_from_its_file(browser: Any, recorded: Path, language: str) -> None:
    """Without a server: the file is the only thing that is ever asked for."""
    lesson = lessons()[0]
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    learner = Learner(context.new_page(), recorded.as_uri())
    learner.listen()
    learner.page.goto(recorded.as_uri())
    learner.settle()
    learner.speak(language)

    for number, goal in enumerate(lesson.steps):
        learner.follow(goal, lesson)
        assert learner.is_done(number)
    sha = learner.sha()
    learner.press("iteration")
    learner.press("back")
    assert learner.sha() == sha
    learner.answer(lesson.question, wrong=True)
    assert learner.at("[data-hint]").count()
    learner.answer(lesson.question)
    assert lesson.say("right").texts[language] in learner.at("[data-right]").inner_text()

    assert language == "en" or learner.english(TERMS) == set()
    context.close()
    assert learner.problems == []


def test_what_was_not_recorded_is_off_and_says_why(browser: Any, recorded: Path) -> None:
    context = browser.new_context(offline=True)
    learner = Learner(context.new_page(), recorded.as_uri())
    learner.page.goto(recorded.as_uri())
    learner.settle()
    field = learner.page.locator("[data-set=lr]")
    assert field.is_disabled()
    assert field.get_attribute("title") == say("learn.not_recorded").texts["en"]
    context.close()
