"""Whatever stands on the command line, it ends with a status of Epochal's, in words of its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from argument_vectors import STATUSES, Judge, Workplace, draw_vector, standing_still
from readers import FOUND

from epochal.cli.main import COMMANDS

pytestmark = pytest.mark.usefixtures("unchecked")
DRAWN = 300


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """A furnished folder, in which nothing is computed, served, fetched or started."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EPOCHAL_DATA", raising=False)
    with standing_still():
        yield Workplace(tmp_path / "place")


def test_every_command_line_ends_with_a_status(place: Workplace, tmp_path: Path) -> None:
    judge = Judge(tmp_path)
    found = [json.loads(path.read_text()) for path in sorted((FOUND / "command-line").glob("*.json"))]
    vectors = [*found, *(draw_vector(Random(f"test {number}")) for number in range(DRAWN))]
    statuses: Counter[int | None] = Counter()
    for words in vectors:
        status, fault = judge.judge(words)
        assert fault is None, (words, fault)
        statuses[status] += 1
        place.make_fresh()
    assert statuses.keys() <= set(STATUSES)
    assert statuses[0] > DRAWN / 20, "too many are refused at once: they never get beyond the options"


def test_a_broken_rule_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(words: list[str]) -> int:
        raise ValueError(words)

    judge = Judge(tmp_path)
    monkeypatch.setattr("epochal.cli.main", fails)
    assert "ValueError" in str(judge.judge(["plan"])[1])
    monkeypatch.setattr("epochal.cli.main", lambda words: 3)
    assert judge.judge(["plan"]) == (3, "status 3")
    monkeypatch.setattr("epochal.cli.main", lambda words: print("Traceback (most recent call last):") or 2)
    assert "traceback printed" in str(judge.judge(["plan"])[1])


def test_every_command_is_drawn() -> None:
    drawn = {draw_vector(Random(f"test {number}"))[0] for number in range(DRAWN)}
    assert set(COMMANDS) <= drawn
