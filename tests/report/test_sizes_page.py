"""The page of a study of batch sizes: its answer without a script, and its pictures in a real browser."""

from __future__ import annotations

import dataclasses
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from epochal.cli.main import main
from epochal.config.train_config import TrainConfig
from epochal.errors import OptionError
from epochal.record.study_record import StudyData
from epochal.report.sizes_page import render_sizes
from epochal.study.batch_size.answer import Answer
from epochal.study.batch_size.kept import BatchSizeRecord
from epochal.study.batch_size.request import Request
from epochal.study.batch_size.trials import BatchSizes
from measured_sizes import FLAT, measured_row, measured_study, with_rows

OpenPage = Callable[..., Any]
HOSTILE = '</script><img src=x onerror=alert(1)>"'
PICTURES = ("updates", "seconds", "rates")
SVG = "{http://www.w3.org/2000/svg}"


def rendered(study: BatchSizes, lang: str = "en", title: str = "sizes") -> str:
    return render_sizes(Answer.of(study), lang, title=title, made="2026-01-01T00:00")


def full_study() -> BatchSizes:
    """All that a page may show: a rate at the end of the search, a missed size, one that was left out."""
    study = measured_study(left_out=FLAT[1:], options={"model": "mlp"})
    rows = list(study.rows)
    rows[-1] = dataclasses.replace(rows[-1], is_edge=True)
    full: BatchSizes = dataclasses.replace(study, rows=(*rows, measured_row(32_768, None, [])))
    return full


@pytest.fixture(scope="module")
def html() -> str:
    return rendered(full_study())


def numbers_of(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


class TestWithoutScript:
    def test_it_says_the_answer_in_both_languages(self, html: str) -> None:
        assert "batch sizes 64 to 256 reach 97\N{NO-BREAK SPACE}% accuracy soonest" in html
        assert "批大小 64 到 256 最快达到" in html
        assert "epochal train mnist --model mlp --batch-size 64 --lr 0.64" in html

    def test_the_table_has_all_sizes_and_what_was_left_out(self, html: str) -> None:
        heads = re.findall(r'<th scope="row">([^<]+)</th>', html.split("<main")[1].split("</main>")[0])
        assert heads == ["1", "4", "16", "64", "256", "1,024", "4,096", "16,384", "32,768", "60,000"]
        assert re.findall(r'<tr class="fast"><th scope="row">([^<]+)</th>', html)[:2] == ["64", "256"]
        assert re.findall(r'<tr class="guessed"><th scope="row">([^<]+)</th>', html)[:1] == ["60,000"]

    def test_what_it_draws_is_what_was_measured(self, html: str) -> None:
        numbers = numbers_of(html)
        row = next(row for row in numbers["rows"] if row["size"] == 64)
        assert (row["low"], row["high"]) == (1_315, 1_582)
        assert row["low"] < row["steps"] < row["high"]
        assert numbers["range"] == [64, 256]
        assert numbers["curve"]["measured"] == [1, 16_384]
        assert numbers["curve"]["sizes"][-1] == pytest.approx(60_000)
        low, steps, high = (numbers["curve"][name] for name in ("low", "steps", "high"))
        assert all(a <= b * 1.3 and b <= c * 1.3 for a, b, c in zip(low, steps, high, strict=True))

    def test_below_five_sizes_no_curve_is_drawn(self) -> None:
        numbers = numbers_of(rendered(with_rows(measured_study(), 1, 16, 64, 256)))
        assert numbers["curve"] is None
        assert numbers["guides"] == {"scaling": None, "fewest": None}

    def test_a_hostile_name_is_text(self) -> None:
        html = rendered(measured_study(data=HOSTILE, model=HOSTILE, branched_from=(HOSTILE, 3)), title=HOSTILE)
        assert "<img src=x" not in html
        assert html.count("</script>") == 2

    def test_an_unknown_language_is_refused(self) -> None:
        with pytest.raises(OptionError, match="language"):
            rendered(measured_study(), "xx")


class TestInBrowser:
    @pytest.mark.parametrize(("lang", "width"), [("en", 1280), ("zh", 360)])
    def test_every_picture_is_drawn_and_nothing_is_too_wide(
        self, open_page: OpenPage, html: str, lang: str, width: int
    ) -> None:
        page = open_page(html.replace('<html lang="en"', f'<html lang="{lang}"'), width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for name in PICTURES:
            assert page.eval_on_selector(
                f'[data-sizes="{name}"] canvas.picture',
                "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)",
            )

    @pytest.mark.parametrize("study", [with_rows(measured_study(), 64), with_rows(measured_study(), 16, 64)])
    def test_few_sizes_are_drawn_too(self, open_page: OpenPage, study: BatchSizes) -> None:
        open_page(rendered(study))

    def test_none_that_reached_the_target_is_no_error(self, open_page: OpenPage) -> None:
        rows = tuple(measured_row(size, None, []) for size in (16, 64))
        page = open_page(rendered(dataclasses.replace(measured_study(), rows=rows, all_trials=())))
        assert "no batch size that was tried" in page.inner_text(".lead >> nth=0")

    def test_the_pointer_reads_the_nearest_size(self, open_page: OpenPage, html: str) -> None:
        page = open_page(html)
        plot = page.locator('[data-sizes="updates"] .plot')
        at = page.evaluate("epochal.charts.get('updates').x.toPixel(64)")
        plot.hover(position={"x": at + 3, "y": 60})
        assert page.inner_text('[data-sizes="updates"] .at') == "B = 64: 1,442 updates (1,315–1,582)"

    def test_language_and_theme_are_switched(self, open_page: OpenPage, html: str) -> None:
        page = open_page(html)
        page.check('input[name="lang"][value="zh"]', force=True)
        assert "最快达到" in page.inner_text(".lead >> nth=0")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.check('input[name="theme"][value="dark"]', force=True)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light

    @pytest.mark.parametrize("name", PICTURES)
    def test_a_picture_is_saved_with_its_title_and_legend(
        self, open_page: OpenPage, html: str, tmp_path: Path, name: str
    ) -> None:
        page = open_page(html)
        box = page.locator(f'[data-sizes="{name}"]')
        box.locator("[data-save]").click()
        with page.expect_download() as download:
            box.locator('[data-as="svg"]').click()
        file = tmp_path / "picture.svg"
        download.value.save_as(file)
        said = " ".join(element.text or "" for element in ET.parse(file).iter(f"{SVG}text"))
        assert box.locator("h3").inner_text().replace("\xa0", " ") in said.replace("\xa0", " ")
        assert page.locator(f'[data-sizes="{name}"] [data-key]').first.inner_text()[:8] in said

    @pytest.mark.parametrize("size", ["A4", "Letter"])
    def test_two_sheets_of_paper_hold_it(self, open_page: OpenPage, html: str, size: str) -> None:
        pdf = open_page(html).pdf(format=size)
        assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 2


class TestCommand:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A finished study in its folder."""
        folder = tmp_path / "my sizes"
        folder.mkdir()
        data = StudyData("mnist", "f" * 64, 50_000, 10_000, "classification")
        request = Request(shared=TrainConfig(data="mnist"))
        BatchSizeRecord(folder, request, data, study=full_study(), is_finished=True).write()
        return folder

    def test_report_writes_the_page_into_the_folder(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["report", str(folder)]) == 0
        assert "report.html" in capsys.readouterr().out
        assert "my sizes" in (folder / "report.html").read_text(encoding="utf-8")

    @pytest.mark.parametrize("more", [["--watch"], ["runs/other"]])
    def test_what_it_cannot_do_is_said_in_a_line(
        self, folder: Path, more: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["report", str(folder), *more]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "batch sizes" in captured.err
        assert len(captured.err.splitlines()) == 1
