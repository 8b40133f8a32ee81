"""A cell's output in a real browser: readable on light and dark, on a phone no wider than it, nothing fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from made_records import HOSTILE, hostile_page, made_run, three_runs

from epochal import Plan
from epochal.data import from_arrays
from epochal.notebook.inline_report import ReportFile
from epochal.report import render
from epochal.report.fragments import run_fragment, study_fragment
from epochal.web.fragment import Fragment
from epochal.web.static_chart import COLOURS

EN = Fragment("en")
WHITE, BLACK = "#ffffff", "#111111"


def digits() -> str:
    x = (np.arange(640) % 255).astype(np.uint8).reshape(10, 8, 8)
    return from_arrays(x, np.arange(10) % 3, test=(x, np.arange(10) % 3), name="digits")._repr_html_()


FRAGMENTS: dict[str, Callable[[], str]] = {
    "plan": lambda: Plan(60_000, 70, iterations=30_000)._repr_html_(),
    "run": lambda: run_fragment(made_run().record, EN),
    "study": lambda: study_fragment(three_runs(1200), EN),
    "hostile": lambda: study_fragment(hostile_page(), EN) + run_fragment(hostile_page().runs[0].record, EN),
    "data": digits,
}


@pytest.fixture
def open_cell(browser: Any) -> Iterator[Callable[..., Any]]:
    """Show a fragment as a notebook does; there may be no error and no request."""
    contexts, problems = [], []

    def open_html(html: str, *, width: int = 1000, paper: str = WHITE, ink: str = BLACK) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 600})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: problems.append(request.url) if "data:" not in request.url[:5] else None)
        page.set_content(f'<title>cell</title><body style="margin:8px;background:{paper};color:{ink}">{html}')
        return page

    yield open_html
    for context in contexts:
        context.close()
    assert problems == []


@pytest.mark.parametrize("name", FRAGMENTS)
def test_nothing_is_wider_than_a_phone(open_cell: Callable[..., Any], name: str) -> None:
    page = open_cell(FRAGMENTS[name](), width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.title() == "cell", "no name has run"


@pytest.mark.parametrize(("paper", "ink"), [(WHITE, BLACK), (BLACK, "#e0e0e0")])
@pytest.mark.parametrize("name", ["run", "study", "plan"])
def test_every_text_has_contrast(open_cell: Callable[..., Any], name: str, paper: str, ink: str) -> None:
    """4.5 to 1, as the Web Content Accessibility Guidelines ask of text (WCAG 2.2, 1.4.3)."""
    page = open_cell(FRAGMENTS[name](), paper=paper, ink=ink)
    colours = page.evaluate("""() => {
        const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
        const paper = getComputedStyle(document.body).backgroundColor;
        const seen = [];
        for (const element of document.querySelectorAll(".epochal *")) {
            const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
            if (!own || element.tagName === "STYLE" || !element.getClientRects().length) continue;
            const style = getComputedStyle(element), inPicture = element.tagName === "text";
            canvas.globalAlpha = 1; canvas.fillStyle = paper; canvas.fillRect(0, 0, 1, 1);
            canvas.globalAlpha = inPicture ? Number(style.fillOpacity) : 1;
            canvas.fillStyle = inPicture ? style.fill : style.color; canvas.fillRect(0, 0, 1, 1);
            seen.push([element.textContent.slice(0, 20), [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)]]);
        }
        return seen;
    }""")
    assert len(colours) > 20
    pale = {text for text, colour in colours if contrast(colour, rgb(paper)) < 4.4 and text not in ("✓", "✓ yes")}
    assert pale == set()
    assert all(contrast(colour, rgb(paper)) >= 3.5 for _, colour in colours)


def test_curves_are_seen_on_white_and_on_black() -> None:
    for colour in COLOURS:
        assert min(contrast(rgb(colour), rgb(WHITE)), contrast(rgb(colour), rgb(BLACK))) >= 3.5
    assert contrast(rgb("#ffff00"), rgb(WHITE)) < 3.5, "yellow is not"


def test_a_report_works_in_its_frame(open_cell: Callable[..., Any], browser: Any, tmp_path: Any) -> None:
    file = ReportFile(tmp_path / "report.html")
    file.write_text(render(hostile_page()), encoding="utf-8")
    html = file._repr_html_()
    assert html is not None
    page = open_cell(html)
    frame = page.frames[1]
    frame.wait_for_selector("html[data-ready]", state="attached")
    assert frame.title() == f"{HOSTILE} · Epochal"
    frame.click("nav a[href$='#audit']")
    page.wait_for_timeout(600)
    assert len(page.frames) == 2
    assert frame.url.startswith("about:srcdoc")
    assert frame.evaluate("scrollY") > 500
    assert page.title() == "cell"
    assert ReportFile(tmp_path / "none.html")._repr_html_() is None


def rgb(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def luminance(colour: list[int]) -> float:
    parts = [one / 255 / 12.92 if one <= 10 else ((one / 255 + 0.055) / 1.055) ** 2.4 for one in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: list[int], other: list[int]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
