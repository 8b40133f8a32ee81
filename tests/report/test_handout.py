"""What is printed: two pages on A4 and on Letter, in the page's language, light, with nothing cut off."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made_records import hostile_page, made_landscape, made_page, made_predictions, made_run, three_runs, with_metrics

from epochal.report import render
from epochal.report.page_model import Notice, Page

OpenPage = Callable[..., Any]

LONG = "a-run-with-a-very-long-name-that-someone-once-chose-for-it-and-kept-" * 2


def many_runs() -> Page:
    runs = [made_run(f"{LONG}{number}", batch_size=10 * (number + 1)) for number in range(12)]
    return made_page(*runs, title=LONG, study="s", landscapes=(made_landscape(*(run.name for run in runs)),))


PAGES = {
    "one run": made_page(),
    "a ragged last batch, many epochs": made_page(made_run(samples=1437, batch_size=100, iterations=150 * 15)),
    "no time limit known": made_page(made_run(budget="90s", done=37)),
    "three runs and a landscape": three_runs(1200),
    "a study without a landscape": made_page(made_run("a"), made_run("b"), study="s"),
    "twelve runs with long names": many_runs(),
    "a regression": made_page(with_metrics(made_run(predictions=Notice("regression", {})), loss=0.5, mae=0.2, r2=0.9)),
    "many classes": made_page(made_run(predictions=made_predictions(tuple(f"a class {one}" for one in range(40))))),
    "nothing done yet": made_page(made_run(done=0, status="new", predictions=Notice("while_training", {}))),
    "diverged": made_page(made_run(losses=np.full(120, np.nan, np.float32), status="diverged")),
    "hostile": hostile_page(),
}


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def cut_off(page: Any) -> list[str]:
    """What of the two sheets does not fit on them, laid out as on paper."""
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('.sheet')].flatMap(sheet => {"
        " const { right, bottom } = sheet.getBoundingClientRect();"
        " return [...sheet.querySelectorAll('*')].filter(one => { const box = one.getBoundingClientRect();"
        " return !one.closest('svg') && box.width && (box.right > right + 1 || box.bottom > bottom + 1); })"
        " .map(one => one.className + ' ' + one.tagName); })"
    )
    return found


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_two_pages_with_nothing_cut(open_page: OpenPage, name: str, lang: str) -> None:
    page = open_page(render(PAGES[name], lang))
    for paper in ("A4", "Letter"):
        assert pages_of(page.pdf(format=paper)) == 2
    assert cut_off(page) == []


def test_a_third_page_would_be_counted(open_page: OpenPage) -> None:
    page = open_page(render(made_page()))
    page.evaluate("document.querySelector('.handout').append(document.querySelector('.sheet').cloneNode(true))")
    assert pages_of(page.pdf(format="A4")) == 3


def test_what_is_cut_would_be_seen(open_page: OpenPage) -> None:
    page = open_page(render(made_page()))
    page.add_style_tag(content=".sheet .numbers td { padding: 3em !important; min-width: 60mm; }")
    page.evaluate("document.querySelectorAll('.sheet .numbers td').forEach(one => { one.style.minWidth = '90mm'; })")
    assert cut_off(page) != []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_light_and_has_no_controls(open_page: OpenPage, scheme: str) -> None:
    page = open_page(render(made_page(landscapes=(made_landscape("run-1"),))), color_scheme=scheme)
    page.emulate_media(media="print", color_scheme=scheme)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.querySelector('.sheet')).getPropertyValue('--ink')") == "#17191c"
    assert not page.is_visible(".top")
    assert not page.is_visible("main")
    assert page.locator("button:visible, input:visible, summary:visible").count() == 0
    assert page.locator(".sheet svg:visible rect").first.get_attribute("fill") == "#fdfdfc"


def test_what_stands_on_it(open_page: OpenPage) -> None:
    page = open_page(render(made_page()))
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    first, second = page.locator(".sheet").all_inner_texts()
    for words in ("run-1", "The run: 120 iterations, 12 full epochs", "N / B = 1,000 / 100", "batches per epoch"):
        assert words in first
    for words in (
        "12 of 12 full epochs used each sample exactly as planned.",
        "f" * 64,
        "epochal train digits",
        "jax 0.10.2",
    ):
        assert words in second
    drawn = page.eval_on_selector_all(
        ".sheet [data-print]", "all => all.map(one => [one.dataset.print, one.children.length])"
    )
    assert drawn == [["every", 1], ["metric", 1], ["matrix", 1]]


def test_it_speaks_the_language_that_the_page_shows(open_page: OpenPage) -> None:
    page = open_page(render(three_runs(600)))
    page.check('input[name="lang"][value="zh"]', force=True)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    text = " ".join(page.locator(".sheet").all_inner_texts())
    assert "损失地形" in text
    assert "每次迭代的损失" in text
    assert "training" not in text


def test_the_charts_show_everything_and_the_page_stays_zoomed_in(open_page: OpenPage) -> None:
    page = open_page(render(made_page()))
    page.click('[data-chart="every"] [data-do="in"]')
    view = page.evaluate("epochal.state.view")
    page.pdf(format="A4")
    assert page.evaluate("epochal.state.view") == view
    axis = page.eval_on_selector_all('.sheet [data-print="every"] text', "all => all.map(one => one.textContent)")
    assert {"0", "10"} <= set(axis)


def test_epochs_that_went_wrong_are_among_the_few_that_are_shown(open_page: OpenPage) -> None:
    run = made_run(samples=1000, batch_size=100, iterations=1000)
    rows = list(run.record.history.epochs)
    rows[50] = dataclasses.replace(rows[50], samples=999)
    history = dataclasses.replace(run.record.history, epochs=tuple(rows))
    wrong = dataclasses.replace(run, record=dataclasses.replace(run.record, history=history))
    page = open_page(render(made_page(wrong)))
    page.emulate_media(media="print")
    assert "✗ no" in page.locator(".sheet").nth(1).inner_text()
