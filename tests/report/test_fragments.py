"""What a notebook's cell shows: the report's numbers, without scripts, with nothing that a name could smuggle in."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from made_records import HOSTILE, hostile_page, made_epochs, made_losses, made_page, made_run, three_runs

from epochal import Plan
from epochal.data import from_arrays
from epochal.record.history import History
from epochal.record.rows import EvaluationRow
from epochal.report.fragments import history_fragment, run_fragment, study_fragment
from epochal.web.fragment import Fragment

EN = Fragment("en")


class Elements(HTMLParser):
    """Notes every element, and whether it was closed; all text outside of style."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in ("img", "path", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def assert_harmless(html: str) -> None:
    """No script, nothing from a network, no handler, every element closed."""
    found = Elements(html)
    assert not {"script", "link", "object", "embed", "form", "iframe"} & set(found.names)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    sources = [value for name, value in found.attributes if name in ("src", "href") and value]
    assert all(value.startswith("data:image/png") for value in sources)
    assert "url(" not in html
    assert found.open == []


def shown() -> dict[str, str]:
    x, y = np.arange(640, dtype=np.uint8).reshape(10, 8, 8), np.arange(10) % 2
    data = from_arrays(x, y, test=(x[:4], y[:4]), name=HOSTILE, class_names=(HOSTILE, "b"))
    page = hostile_page()
    return {
        "plan": Plan(60_000, 100, iterations=30_000)._repr_html_(),
        "history": page.runs[0].record.history._repr_html_(),
        "run": run_fragment(page.runs[0].record, EN),
        "study": study_fragment(page, EN),
        "data": data._repr_html_(),
    }


@pytest.mark.parametrize("what", ["plan", "history", "run", "study", "data"])
def test_hostile_names_are_only_names(what: str) -> None:
    html = shown()[what]
    assert_harmless(html)
    if what not in ("plan", "history"):
        assert HOSTILE in " ".join(Elements(html).texts)


def test_that_a_script_is_seen() -> None:
    with pytest.raises(AssertionError):
        assert_harmless("<div><script>1</script></div>")
    with pytest.raises(AssertionError):
        assert_harmless("<div><img src=x onerror=1></div>")


def test_a_plan_shows_the_worked_example() -> None:
    text = Elements(Plan(60_000, 100, iterations=30_000)._repr_html_()).text
    assert "N / B = 60,000 / 100 600" in text
    assert "full epochs 30,000 / 600 50" in text
    assert "updates after 10 epochs 10 × 600 6,000" in text


def test_a_run_shows_its_numbers_curves_and_audit() -> None:
    run = made_run(samples=1000, batch_size=100, iterations=120).record
    html = run_fragment(run, EN)
    text = Elements(html).text
    assert html.count('<svg class="curves"') == 2
    assert "runs/run-1 · finished" in text
    assert "iterations = weight updates 120" in text
    assert text.count("✓ yes") == 12
    assert "loss" in text
    assert "iterations" in text


def test_an_unfinished_run_says_how_it_goes_on() -> None:
    run = made_run(status="stopped", done=50).record
    assert "Go on with epochal.resume('runs/run-1')." in Elements(run_fragment(run, EN)).text
    in_memory = dataclasses.replace(run, path=None)
    assert "cannot be resumed" in Elements(run_fragment(in_memory, EN)).text
    own = dataclasses.replace(run, file=dataclasses.replace(run.file, custom=("data", "model")))
    assert own.resume_command == "epochal.resume('runs/run-1', data=…, model=…)"


def test_a_run_that_has_done_nothing_is_shown_too() -> None:
    assert "No epoch is complete yet." in Elements(run_fragment(made_run(done=0, status="new").record, EN)).text
    assert_harmless(History.empty()._repr_html_())


def test_a_study_shows_a_row_and_a_line_for_each_run() -> None:
    html = study_fragment(three_runs(1200), EN)
    text = Elements(html).text
    for name in ("batch-1", "batch-100", "batch-all"):
        assert text.count(name) >= 3
    assert "updates to 90" in text


def test_of_many_epochs_the_first_and_the_last_are_shown_and_what_was_not_as_planned() -> None:
    run = made_run(samples=1000, batch_size=100, iterations=1000).record
    rows = list(run.history.epochs)
    rows[50] = dataclasses.replace(rows[50], samples=999)
    text = Elements(history_fragment(dataclasses.replace(run.history, epochs=tuple(rows)), EN)).text
    assert "… 45 epochs, all as planned …" in text
    assert "✗ no" in text


def test_values_that_are_no_numbers_are_gaps() -> None:
    losses = made_losses(120)
    losses[40:60] = np.nan
    html = run_fragment(made_run(losses=losses).record, EN)
    assert "nan" not in re.sub("<style>.*?</style>", "", html).lower()
    all_nan = run_fragment(made_run(losses=np.full(120, np.nan, np.float32), epochs=()).record, EN)
    assert '<svg class="curves"' not in all_nan


def test_chinese_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHAL_LANG", "zh")
    html = Plan(10, 3)._repr_html_()
    assert "批大小" in html
    assert "batch size" not in html
    monkeypatch.setenv("EPOCHAL_LANG", "xx")
    assert "batch size" in Plan(10, 3)._repr_html_()


def test_a_million_iterations_are_shown_at_once_and_small() -> None:
    """0.3 s are the aim, with nothing else on the machine."""
    epochs = made_epochs(Plan(samples=10_000, batch_size=100, iterations=1_000_000), 1_000_000)
    tests = tuple(EvaluationRow(row.end_iteration, "test", 50, row.test) for row in epochs)
    history = History(made_losses(1_000_000), 1_000_000, epochs, tests, (), ())
    history._repr_html_()  # what is imported is imported
    begun = time.process_time()
    html = history._repr_html_()
    assert time.process_time() - begun < 0.6
    assert len(html) < 200_000
    assert "stands for" in html


def test_the_band_holds_the_extremes() -> None:
    from epochal.report.fragments import loss_curves

    losses = made_losses(20_000)
    losses[12_345] = 77
    history = dataclasses.replace(History.empty(), losses=losses, iterations=losses.size)
    (curve,) = loss_curves(history)
    assert curve.high is not None
    assert curve.low is not None
    assert (curve.high.max(), curve.low.min()) == (77, losses.min())
    assert curve.y.size <= 400


def test_showing_a_plan_imports_neither_jax_nor_matplotlib_nor_a_notebook() -> None:
    code = "import sys, epochal; epochal.Plan(10, 3)._repr_html_(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert {"jax", "matplotlib", "IPython", "marimo", "epochal.run"}.isdisjoint(loaded)
    bare = subprocess.run(
        [sys.executable, "-c", "import sys, epochal.clock; print(*sys.modules)"],
        capture_output=True, check=True, text=True,
    ).stdout.split()  # fmt: skip
    assert {"epochal.notebook", "epochal.report", "epochal.web"}.isdisjoint(bare)


def short(value: Any) -> str:
    text = repr(value)
    assert len(text) < 200
    assert "\n" not in text
    return text


def test_reprs_are_short_and_plain() -> None:
    run = made_run(samples=1000, batch_size=100, iterations=120).record
    assert short(run) == (
        "RunRecord 'runs/run-1': finished, epoch 12, iteration 120 of 120, test loss 0.1000, test accuracy 95.83 %"
    )
    assert re.fullmatch(r"History: 120 iterations, 12 epochs, 12 evaluations; loss [\d.]+ → [\d.]+", short(run.history))
    assert short(History.empty()) == "History: 0 iterations, 0 epochs, 0 evaluations"


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (Plan(60_000, 100, iterations=30_000), "Plan(samples=60000, batch_size=100, iterations=30000)"),
        (Plan(10, 3, epochs=2, last="drop"), "Plan(samples=10, batch_size=3, epochs=2, last='drop')"),
        (Plan(10, "all", budget="90s"), "Plan(samples=10, batch_size=10, budget='90s')"),
        (Plan(10, 1, budget="55sa"), "Plan(samples=10, batch_size=1, budget='55sa')"),
    ],
)
def test_a_plan_is_written_as_it_can_be_typed(plan: Plan, text: str) -> None:
    assert repr(plan) == text
    assert eval(text) == plan


def test_a_page_without_a_second_run_is_a_table_of_one() -> None:
    assert Elements(study_fragment(made_page(), EN)).text.count("run-1") >= 2
