"""`report()`: a page in the folder, and a path that a notebook shows as the page."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from epochal import Run, Study, compare, train
from epochal.errors import RunError
from little import little_data

__all__ = ["little_data"]


@pytest.fixture
def run(little_data: Path) -> Run:
    return train(little_data, model="linear", batch_size=4, epochs=2, run="one", progress=False)


class Frames(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "iframe":
            self.found.append(dict(attrs))


def test_it_is_a_path_that_a_notebook_shows(run: Run) -> None:
    file = run.report()
    assert isinstance(file, Path)
    assert os.fspath(file) == "one/report.html"
    (frame,) = Frames(file._repr_html_()).found  # type: ignore[attr-defined]
    assert frame["sandbox"] == "allow-scripts"
    page = frame["srcdoc"] or ""
    assert page.replace("about:srcdoc#", "#") == file.read_text()
    assert 'href="#' not in page


def test_it_is_made_anew_and_elsewhere_and_in_chinese(run: Run, tmp_path: Path) -> None:
    run.report().write_text("old")
    assert "old" not in run.report().read_text()[:100]
    other = run.report(tmp_path / "other.html", lang="zh")
    assert '<html lang="zh"' in other.read_text()


def test_where_it_cannot_be_written_it_says_so(run: Run) -> None:
    with pytest.raises(RunError, match="choose another place with out="):
        run.report("nowhere/report.html")


def test_a_run_in_memory_has_none(little_data: Path) -> None:
    run = train(little_data, model="linear", batch_size=4, epochs=1, run=False, progress=False)
    with pytest.raises(RunError, match="run=False"):
        run.report()
    assert repr(run).startswith("Run 'little' (in memory): finished, epoch 1, iteration 6 of 6, test loss ")
    assert repr(run.evaluate()).startswith("Evaluation of 11 samples: loss ")
    assert "Kept in memory" not in run._repr_html_()


def test_a_study_has_one_too(little_data: Path) -> None:
    study = compare(little_data, models="linear", batch_sizes=[4, "all"], epochs=1, run="study")
    assert Study.open("study").report() == study.report() == Path("study/report.html")
    html = study._repr_html_()
    assert "batch-4" in html
    assert "batch-all" in html


def test_a_study_that_has_not_begun_and_one_that_is_damaged_are_shown(little_data: Path) -> None:
    study = compare(little_data, models="linear", batch_sizes=[4], epochs=1, run="study")
    (study.path / "batch-4" / "history.db").write_bytes(b"no")
    assert "history.db" in study._repr_html_()
    (study.path / "batch-4").rename("elsewhere")
    assert "No run has begun yet." in study._repr_html_()
