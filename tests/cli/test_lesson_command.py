"""`epochal lesson`: the list, a lesson as text and as JSON in both languages, and what is refused before it trains."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from epochal.cli import main
from epochal.cli.lesson import NAMES
from epochal.study.lessons import batch_growth, lesson_trainings
from epochal.study.lessons.teaching import lessons

SMALL = batch_growth.GrowthPlan(batch_size=50, rate=0.2, epochs=1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lesson of a moment."""
    monkeypatch.setattr(batch_growth, "QUICK", SMALL)


def printed(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(["lesson", *words]) == status
    captured = capsys.readouterr()
    assert (captured.err == "") == (status == 0)
    return captured.out + captured.err


def test_without_a_name_it_lists_all_with_their_times(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(lessons()) == NAMES
    out = printed(capsys)
    for one in lessons().values():
        assert one.name in out
    assert "epochal lesson reshuffling --quick" in out
    assert [one["name"] for one in json.loads(printed(capsys, "--json"))] == list(NAMES)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("language", "see"), [("en", "What to see"), ("zh", "能看到什么")])
def test_a_lesson_prints_its_table_what_to_see_and_what_to_try(
    language: str, see: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(capsys, "growth", "--quick", "--seeds", "1", "--lang", language)
    assert see in out
    assert "epochal train digits --batch-size 50,200@1ep --epochs 2" in out
    assert "epochal lesson growth --quick --seeds 1 --run runs/lesson-growth-1 --picture growth.svg" in out


@pytest.mark.usefixtures("small")
def test_json_is_the_result_and_nothing_else(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'epochal[pictures]'")
    picture = tmp_path / "growth.png"
    found = json.loads(printed(capsys, "growth", "--quick", "--seeds", "1", "--json", "--picture", str(picture)))
    assert found["lesson"] == "growth"
    assert [row["updates"] for row in found["tables"][0]] == [84, 84, 28 + 7 + 1]
    assert picture.stat().st_size > 1_000


@pytest.mark.usefixtures("small")
def test_a_lesson_that_was_stopped_goes_on_and_a_finished_one_is_shown_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    train = lesson_trainings.train_in_memory

    def counted(setup: Any, callbacks: Any) -> Any:
        made.append(str(setup.config.batch_size))
        if len(made) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return train(setup, callbacks)

    monkeypatch.setattr(lesson_trainings, "train_in_memory", counted)
    words = ["growth", "--quick", "--seeds", "1", "--at-once", "1", "--run", "stopped"]
    out = printed(capsys, *words, status=130)
    assert "stopped, and saved; go on with:" in out
    assert "  epochal lesson growth --quick --seeds 1 --run stopped" in out

    table = json.loads(printed(capsys, *words, "--json"))["tables"]
    assert len(made) == 2 + 2  # the first is kept, the second is made again
    assert json.loads(printed(capsys, *words, "--json"))["tables"] == table
    assert len(made) == 4
    assert json.loads(printed(capsys, *words[:-2], "--json"))["tables"] == table  # in a folder of its own
    assert "holds a lesson of another seeds: [0], and not [0, 1]" in printed(
        capsys, "growth", "--quick", "--seeds", "2", "--run", "stopped", status=2
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gab"], "unknown lesson 'gab': did you mean 'gap'"),
        (["--quick"], "--quick is of one lesson; name it: epochal lesson ladder"),
        (["gap", "--picture", "gap"], "ends in its format, such as gap.svg or gap.png"),
        (["gap", "--picture", "nowhere/gap.svg"], "there is no folder nowhere"),
        (["--run", "a"], "--run is of one lesson; name it: epochal lesson ladder"),
        (["gap", "--seeds", "0"], "--seeds must be at least 1"),
        (["gap", "growth"], "there is no place for 'growth'"),
    ],
)
def test_what_cannot_be_given_is_refused_in_a_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(capsys, *words, status=2)
    assert said in out
    assert out.count("\n") == 1


def test_a_missing_library_is_named_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    out = printed(capsys, "gap", "--picture", "gap.svg", status=2)
    assert "pip install 'epochal[pictures]'" in out
