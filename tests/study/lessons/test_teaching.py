"""Lessons in small: what they train, what their findings say of the numbers, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from epochal.data import Dataset, load_data
from epochal.errors import DataError, OptionError
from epochal.study import lesson
from epochal.study.batch_size.trials import SizeRow
from epochal.study.lessons import batch_growth, gap, ladder, rate_rules, reshuffling
from epochal.study.lessons.lesson_result import LessonCurve, LessonPanel, LessonResult, LessonTable, column
from epochal.study.lessons.lesson_trainings import Case, LessonStopped, Outcome, Work, train_cases
from epochal.study.lessons.teaching import lessons, read_seeds
from epochal.study.target import Target, Trial
from epochal.words.catalogue import Words, say

ONE = Work((0,))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """The embedded digits."""
    return load_data("digits")


@pytest.fixture(scope="module")
def grown(digits: Dataset) -> LessonResult:
    """The short form of growth, with one seed."""
    return batch_growth.teach_growth(digits, batch_growth.QUICK, ONE, is_quick=True)


def english(found: Sequence[Words]) -> str:
    return "\n".join(one.texts["en"] for one in found)


def outcome(accuracy: float, train_loss: float = 0.01, *, learned: bool = True, updates: int = 100) -> Outcome:
    return Outcome(1_000, updates, train_loss, 0.1, accuracy, learned, 1.0, ((updates, train_loss, accuracy),))


# --- each lesson's own numbers ----------------------------------------------------------------------------------------


def test_reshuffling_pays_as_the_square_of_the_rate(digits: Dataset) -> None:
    """The short form shows what the full one does: at most a tenth, and how halving the rate divides it."""
    result = reshuffling.teach_reshuffling(digits, reshuffling.QUICK, ONE, is_quick=True)
    ways = {row["way"].texts["en"]: row for row in result.tables[0].rows}  # type: ignore[union-attr]
    assert result.numbers["times_nearer"] >= 10
    assert 3 <= result.numbers["halving_reshuffled"] <= 5
    assert 1.5 <= result.numbers["halving_replacement"] <= 2.5

    times = [ways[name]["times_1"] for name in ("reshuffled each epoch", "shuffled once", "drawn with replacement")]
    assert times == sorted(times)  # type: ignore[type-var]
    assert "times nearer" in english(result.findings)
    # the negative control: with replacement against itself nothing is nearer
    far = dict.fromkeys(reshuffling.QUICK.runs(), (1.0,))
    law = {"times_nearer": 1.0, "halving_reshuffled": 1.0, "halving_replacement": 1.0}
    assert "did as well here" in english(reshuffling._findings(reshuffling.QUICK, far, law))


def test_growing_the_batch_ends_where_a_falling_rate_does(grown: LessonResult) -> None:
    result = grown
    assert result.numbers["apart"] <= 0.03
    assert result.numbers["updates_growth"] == 6 * (89 + 22 + 5)
    assert result.numbers["updates_decay"] == result.numbers["updates_constant"] == 18 * 89
    # the constant rate is the negative control
    assert result.numbers["train_loss_constant"] < 0.7 * result.numbers["train_loss_decay"]
    assert "end at the same training loss" in english(result.findings)


def test_growth_in_full_has_the_updates_of_the_plan() -> None:
    cases = {case.name: case.options for case in batch_growth.FULL.cases(60_000)}
    assert cases["growth"]["batch_size"] == "100,400@6ep,1600@12ep"
    assert 6 * (60_000 // 100 + 60_000 // 400 + 60_000 // 1_600) == 4_722


def test_two_ways_that_end_apart_are_said_to() -> None:
    outcomes = {name: (outcome(0.9, loss),) for name, loss in (("constant", 0.1), ("decay", 0.2), ("growth", 0.4))}
    assert "Here the two ways end apart" in english(batch_growth._findings(batch_growth.FULL, outcomes, 1.0))


def test_the_gap_is_cured_by_updates_and_a_linear_rate_does_not_train(digits: Dataset) -> None:
    result = gap.teach_gap(digits, gap.QUICK, ONE, is_quick=True)
    accuracy = {name: result.numbers[f"accuracy_{name}"] for name in ("small", "large", "root", "longer")}
    assert accuracy["root"] <= accuracy["small"] - 0.01
    assert accuracy["large"] < accuracy["root"]
    assert accuracy["longer"] >= accuracy["small"] - 0.006  # two of 360 images

    rows = result.tables[0].rows
    assert result.tables[0].to_list()[3]["test_accuracy"] == "did not train"
    assert math.isnan(result.numbers["accuracy_linear"])
    assert [row["updates"] for row in rows] == [3600, 100, 100, 100, 1000, 3600]
    assert "did not train in 1 of 1" in english(result.findings)
    assert all(len(curve.x) > 1 for curve in result.panels[0].curves)


def test_a_gap_that_is_left_is_said_to_be() -> None:
    names = ("small", "large", "root", "linear", "longer", "tuned")
    outcomes = dict(zip(names, [(outcome(a),) for a in (0.98, 0.90, 0.92, 0.5, 0.93, 0.99)], strict=True))
    said = english(gap._findings(gap.FULL, outcomes))
    assert "it is nearer" in said
    assert "trained here, to 50.00" in said
    assert "under-trained" not in said  # the training losses are alike


def test_the_ladder_has_its_order_in_short(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHAL_DATA", str(mnist.parent))
    data = load_data("mnist")
    data = dataclasses.replace(data, test=data.test.take(np.arange(2_000)))
    plan = ladder.LadderPlan(epochs=(4, 4, 4, 4), samples=2_000, batch_size=40)
    result = ladder.teach_ladder(data, plan, ONE, is_quick=True)
    errors = [result.numbers[f"error_{model}"] for model in ladder.MODELS]
    assert errors[0] > max(errors[1:3]) > min(errors[1:3]) > errors[3]
    assert "error_1998" not in {one.key for one in result.tables[0].columns}  # of other samples
    assert result.panels[0].ticks == ladder.MODELS


def test_another_order_is_said_and_neighbours_are_no_order() -> None:
    outcomes = {
        model: (outcome(accuracy),) for model, accuracy in zip(ladder.MODELS, (0.9, 0.95, 0.951, 0.94), strict=True)
    }
    errors = {model: 1 - one[0].test_accuracy for model, one in outcomes.items()}
    said = english(ladder._findings(errors, outcomes, 1_000, is_as_then=False))
    assert "linear > lenet > mlp:300 > mlp:300-100" in said
    assert "with 1 seed that is no order" in said


@pytest.mark.slow
def test_the_best_rates_are_found_for_both_optimizers(digits: Dataset) -> None:
    plan = rate_rules.RatesPlan(1_437, (16, 64), 64, {"sgd": 0.32, "adam": 0.0064}, ("digits", 0.9), 500)
    result = rate_rules.teach_rates(digits, plan, ONE, is_quick=True)
    assert {table.title.texts["en"] for table in result.tables if table.title} == {"SGD", "Adam"}
    for table in result.tables:
        assert [row["batch_size"] for row in table.rows] == [16, 64]
        assert all(isinstance(row["best"], float) for row in table.rows)
        assert table.rows[1]["linear_rule"] == 4
        assert table.rows[1]["root_rule"] == 2


@pytest.mark.parametrize(("power", "rule"), [(1.0, "The linear rule is nearer"), (0.5, "The root rule is nearer")])
def test_findings_name_the_rule_that_is_nearer_and_where_it_ends(power: float, rule: str) -> None:
    rows, trials = [], []
    rates = {1: 0.01, 4: 0.01 * 4**power, 16: 0.01 * 16**power, 64: 0.01 * 16**power}
    for size, rate in rates.items():
        trial = Trial(size, rate, 0, 100.0, "reached", 0.9, 100)
        rows.append(SizeRow(size, rate, False, (trial,)))
        trials += [trial, Trial(size, rate / 2, 0, None, "cut", 0.8, 131)]
    found = rate_rules.OfOptimizer("sgd", Target("accuracy", 0.9), tuple(rows), tuple(trials))
    said = english(rate_rules._findings([found]))
    assert f"from B = 1 to 16 (16 ×) the best rate grows {16**power:g} ×" in said
    assert rule in said
    assert "from B = 16 to 64 (4 ×) the best rate grows 1 × only" in said
    assert "it takes 1.3 times the updates, or more" in said


# --- what all have in common ------------------------------------------------------------------------------------------


def test_a_result_is_plain_in_json(grown: LessonResult) -> None:
    facts = json.loads(json.dumps(grown.to_dict()))
    assert (facts["lesson"], facts["quick"]) == ("growth", True)
    assert [row["updates"] for row in facts["tables"][0]] == [1602, 1602, 696]
    assert len(facts["tables"][0][0]["test_accuracy"]) == 1
    assert facts["findings"] == [one.texts["en"] for one in grown.findings]


def test_trainings_side_by_side_are_those_one_after_the_other(digits: Dataset) -> None:
    case = Case("small", {"model": "linear", "batch_size": 100, "epochs": 2}, measures_training=True)
    alone, together = (train_cases([case], digits, Work((0, 1), at_once=at_once)) for at_once in (1, 2))
    assert [one.train_loss for one in alone[0]] == [one.train_loss for one in together[0]]
    assert alone[0][0].way == together[0][0].way


def test_a_training_that_diverges_is_a_row_that_did_not_train(digits: Dataset) -> None:
    case = Case("wild", {"model": "mlp", "optimizer": "sgd", "batch_size": 100, "epochs": 2, "lr": 1e30})
    ((one,),) = train_cases([case], digits, ONE)
    assert not one.has_learned
    assert math.isnan(one.test_accuracy)


def test_a_stop_ends_a_lesson(digits: Dataset) -> None:
    for name in lessons():
        with pytest.raises(LessonStopped):
            lesson(name, quick=True, data=digits, should_stop=lambda: True)


def test_a_regression_is_refused() -> None:
    x = np.linspace(0, 1, 40, dtype=np.float32).reshape(20, 2)
    for name in lessons():
        with pytest.raises(DataError, match="is a regression, and lessons count what is classified right"):
            lesson(name, quick=True, data=(x, x[:, 0]))


def test_an_unknown_lesson_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match="unknown lesson 'gab': did you mean 'gap'"):
        lesson("gab")


@pytest.mark.parametrize(
    ("seeds", "read"), [(None, (0, 1, 2)), (2, (0, 1)), ([5, 7], (5, 7)), (range(1, 3), (1, 2)), ("2", (0, 1))]
)
def test_seeds_are_a_number_or_a_list(seeds: object, read: tuple[int, ...]) -> None:
    assert read_seeds(seeds, 3) == read


def test_seeds_that_are_none_are_refused() -> None:
    for seeds in ([], [1, 1]):
        with pytest.raises(OptionError, match="one or more different numbers"):
            read_seeds(seeds, 3)


def test_values_of_seeds_are_written_as_mean_and_deviation() -> None:
    row = {"test_accuracy": (0.95, 0.96), "train_loss": (0.5,), "updates": 8_000, "times": 21.04}
    written = {
        "test_accuracy": column("taught.test_accuracy", "percent").written(row).replace("\N{NO-BREAK SPACE}", " "),
        "train_loss": column("taught.train_loss", "loss").written(row),
        "updates": column("taught.updates", "count").written(row),
        "times": column("taught.times", "times").written(row),
        "rate": column("taught.rate", "rate").written(row),
    }
    assert written == {
        "test_accuracy": "95.50 % ± 0.71", "train_loss": "0.5000", "updates": "8,000", "times": "21×", "rate": "–",
    }  # fmt: skip


# --- the picture ------------------------------------------------------------------------------------------------------


def drawn() -> LessonResult:
    words = say("gap.small")
    curves = (LessonCurve("a $b$ 0.025", (1.0, 2.0), (0.1, 0.2), (0.05, 0.1), (0.2, 0.3)), LessonCurve(words, (), ()))
    panels = (LessonPanel(words, words, "y", curves, "xy"), LessonPanel(words, "x", "y", curves, ticks=("one", "two")))
    table = LessonTable((column("taught.case", "text"),), ({"case": words},))
    return LessonResult("gap", True, words, words, words, (table,), (words,), (), panels)


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_picture_is_drawn_in_the_format_of_its_name(
    ending: str, language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'epochal[pictures]'")
    monkeypatch.setenv("EPOCHAL_LANG", language)
    file = drawn().picture(tmp_path / f"gap.{ending}")
    content = file.read_bytes()
    assert content[:4] == {"svg": b"<?xm", "png": b"\x89PNG", "pdf": b"%PDF"}[ending]
    if ending == "svg":
        assert b"a $b$ 0.025" in content  # paths are rounded, and texts are not
        assert drawn().picture(tmp_path / "again.svg").read_bytes() == content


def test_a_picture_that_cannot_be_drawn_says_why(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'epochal[pictures]'")
    with pytest.raises(OptionError, match=r"its name must end in one of .*svg"):
        drawn().picture(tmp_path / "gap.xyz")
    with pytest.raises(OptionError, match=r"cannot write .*: No such file"):
        drawn().picture(tmp_path / "gone" / "gap.svg")
