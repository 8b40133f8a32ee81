from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from made_records import (
    HOSTILE,
    hostile_page,
    made_landscape,
    made_page,
    made_predictions,
    made_run,
    three_runs,
    with_metrics,
)

from epochal.errors import OptionError
from epochal.record.study_record import Band, Spread
from epochal.report import render
from epochal.report.page_model import Notice, Page

VOID = {"meta", "input", "img", "br", "link", "path", "circle"}


class Elements(HTMLParser):
    """Every element with its attributes, and whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def payload(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    content: dict[str, object] = json.loads(found[1])
    return content


PAGES = {
    "one run": made_page(),
    "three runs and a landscape": three_runs(600),
    "nothing done yet": made_page(made_run(done=0, status="new", predictions=Notice("while_training", {}))),
    "unfinished": made_page(made_run(done=37, status="interrupted")),
    "no known end": made_page(made_run(budget="90s", done=37, status="running")),
    "other metrics": made_page(with_metrics(made_run(), loss=0.5, mae=0.25, r2=0.9)),
    "diverged": made_page(made_run(losses=np.full(120, np.nan, np.float32), status="diverged")),
    "many classes": made_page(made_run(predictions=made_predictions(tuple(map(str, range(40)))))),
    "hostile": hostile_page(),
    "random plane": made_page(landscapes=(made_landscape("run-1", kind="random", explained=(), lines=()),)),
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("watch", [False, True])
def test_a_page_is_whole_and_needs_nothing_else(name: str, watch: bool) -> None:
    html = render(PAGES[name], watch=watch)
    elements = Elements(html)
    assert elements.open == []
    assert not {tag for tag, _ in elements.found} & {"link", "iframe", "object", "embed", "base"}
    for tag, attributes in elements.found:
        assert not any(name.startswith("on") for name in attributes), "no script in attributes"
        for attribute in ("src", "href"):
            target = attributes.get(attribute)
            assert target is None or target.startswith(("#", "data:image/png;base64,")), (tag, target)
    assert "url(" not in html.replace("url(#", ""), "but for names inside a picture"
    assert "@import" not in html
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    inside = {
        attributes[name]
        for _, attributes in elements.found
        for name in ("aria-labelledby", "aria-describedby")
        if name in attributes
    }
    assert inside <= set(ids)


def test_only_the_pages_own_script_may_run() -> None:
    html = render(made_page())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert policy is not None
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert f"sha256-{digest}".replace("+", "&#43;") in policy[1].replace("+", "&#43;")
    assert "connect-src" not in policy[1]


def test_text_from_outside_stays_text() -> None:
    html = render(hostile_page())
    elements = Elements(html)
    assert all("onerror" not in attributes for _, attributes in elements.found)
    assert sum(tag == "script" for tag, _ in elements.found) == 2
    assert "49" not in re.findall(r"\{\{.*?\}\}|49&amp;", html)
    assert HOSTILE in str(payload(html)["runs"][0]["name"])  # type: ignore[index]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_opens_in_the_language_asked_for(lang: str) -> None:
    assert f'<html lang="{lang}"' in render(made_page(), lang)


def test_an_unknown_language() -> None:
    with pytest.raises(OptionError, match=r"unknown language 'de'.*Known: en, zh"):
        render(made_page(), "de")


def test_the_worked_example_three_times_is_small_and_quick() -> None:
    """Batch size 60,000 makes each of its 30,000 iterations an epoch: the most that such a page has to carry."""
    records = three_runs(30_000)
    begun = time.process_time()
    html = render(records)
    assert time.process_time() - begun < 12, "of the processor, with every type checked; without, a tenth of that"
    assert len(html.encode()) < 6_000_000


def test_rendering_is_a_pure_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same records give the same page, and no file of the user's is touched."""
    first = render(PAGES["three runs and a landscape"])
    monkeypatch.setattr("builtins.open", lambda *args, **options: pytest.fail(f"opened {args}"))
    assert render(PAGES["three runs and a landscape"]) == first


def text_of(page: Page) -> str:
    html = re.sub(r"<script.*?</script>|<style.*?</style>", "", render(page), flags=re.DOTALL)
    html = re.sub(r'<span lang="zh">.*?</span>', "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


class TestWhatItSays:
    def test_the_arithmetic_and_the_counts(self) -> None:
        text = text_of(made_page(made_run(samples=60_000, iterations=30_000)))
        for words in ("N / B = 60,000 / 100", "30,000 / 600", "60,000 training and 50 test samples of digits"):
            assert words in text

    def test_the_audit(self) -> None:
        run = made_run()
        text = text_of(made_page(run))
        assert "12 of 12 full epochs used each sample exactly as planned" in text
        epochs = run.record.history.epochs
        assert epochs[0].audit_hash in text
        broken = (dataclasses.replace(epochs[0], audit_hash="0123456789abcdef"), *epochs[1:])
        assert "11 of 12 full epochs" in text_of(made_page(made_run(epochs=broken)))

    def test_an_unfinished_run_says_so(self) -> None:
        notice = Notice("unfinished", {"run": "r", "status": "interrupted", "iteration": 37, "iterations": 1200})
        text = text_of(made_page(made_run(done=37, status="interrupted"), notices=(notice,)))
        assert "r is not finished (interrupted, iteration 37 of 1,200)" in text

    def test_why_there_are_no_answers(self) -> None:
        text = text_of(made_page(made_run(predictions=Notice("unpredicted", {"reason": "no data here"}))))
        assert "The test set was not predicted: no data here" in text

    def test_how_to_do_it_again(self) -> None:
        text = text_of(made_page())
        assert "epochal train digits --batch-size 100 --budget 120it --lr 0.1" in text
        assert "epochal report runs/run-1" in text

    def test_parts_of_ones_own_cannot_be_repeated_by_name(self) -> None:
        run = made_run()
        run = made_run(file=dataclasses.replace(run.record.file, custom=("model", "loss")))
        assert "trained from Python with its own model, loss" in text_of(made_page(run))

    def test_the_comparison_counts_to_the_target(self) -> None:
        text = text_of(three_runs(1800))
        assert "updates to 90" in text
        assert "not reached" in text

    def test_a_row_of_the_comparison(self) -> None:
        records = made_page(made_run("a"), made_run("b", batch_size=1000), target_accuracy=0.8)
        row = re.search(r"Side by side.*? a MBGD 100 10 120 12 (.*?) b BGD 1,000 1 ", text_of(records))
        assert row is not None
        assert row[1].split()[-4:] == ["30", "1.50", "s", "✓"] or "30 1.50 s" in row[1]

    def test_epochs_are_never_rounded_up(self) -> None:
        nearly = made_run("a", samples=1437, batch_size=10, iterations=143)
        assert " 143 0.99 " in text_of(made_page(nearly, made_run("b")))

    def test_repeated_seeds(self) -> None:
        band = Band("batch-10", (0, 1), Spread(0.5, 0.4, 0.6), {"accuracy": Spread(0.9, 0.8, 1.0)})
        text = text_of(made_page(made_run("a"), made_run("b"), bands=(band,)))
        assert "0.5000 (0.4000 … 0.6000) – 90.00 % (80.00 % … 100.00 %)" in text

    def test_every_metric_is_there_without_further_code(self) -> None:
        """In the key numbers, the epochs and the comparison: by its words where there are some, else by its name."""
        regression = with_metrics(made_run("a"), loss=0.5, mae=0.25, r2=0.75, skill=0.125)
        text = text_of(made_page(regression))
        for words in ("test mean absolute error 0.2500", "test R² 0.7500", "test skill 0.1250"):
            assert words in text
        assert "test loss test mean absolute error test R² test skill time" in text
        assert "accuracy" not in text
        both = text_of(made_page(regression, made_run("b")))
        assert "training loss test loss test mean absolute error test R² test skill test accuracy" in both
        assert "0.0833 0.5000 0.2500 0.7500 0.1250 –" in both
        assert "0.0833 0.1000 – – – 95.83 %" in both

    def test_metrics_of_single_classes_are_a_table(self) -> None:
        run = with_metrics(made_run(), loss=0.5, recall__cat=0.25, recall__dog=0.5, precision__cat=0.75)
        text = text_of(made_page(run))
        assert "Metrics by class class recall precision cat 0.2500 0.7500 dog 0.5000 –" in text
        assert "recall/cat" not in text

    def test_a_plan_without_a_known_end(self) -> None:
        text = text_of(made_page(made_run(budget="90s", done=37, status="stopped")))
        assert "it ends after 1 min 30 s of training" in text
        assert "1,000 / 100" in text
        assert "full epochs" not in text.split("The arithmetic")[1].split("Curves")[0]

    def test_the_share_of_variance(self) -> None:
        assert "90.0\xa0%" in render(made_page(landscapes=(made_landscape("run-1"),)))


def test_a_study_without_a_landscape_says_how_it_gets_one() -> None:
    text = text_of(made_page(made_run("a"), made_run("b"), study="runs/study"))
    assert "This command computes it: epochal compare --run runs/study --landscape" in text
    assert "This command computes it" not in text_of(made_page(made_run("a"), made_run("b")))
    with_one = made_page(made_run("a"), study="s", landscapes=(made_landscape("a"),))
    assert "This command computes it" not in text_of(with_one)


def test_a_plan_is_told_in_whole_sentences() -> None:
    assert "The run: 1 iteration, 1 full epoch " in text_of(made_page(made_run(batch_size=1000, iterations=1)))
    assert "The run: 25 iterations, 2 full epochs and 5 iterations more" in text_of(made_page(made_run(iterations=25)))
    stopped = text_of(made_page(made_run(done=37, status="stopped")))
    assert "The run: 120 iterations, 12 full epochs. Done so far: 37 iterations, 3 full epochs." in stopped


def test_a_run_too_long_for_the_page_says_so() -> None:
    losses = np.ones(1_000_000, np.float32)
    run = made_run(samples=10_000, batch_size=1, iterations=1_000_000, losses=losses, epochs=())
    assert "1,000,000 iterations are too many for one page, so each value here stands for 4 of them" in text_of(
        made_page(run)
    )


def test_losses_that_are_no_numbers_are_counted() -> None:
    losses = np.array([1, np.nan, np.inf] * 40, np.float32)
    assert "80 losses are not finite" in text_of(made_page(made_run(losses=losses)))
