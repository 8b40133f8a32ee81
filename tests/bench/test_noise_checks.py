"""The benchmark of the noise scale: its checks pass where they should, and a wrong order fails them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from epochal import load_data

BENCH = Path(__file__).resolve().parents[2] / "bench"
pytestmark = pytest.mark.skipif(not (BENCH / "noise.py").exists(), reason="the benchmark is not part of the package")


@pytest.fixture(scope="module")
def checks() -> Iterator[Any]:
    sys.path.insert(0, str(BENCH))
    import noise

    yield noise
    sys.path.remove(str(BENCH))


@pytest.mark.parametrize("replaced", [False, True])
def test_batches_are_drawn_without_replacement_and_others_are_seen(
    checks: Any, replaced: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = checks.Verdict()
    checks.order(verdict, load_data("digits"), 0, model="linear", replaced=replaced)
    lines = capsys.readouterr().out.splitlines()
    assert verdict.holds != replaced
    wrong = ["ok ", "NOT", "NOT"] if replaced else ["ok "] * 3  # few of many are nearly independent either way
    assert [line[:3] for line in lines] == wrong
    half = float(lines[1].split(": ")[1].split()[0])
    assert half == pytest.approx(2 if replaced else 1, abs=0.2), "half of the samples: twice the variance"
