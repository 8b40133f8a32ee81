"""The default rates are near the best ones where that was measured, and the documentation says how near."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmark is not part of the package")


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "bench"))
    yield importlib.import_module("default_rates")
    sys.path.remove(str(ROOT / "bench"))


@pytest.fixture(scope="module")
def kept(bench: ModuleType) -> dict[str, Any]:
    return json.loads(bench.RESULTS.read_text())


TABLES = (
    *("breast cancer", "diabetes", "friedman1", "friedman2", "wine"),
    *("classification", "regression", "iris", "moons", "sine"),
)
FALLS_SHORT = {
    "digits mlp sgd all",
    "digits linear sgd 8",
    "classification linear sgd 1",
    "classification linear sgd 8",
    "classification linear momentum 1",
    "classification linear momentum 8",
    "classification linear adam 8",
    "iris linear adam 1",
    "moons linear momentum 1",
    "sine linear momentum 1",
    "sine linear adam 1",
}
"""Cells beyond 4 times. The page says why, and the table on it how far: 4.02 times in the first."""


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_nothing_diverges_and_the_default_rates_are_near_the_best(
    bench: ModuleType, kept: dict[str, Any], optimizer: str
) -> None:
    cells = bench.ratios(kept)[optimizer]
    times = [times for _, times in cells]
    assert len(times) >= 90
    assert not any(math.isnan(one) for one in times), "one diverged"
    assert statistics.median(times) <= 2
    assert {name for name, one in cells if not one <= 4} == {one for one in FALLS_SHORT if f" {optimizer} " in one}


@pytest.mark.parametrize("model", ["linear", "mlp"])
@pytest.mark.parametrize("data", ["digits", "mnist", *TABLES])
def test_every_batch_size_is_measured(bench: ModuleType, kept: dict[str, Any], model: str, data: str) -> None:
    sizes = (1, 8, 64, 512) if data == "mnist" else (1, 8, 64, "all")
    for optimizer in ("sgd", "momentum", "adam"):
        for size in sizes:
            assert f"{data} {model} {optimizer} {size}" in kept["cells"]


def test_the_measurements_are_of_the_present_rule(bench: ModuleType, kept: dict[str, Any]) -> None:
    measured = sum(len(cells) for cells in bench.ratios(kept).values())
    assert measured == len(kept["cells"]), "the rule changed: run python bench/default_rates.py"


@pytest.mark.parametrize("page", ["default-rates.md", "default-rates.zh-CN.md"])
def test_the_documentation_shows_the_table_that_the_command_prints(
    bench: ModuleType, kept: dict[str, Any], page: str
) -> None:
    assert bench.table(kept) in (ROOT / "docs" / page).read_text(encoding="utf-8")


def test_a_target_that_is_reached_before_the_first_evaluation_counts_as_one_reached_there(bench: ModuleType) -> None:
    def cell(rate: float, steps: float | None) -> dict[str, Any]:
        return {"rate": rate, "steps": steps, "why": "reached" if steps else "cut"}

    facts = {
        "model": "mlp",
        "optimizer": "sgd",
        "batch_size": 64,
        "squared_length": 9.0,
        "is_table": True,
        "outputs": 1,
    }
    default = bench.default_rate(facts)
    for steps, times in ((1.0, 1), (8.0, 1), (24.0, 3), (None, math.inf)):
        kept = {"cells": {"one": {**facts, "trials": [cell(default, steps), cell(2 * default, 2.0)]}}}
        assert bench.ratios(kept) == {"sgd": [("one", times)]}


def test_a_search_finds_a_laws_best_rate_and_gives_up_beyond_it(bench: ModuleType) -> None:
    """On a law where twice the best rate diverges and half of it takes twice as long."""

    def law(rate: float, most: int) -> dict[str, Any]:
        steps = 100 * 0.4 / rate
        if rate > 0.5:
            return {"rate": rate, "steps": None, "why": "diverged"}
        return {"rate": rate, "steps": steps if steps <= most else None, "why": "reached" if steps <= most else "cut"}

    cell = bench.Cell(law, limit=10_000)
    cell.search(0.1)
    assert cell.best == {"rate": 0.4, "steps": 100, "why": "reached"}
    assert {rate: one["why"] for rate, one in cell.trials.items()} == {
        0.05: "cut", 0.1: "reached", 0.2: "reached", 0.4: "reached", 0.8: "diverged"
    }  # fmt: skip


def test_one_seed_that_fails_fails_the_rate(bench: ModuleType) -> None:
    from epochal.study.target import Trial

    good = Trial(8, 0.1, 0, 100.0, "reached", 0.1, 100)
    slow = dataclasses.replace(good, seed=1, steps=400.0)
    bad = dataclasses.replace(good, seed=2, steps=None, why="diverged")
    assert bench.of_seeds([good, slow]) == {"rate": 0.1, "steps": 200.0, "why": "reached"}
    assert bench.of_seeds([good, bad]) == {"rate": 0.1, "steps": None, "why": "diverged"}
