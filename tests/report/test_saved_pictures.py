"""Pictures that are saved from a page: what is in the files, by mouse and by keyboard, without a network."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import HOSTILE, hostile_page, made_landscape, made_losses, made_page, made_run, three_runs

from epochal.report import render

OpenPage = Callable[..., Any]
SVG = "{http://www.w3.org/2000/svg}"
CHART, MAP, LINES, STRIP, MATRIX = (
    '[data-chart="every"]', "[data-map]", "[data-lines]", "[data-strip]", "[data-matrix]"
)  # fmt: skip


@pytest.fixture(scope="module")
def html() -> str:
    return render(three_runs(1200))


def save(page: Any, figure: str, kind: str, folder: Path, *, dark: bool = False) -> Path:
    """Save a figure with its menu."""
    box = page.locator(figure).first
    box.locator("[data-save]").click()
    box.locator(".menu input").set_checked(dark)
    with page.expect_download() as download:
        box.locator(f'[data-as="{kind}"]').click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return file


def texts(file: Path) -> list[str]:
    return [element.text or "" for element in ET.parse(file).iter(f"{SVG}text")]


def size_of_png(file: Path) -> tuple[int, int]:
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


@pytest.mark.parametrize("figure", [CHART, MAP, LINES, STRIP, MATRIX])
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_every_picture_can_be_saved(open_page: OpenPage, html: str, tmp_path: Path, figure: str, kind: str) -> None:
    page = open_page(html)
    before = page.evaluate("epochal.charts.get('every').scales.x.to")
    file = save(page, figure, kind, tmp_path)
    assert file.name.startswith("three-")
    assert file.suffix == f".{kind}"
    if kind == "png":
        assert size_of_png(file)[0] == 1800, "twice the size"
    else:
        assert ET.parse(file).getroot().tag == f"{SVG}svg"
        assert len(texts(file)) > 5
    assert page.evaluate("epochal.charts.get('every').scales.x.to") == before, "the page stays as it was"


def test_a_chart_is_vectors_with_title_axes_and_legend(open_page: OpenPage, html: str, tmp_path: Path) -> None:
    file = save(open_page(html), CHART, "svg", tmp_path)
    written = texts(file)
    for words in ("Loss of every iteration", "epochs", "loss", "batch-1", "batch-100", "batch-all"):
        assert words in written
    tree = ET.parse(file)
    assert list(tree.iter(f"{SVG}image")) == []
    assert len(list(tree.iter(f"{SVG}path"))) > 10
    assert tree.getroot().find(f"{SVG}title").text == "Loss of every iteration"  # type: ignore[union-attr]


def test_the_line_goes_through_the_losses(open_page: OpenPage, tmp_path: Path) -> None:
    """The path's points, turned back by the axis' own numbers, are the losses."""
    losses = np.linspace(2.0, 1.0, 50).astype(np.float32)
    page = open_page(render(made_page(made_run(iterations=50, losses=losses))))
    page.check('input[name="y-scale"][value="linear"]', force=True)
    tree = ET.parse(save(page, CHART, "svg", tmp_path))
    longest = max((path.get("d") or "" for path in tree.iter(f"{SVG}path") if path.get("fill") == "none"), key=len)
    heights = [float(point.split()[1]) for point in longest.replace("M", "L").split("L")[1:]]
    assert len(heights) == 50
    steps = np.diff(heights)
    assert np.all(steps > 0)
    np.testing.assert_allclose(steps, steps.mean(), atol=0.02)


def test_a_landscape_has_its_heights_as_a_picture_and_the_rest_as_vectors(
    open_page: OpenPage, html: str, tmp_path: Path
) -> None:
    tree = ET.parse(save(open_page(html), MAP, "svg", tmp_path))
    (raster,) = tree.iter(f"{SVG}image")
    assert (raster.get("href") or "").startswith("data:image/png;base64,")
    assert len(list(tree.iter(f"{SVG}path"))) > 20
    assert "90.0\xa0% of the variance is in this plane" in texts(tmp_path / "three-Plane-of-the-trajectories.svg")


def test_a_strip_and_a_matrix_have_their_numbers(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(render(made_page(made_run(batch_size=300))))
    page.click('[data-cells="epoch"] button:nth-child(2)')
    strip = texts(save(page, STRIP, "svg", tmp_path))
    assert "Epoch 2: 1,000 samples, each once, in 4 batches" in strip
    assert strip.count("300") == 3
    matrix = texts(save(page, MATRIX, "svg", tmp_path))
    for words in ("Confusion matrix", "cat", "<owl>", "10", "recall", "100.0\xa0%"):
        assert words in matrix


def test_only_lines_that_are_shown_are_saved(open_page: OpenPage, html: str, tmp_path: Path) -> None:
    page = open_page(html)
    page.uncheck(f"{CHART} tbody tr:nth-child(2) input")
    assert "batch-100" not in texts(save(page, CHART, "svg", tmp_path))


def test_in_the_pages_language(open_page: OpenPage, html: str, tmp_path: Path) -> None:
    page = open_page(html)
    page.check('input[name="lang"][value="zh"]', force=True)
    file = save(page, CHART, "svg", tmp_path)
    assert file.name == "three-每次迭代的损失.svg"
    assert {"每次迭代的损失", "轮", "损失"} <= set(texts(file))
    assert size_of_png(save(page, CHART, "png", tmp_path))[0] == 1800


def test_light_unless_dark_is_asked_for(open_page: OpenPage, html: str, tmp_path: Path) -> None:
    page = open_page(html, color_scheme="dark")
    paper = [
        next(ET.parse(save(page, CHART, "svg", tmp_path, dark=dark)).iter(f"{SVG}rect")).get("fill")
        for dark in (False, True)
    ]
    assert paper == ["#fdfdfc", "#131516"]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 21, 22)"


def test_a_hostile_name_is_only_a_name(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(render(hostile_page()))
    file = save(page, CHART, "svg", tmp_path)
    assert not set(file.name) & set('/\\:*?"<>|')
    assert HOSTILE in " ".join(texts(file))
    assert [element.tag for element in ET.parse(file).iter() if "script" in element.tag] == []


class TestMenu:
    def test_by_keyboard(self, open_page: OpenPage, html: str) -> None:
        page = open_page(html)
        page.focus(f"{CHART} [data-save]")
        page.keyboard.press("Enter")
        assert page.get_attribute(f"{CHART} [data-save]", "aria-expanded") == "true"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.as") == "svg"
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename == "three-Loss-of-every-iteration.svg"
        assert page.is_hidden(f"{CHART} .menu")
        assert page.evaluate("document.activeElement.dataset.save") == ""

    def test_it_closes(self, open_page: OpenPage, html: str) -> None:
        page = open_page(html)
        for close in (lambda: page.keyboard.press("Escape"), lambda: page.mouse.click(5, 300)):
            page.click(f"{CHART} [data-save]")
            assert page.is_visible(f"{CHART} .menu")
            close()
            assert page.is_hidden(f"{CHART} .menu")
            assert page.get_attribute(f"{CHART} [data-save]", "aria-expanded") == "false"

    @pytest.mark.parametrize("width", [320, 390, 1280])
    def test_it_is_inside_the_window(self, open_page: OpenPage, html: str, width: int) -> None:
        page = open_page(html, width=width)
        for figure in (CHART, MAP, STRIP, MATRIX):
            page.locator(f"{figure} [data-save]").first.click()
            box = page.locator(f"{figure} .menu").first.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_hundred_thousand_iterations_make_a_small_file(open_page: OpenPage, tmp_path: Path) -> None:
    losses = made_losses(100_000)
    run = made_run(samples=10_000, batch_size=1, iterations=100_000, losses=losses, epochs=())
    file = save(open_page(render(made_page(run, landscapes=(made_landscape("run-1"),)))), CHART, "svg", tmp_path)
    assert file.stat().st_size < 200_000
