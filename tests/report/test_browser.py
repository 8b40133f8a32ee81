"""The page in a real browser: it opens from a file, and everything on it works by mouse, by keyboard and on a phone."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made_records import HOSTILE, hostile_page, made_landscape, made_losses, made_page, made_run, three_runs

from epochal.record.run_toml import Change
from epochal.report import render

OpenPage = Callable[..., Any]
CHART = '[data-chart="every"]'
CLIPPED = """[...document.querySelectorAll("main :is(p, h1, h2, h3, h4, caption, td, th, dd, dt, b, i, li)")]
  .filter(one => one.offsetParent && !one.closest(".hidden") && getComputedStyle(one).overflowX !== "visible")
  .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.innerText)"""
"""Texts that are wider than the box that cuts them."""


@pytest.fixture(scope="module")
def html() -> str:
    return render(three_runs(1200))


def choose(page: Any, name: str, value: str) -> None:
    page.check(f'input[name="{name}"][value="{value}"]', force=True)


def view(page: Any, chart: str = CHART) -> tuple[float, float]:
    data = page.eval_on_selector(chart, "figure => ({...figure.dataset})")
    return float(data["from"]), float(data["to"])


def cells(page: Any, chart: str = CHART, row: int = 1) -> list[str]:
    texts: list[str] = page.locator(f"{chart} tbody tr:nth-child({row}) td").all_inner_texts()
    return texts


def plot_box(page: Any, chart: str = CHART) -> dict[str, float]:
    page.locator(f"{chart} .plot").scroll_into_view_if_needed()
    box: dict[str, float] = page.locator(f"{chart} .plot").bounding_box()
    return box


def has_ink(page: Any, chart: str, canvas: str = "picture") -> bool:
    found: bool = page.eval_on_selector(
        f"{chart} canvas.{canvas}",
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(value => value)",
    )
    return found


class TestOpening:
    def test_every_chart_and_map_is_drawn(self, open_page: OpenPage, html: str) -> None:
        page = open_page(html)
        for name in (
            '[data-chart="every"]',
            '[data-chart="losses"]',
            '[data-chart="accuracy"]',
            "[data-map]",
            "[data-lines]",
        ):
            assert has_ink(page, name), name

    def test_the_worked_example_three_times_opens_in_two_seconds(self, open_page: OpenPage) -> None:
        run = made_run(samples=60_000, batch_size=100, iterations=30_000)
        big = render(made_page(*(dataclasses.replace(run, name=f"seed {seed}") for seed in range(3))))
        begun = time.perf_counter()
        page = open_page(big)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert time.perf_counter() - begun < 4, "2 s are the aim, with nothing else on the machine"

    def test_a_hostile_name_is_only_a_name(self, open_page: OpenPage) -> None:
        page = open_page(render(hostile_page()))
        page.wait_for_timeout(100)
        assert page.title() == f"{HOSTILE} · Epochal"
        assert page.inner_text("h1") == HOSTILE

    def test_a_run_that_has_done_nothing_opens_too(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(made_run(done=0, status="new"))))
        assert page.locator(f"{CHART} .nothing").is_visible()

    def test_losses_that_are_no_numbers_leave_gaps(self, open_page: OpenPage) -> None:
        losses = made_losses(120)
        losses[40:60] = np.nan
        page = open_page(render(made_page(made_run(losses=losses))))
        gaps = page.evaluate("epochal.charts.get('every').entries[0].filter(entry => !entry.number).length")
        assert gaps == 20


class TestCurves:
    @pytest.mark.parametrize(("unit", "last"), [("epochs", 120), ("iterations", 1200), ("samples", 120_000)])
    def test_the_x_axis_can_be_switched(self, open_page: OpenPage, unit: str, last: float) -> None:
        page = open_page(render(made_page(made_run(iterations=1200))))
        choose(page, "x-unit", unit)
        assert view(page) == pytest.approx((0, last))

    def test_seconds_are_those_of_training(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(made_run())))
        choose(page, "x-unit", "seconds")
        assert view(page) == pytest.approx((0, 12 * 0.5))

    def test_every_iteration_is_at_its_samples_and_epochs(self, open_page: OpenPage) -> None:
        """With a ragged last batch and a change of the batch size inside an epoch, against the clock."""
        run = made_run(batch_size=70, iterations=60)
        changed = dataclasses.replace(run.record.file, changes=(Change(20, {"batch_size": 300}),))
        other = made_run("changed", batch_size=70, iterations=60, file=changed)
        page = open_page(render(made_page(run, other)))
        for place, file in enumerate((run.record.file, changed)):
            x = {
                unit: page.evaluate(
                    "([place, unit]) => [...epochal.charts.get('every').lines[place].x(unit)]", [place, unit]
                )
                for unit in ("samples", "epochs")
            }
            positions = [file.position_after(iteration) for iteration in range(1, 61)]
            used = [position.epoch * 1000 + position.offset for position in positions]
            assert x["samples"] == used
            assert x["epochs"] == pytest.approx([samples / 1000 for samples in used])

    def test_scales_can_be_logarithmic(self, open_page: OpenPage, html: str) -> None:
        page = open_page(html)
        choose(page, "x-unit", "iterations")
        choose(page, "x-scale", "log")
        assert view(page) == pytest.approx((1, 1200))
        before = page.evaluate("epochal.charts.get('every').scales.y.isLog")
        choose(page, "y-scale", "linear")
        assert (before, page.evaluate("epochal.charts.get('every').scales.y.isLog")) == (True, False)

    def test_what_shares_a_pixel_is_its_lowest_mean_and_highest(self, open_page: OpenPage) -> None:
        """Against NumPy, and with a single peak that any thinning out of points would lose."""
        losses = made_losses(20_000)
        losses[12_345] = 77
        page = open_page(render(made_page(made_run(iterations=20_000, losses=losses, epochs=()))))
        entries = page.evaluate("epochal.charts.get('every').entries[0]")
        assert 500 < len(entries) < 1300
        assert max(entry["high"] for entry in entries) == 77
        assert sum(entry["number"] for entry in entries) == 20_000
        for entry in entries[::50]:
            part = losses[entry["first"] : entry["last"] + 1]
            assert (entry["low"], entry["high"]) == (part.min(), part.max())
            assert entry["mean"] == pytest.approx(part.mean(dtype=np.float64))

    def test_zooming_in_shows_every_iteration(self, open_page: OpenPage) -> None:
        losses = made_losses(20_000)
        page = open_page(render(made_page(made_run(iterations=20_000, losses=losses, epochs=()))))
        choose(page, "x-unit", "iterations")
        box = plot_box(page)
        page.mouse.move(box["x"] + 300, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + 320, box["y"] + 150, steps=3)
        page.mouse.up()
        low, high = view(page)
        assert 4000 < low < high < 7000
        entries = page.evaluate("epochal.charts.get('every').entries[0]")
        assert all(entry["first"] == entry["last"] for entry in entries)
        np.testing.assert_array_equal(
            [entry["mean"] for entry in entries], losses[entries[0]["first"] : entries[-1]["first"] + 1]
        )
        page.mouse.dblclick(box["x"] + 300, box["y"] + 100)
        assert view(page) == (0, 20_000)

    def test_hovering_reads_the_values_out(self, open_page: OpenPage) -> None:
        losses = np.linspace(2, 1, 120).astype(np.float32)
        page = open_page(render(made_page(made_run(losses=losses))))
        choose(page, "x-unit", "iterations")
        box = plot_box(page)
        page.mouse.move(box["x"] + 58 + (box["width"] - 58 - 14) / 2, box["y"] + 100)
        assert page.inner_text(f"{CHART} .at") == "iterations: 60"
        assert cells(page)[:2] == ["60", f"{losses[59]:.4f}"]
        assert cells(page, '[data-chart="accuracy"]')[0] == "60", "all charts point at the same place"
        page.mouse.move(5, 5)
        assert cells(page)[:2] == ["120", "1.0000"]

    def test_the_buttons_zoom(self, open_page: OpenPage, html: str) -> None:
        page = open_page(html)
        everything = view(page)
        page.click(f'{CHART} [data-do="in"]')
        assert view(page) == pytest.approx((everything[1] / 4, everything[1] * 3 / 4))
        page.click(f'{CHART} [data-do="all"]')
        assert view(page) == everything
        assert page.is_disabled(f'{CHART} [data-do="all"]')

    def test_the_keyboard_does_what_the_mouse_does(self, open_page: OpenPage, html: str) -> None:
        page = open_page(html)
        choose(page, "x-unit", "iterations")
        page.focus(f"{CHART} .plot")
        page.keyboard.press("End")
        assert page.inner_text(f"{CHART} .at") == "iterations: 1,200"
        page.keyboard.press("Home")
        assert page.inner_text(f"{CHART} .at") == "iterations: 0"
        page.keyboard.press("ArrowRight")
        assert page.inner_text(f"{CHART} .at") != "iterations: 0"
        page.keyboard.press("+")
        assert view(page)[1] < 1200
        page.keyboard.press("Shift+ArrowRight")
        assert view(page)[0] > 0
        page.keyboard.press("0")
        assert view(page) == (0, 1200)

    def test_a_line_can_be_hidden(self, open_page: OpenPage, html: str) -> None:
        page = open_page(html)
        assert page.evaluate("epochal.charts.get('every').entries.length") == 3
        page.uncheck(f"{CHART} tbody tr:nth-child(2) input")
        assert page.evaluate("epochal.charts.get('every').entries.length") == 2
        assert cells(page, row=2)[1] == "–"

    def test_lines_differ_without_colour(self, open_page: OpenPage) -> None:
        """Dashes or marks differ between any two of eight runs."""
        page = open_page(render(made_page(*(made_run(f"r{number}") for number in range(8)))))
        looks = page.eval_on_selector_all(
            '[data-chart="accuracy"] .swatch',
            "all => all.map(one => getComputedStyle(one.firstChild).strokeDasharray + one.lastChild.outerHTML"
            " + (getComputedStyle(one.lastChild).stroke === 'none'))",
        )
        assert len(set(looks)) == len(looks) == 8


class TestLandscape:
    def test_the_loss_under_the_pointer(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(landscapes=(made_landscape("run-1"),))))
        box = plot_box(page, "[data-map]")
        scales = page.evaluate("(({x, y}) => ({x: x.toPixel(2), y: y.toPixel(0)}))(epochal.maps[0].scales)")
        page.mouse.move(box["x"] + scales["x"], box["y"] + scales["y"])
        assert page.inner_text("[data-map] .at").startswith("loss 0.1")
        page.mouse.move(box["x"] + scales["x"], box["y"] + 30)
        assert page.inner_text("[data-map] .at").startswith(("loss 4", "loss 3.9"))

    def test_its_heights_are_the_losses(self, open_page: OpenPage) -> None:
        """At the grid's points the picture has exactly the losses that it was given, where it clips none."""
        landscape = made_landscape("run-1")
        page = open_page(render(made_page(landscapes=(landscape,))))
        drawn = page.evaluate(
            "(heights => heights.rows.map((row, i) => row.map((_, j) =>"
            " heights.lossOf(heights.between(j / (row.length - 1), i / (heights.rows.length - 1))))))"
            "(epochal.maps[0].heights)"
        )
        top = page.evaluate("epochal.maps[0].heights.top")
        np.testing.assert_allclose(drawn, np.minimum(landscape.loss, top), rtol=1e-6)

    def test_contours_run_where_the_loss_is(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(landscapes=(made_landscape("run-1"),))))
        crossed = page.evaluate("epochal.crossings([0, 2, 2, 0], 1, 4, 7)")
        assert crossed == [[[4.5, 7], [4.5, 8]]]
        saddle = page.evaluate("epochal.crossings([2, 0, 2, 0], 1, 0, 0)")
        assert len(saddle) == 2
        assert page.evaluate("epochal.crossings([0, 0, 0, 0], 1, 0, 0)") == []

    def test_the_share_of_variance_is_written_on_the_picture(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(landscapes=(made_landscape("run-1"),))))
        assert page.evaluate("epochal.maps[0].word('explained')") == "90.0\xa0% of the variance is in this plane"
        choose(page, "lang", "zh")
        assert page.evaluate("epochal.maps[0].word('explained')") == "该平面含方差的 90.0\xa0%"


class TestReaders:
    def test_the_language_can_be_switched(self, open_page: OpenPage, html: str) -> None:
        page = open_page(html)
        assert page.inner_text("#plan h2") == "What was trained"
        choose(page, "lang", "zh")
        assert page.inner_text("#plan h2") == "训练了什么"
        assert page.get_attribute("html", "lang") == "zh"
        assert "训练" in page.inner_text('[data-chart="losses"] tbody')
        assert "training" not in page.inner_text("main").replace("training.", "")

    def test_light_and_dark(self, open_page: OpenPage, html: str) -> None:
        def paper(page: Any) -> int:
            text: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(int(part) for part in text.removeprefix("rgb(").removesuffix(")").split(","))

        page = open_page(html, color_scheme="light")
        assert paper(page) > 700
        choose(page, "theme", "dark")
        assert paper(page) < 100
        dark = open_page(html, color_scheme="dark")
        assert paper(dark) < 100
        choose(dark, "theme", "light")
        assert paper(dark) > 700

    @pytest.mark.parametrize("lang", ["en", "zh"])
    @pytest.mark.parametrize("width", [320, 390, 768])
    def test_nothing_runs_over_the_edge_of_a_phone(self, open_page: OpenPage, html: str, width: int, lang: str) -> None:
        page = open_page(html, width=width)
        choose(page, "lang", lang)
        for details in page.locator("details").all():
            details.evaluate("one => { one.open = true; }")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(CLIPPED) == []
        hostile = open_page(render(hostile_page()), width=width)
        assert hostile.evaluate("document.documentElement.scrollWidth") == width

    def test_everything_can_be_reached_by_keyboard(self, open_page: OpenPage) -> None:
        page = open_page(render(made_page(landscapes=(made_landscape("run-1"),))))
        which = "(one => one.name || one.className || one.dataset.do || one.tagName)(document.activeElement)"
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(page.evaluate(which))
        assert {"skip", "lang", "theme", "x-unit", "x-scale", "y-scale", "plot", "in", "SUMMARY"} <= reached

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_and_lines_have_contrast(self, open_page: OpenPage, scheme: str) -> None:
        """WCAG 2.2: at least 4.5 to 1 for text (1.4.3), and 3 to 1 for graphics (1.4.11), on the page's paper."""
        page = open_page(render(made_page()), color_scheme=scheme)
        least = {"ink": 4.5, "soft": 4.5, "accent": 4.5, "warn": 4.5, **{f"s{number}": 3.0 for number in range(8)}}
        colours = page.evaluate(
            "names => Object.fromEntries(names.map(name => [name,"
            " getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()]))",
            ["paper", *least],
        )
        for name, ratio in least.items():
            assert contrast(colours[name], colours["paper"]) >= ratio, name


def contrast(first: str, second: str) -> float:
    """WCAG 2.2's contrast of two colours, ``#rrggbb``."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)
