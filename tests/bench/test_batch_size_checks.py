"""The command that checks batch sizes: what holds, what does not, and that the documents show what was seen."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
pytestmark = pytest.mark.skipif(
    not (BENCH / "batch_size.py").exists(), reason="the benchmark is not part of the package"
)


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    sys.path.insert(0, str(BENCH))
    import batch_size

    yield batch_size
    sys.path.remove(str(BENCH))


def seen(value: float, low: float = 1.0, high: float = 2.0) -> dict[str, Any]:
    return {"name": "x", "value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("value", "does"), [(1.0, True), (2.0, True), (0.99, False), (2.01, False), (math.nan, False), (math.inf, False)]
)
def test_a_number_outside_its_range_and_one_that_is_none_do_not_hold(bench: Any, value: float, does: bool) -> None:
    assert bench.holds(seen(value)) is does


def test_the_table_says_what_does_not_hold_and_what_was_not_checked(bench: Any) -> None:
    rows = bench.table({"1": [seen(1.5), seen(1_234.5)], "3": [seen(1.5)]}, "en").splitlines()[2:]
    assert [row.split(" | ")[-1] for row in rows[:3]] == ["**no** |", "– |", "yes |"]
    assert "x = 1.5 (1 to 2)<br>**x = 1,234 (1 to 2)**" in rows[0]
    assert len(rows) == 15


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_documents_show_what_was_seen(bench: Any, language: str) -> None:
    kept = json.loads((BENCH / "batch_size.json").read_text("utf-8"))
    page = (ROOT / "docs" / bench.PAGES[language]).read_text("utf-8")
    assert bench.table(kept, language) in page


def test_each_check_has_a_number_a_title_and_something_that_makes_it(bench: Any) -> None:
    assert [one.number for one in bench.CHECKS] == list(range(1, 16))
    assert all(callable(one.make) and set(one.titles) == {"en", "zh"} for one in bench.CHECKS)
