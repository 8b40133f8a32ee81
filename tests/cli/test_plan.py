"""`epochal plan`: the arithmetic as a teacher would explain it, and the same as JSON."""

from __future__ import annotations

import json
import re

import pytest
from terminal import succeed

from epochal.cli import main
from epochal.clock import Plan
from epochal.words.layout import cells


def rows_of(out: str) -> dict[str, tuple[str, str]]:
    """The table's rows: what, how, count."""
    cells = (re.split(r"\s{2,}", line.strip()) for line in out.splitlines() if line.startswith(" "))
    rows = {row[0]: (row[1] if len(row) == 3 else "", row[-1]) for row in cells if len(row) in (2, 3)}
    return {what: row for what, row in rows.items() if what != "how"}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["plan", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_the_worked_example_is_explained() -> None:
    out = succeed("plan", "--samples", "60000", "--batch-size", "100", "--iterations", "30000").out
    assert out.startswith("Mini-batch gradient descent (MBGD)")
    assert rows_of(out) == {
        "training samples N": ("given", "60,000"),
        "batch size B": ("samples per update", "100"),
        "batches per epoch": ("N / B = 60,000 / 100", "600"),
        "iterations per epoch": ("one for each batch", "600"),
        "updates per epoch": ("one for each iteration", "600"),
        "samples per epoch": ("each once", "60,000"),
        "iterations": ("the budget", "30,000"),
        "full epochs": ("30,000 / 600", "50"),
        "weight updates": ("one for each iteration", "30,000"),
        "updates after 10 epochs": ("10 × 600", "6,000"),
        "samples used": ("counting repeats", "3,000,000"),
    }
    assert "Each epoch is a full pass: 600 batches, each for one update of the weights." in out


def test_json_has_every_fact() -> None:
    out = succeed("plan", "--samples", "60000", "--batch-size", "100", "--iterations", "30000", "--json").out
    assert json.loads(out) == Plan(60_000, 100, iterations=30_000).facts()


@pytest.mark.parametrize(
    ("arguments", "title", "expected"),
    [
        (
            ["--samples", "60000", "--batch-size", "all"],
            "Batch gradient descent (BGD)",
            {"batches per epoch": ("N / B = 60,000 / 60,000", "1")},
        ),
        (
            ["--samples", "60000", "--batch-size", "1"],
            "Stochastic gradient descent (SGD)",
            {"batches per epoch": ("N / B = 60,000 / 1", "60,000")},
        ),
        (
            ["--samples", "1437"],
            "Mini-batch gradient descent (MBGD)",
            {
                "batches per epoch": ("⌈N / B⌉ = ⌈1,437 / 100⌉", "15"),
                "samples in the last batch": ("1,437 − 14 × 100", "37"),
            },
        ),
        (
            ["--samples", "1437", "--last", "drop"],
            "Mini-batch gradient descent (MBGD)",
            {
                "batches per epoch": ("⌊N / B⌋ = ⌊1,437 / 100⌋", "14"),
                "samples left out": ("N mod B; others in each epoch", "37"),
                "samples per epoch": ("each once", "1,400"),
            },
        ),
        (
            ["--samples", "1437", "--iterations", "100"],
            "Mini-batch gradient descent (MBGD)",
            {"full epochs": ("⌊100 / 15⌋", "6"), "iterations beyond them": ("100 − 6 × 15", "10")},
        ),
        (
            ["--samples", "1437", "--budget", "10000sa"],
            "Mini-batch gradient descent (MBGD)",
            {
                "iterations": ("whole batches in 10,000 samples", "103"),
                "samples used": ("counting repeats", "9,922"),
            },
        ),
        (
            ["--samples", "1437", "--epochs", "20"],
            "Mini-batch gradient descent (MBGD)",
            {
                "full epochs": ("the budget", "20"),
                "iterations": ("20 × 15", "300"),
                "updates after 10 epochs": ("10 × 15", "150"),
            },
        ),
    ],
)
def test_each_number_shows_how_it_comes_about(
    arguments: list[str], title: str, expected: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(capsys, *arguments)
    assert out.startswith(title)
    assert rows_of(out).items() >= expected.items()
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 80


def test_formulas_in_the_table_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    """The text of each product, quotient and difference is computed anew and compared with its count."""
    words = {"⌈": "-(-(", "⌉": "))", "⌊": "((", "⌋": "))", "×": "*", "−": "-", ",": ""}
    checked = 0
    for arguments in (["--batch-size", "100"], ["--last", "drop"], ["--iterations", "1000"], ["--batch-size", "all"]):
        for how, count in rows_of(printed(capsys, "--samples", "1437", *arguments)).values():
            formula = how.split("=")[-1].strip()
            if re.fullmatch(r"[⌈⌉⌊⌋×/ \d,−]+", formula):
                ceiling = "⌈" in formula
                for sign, python in words.items():
                    formula = formula.replace(sign, python)
                formula = formula.replace("/", ") // (" if ceiling else "//")
                assert eval(formula) == int(count.replace(",", "")), how
                checked += 1
    assert checked > 10


def test_without_a_batch_size_it_is_the_one_that_training_would_use(capsys: pytest.CaptureFixture[str]) -> None:
    for samples, batch_size in (("60000", 100), ("100", 100), ("99", 99), ("1", 1)):
        assert json.loads(printed(capsys, "--samples", samples, "--json"))["batch_size"] == batch_size


@pytest.mark.parametrize("samples", ["9007199254740993", "9_007_199_254_740_993", str(2**100)])
def test_numbers_of_any_size_are_exact(samples: str, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(printed(capsys, "--samples", samples, "--batch-size", "1", "--epochs", "3", "--json"))
    assert facts["samples"] == int(samples)
    assert facts["updates"] == 3 * int(samples)


def test_the_largest_numbers_that_are_read_are_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "--samples", "9" * 1000, "--batch-size", "1", "--epochs", "9" * 1000)
    printed(capsys, "--samples", "9" * 1000, "--batch-size", "1", "--epochs", "9" * 1000, "--json")


@pytest.mark.parametrize(("name", "samples"), [("mnist", 60_000), ("digits", 1_437), ("digits-60k", 60_000)])
def test_named_data_sets_bring_their_size_without_being_loaded(
    name: str, samples: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(printed(capsys, "--data", name, "--json"))["samples"] == samples


def test_a_plan_in_chinese_has_no_english_left(capsys: pytest.CaptureFixture[str]) -> None:
    cases = (
        ["--samples", "1437", "--epochs", "20"],
        ["--samples", "1437", "--last", "drop", "-i", "100"],
        ["--samples", "60000", "-b", "1"],
        ["--samples", "60000", "-b", "all", "--budget", "9s"],
        ["--samples", "1437", "--budget", "10000sa"],
    )
    for arguments in cases:
        out = printed(capsys, *arguments, "--lang", "zh")
        assert re.findall("[A-Za-z]{2,}", re.sub("（(BGD|SGD|MBGD)）|N mod B", "", out)) == []
        lines = [line.rstrip() for line in out.splitlines()]
        rule = next(line for line in lines if "──" in line)
        ends = {cells(line) for line in lines[2 : lines.index("", 3)] if line != rule}
        assert ends == {cells(rule)}, "counts end in one column"
    assert "小批量梯度下降（MBGD）" in printed(capsys, "--samples", "1437", "--lang", "zh")


def test_json_is_the_same_in_every_language(capsys: pytest.CaptureFixture[str]) -> None:
    english = printed(capsys, "--samples", "60000", "--json")
    assert printed(capsys, "--samples", "60000", "--json", "--lang", "zh") == english
