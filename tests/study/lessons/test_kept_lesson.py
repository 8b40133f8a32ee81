"""A lesson's folder: what is kept is not made again, whatever a killed process left."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from epochal.data import Dataset, load_data
from epochal.errors import RunError
from epochal.study import lesson
from epochal.study.lessons import rate_rules, reshuffling
from epochal.study.lessons.kept_lesson import FILE, KeptLesson
from epochal.study.lessons.lesson_trainings import LessonStopped, Outcome, first_samples

ABOUT = {"lesson": "gap", "quick": True, "seeds": [0], "data": "abc"}
RATES = rate_rules.RatesPlan(300, (16, 64), 16, {"sgd": 0.32, "adam": 0.0064}, ("digits", 0.6), 300)


def test_what_is_kept_is_not_made_again(tmp_path: Path) -> None:
    made = []

    def make() -> Any:
        made.append(1)
        return {"accuracy": 0.5}

    for _ in range(2):
        assert KeptLesson.begin(tmp_path, ABOUT).get("a", make, dict) == {"accuracy": 0.5}
    assert KeptLesson(about=ABOUT).get("a", make, dict) == {"accuracy": 0.5}  # in no folder, nothing is kept
    assert len(made) == 2


def test_an_outcome_is_read_as_it_was_one_that_diverged_included() -> None:
    outcome = Outcome(10, 20, math.nan, 0.5, 0.25, has_learned=False, seconds=1.5, way=((10, 0.5, 0.1), (20, 0.4, 0.2)))
    read = Outcome.from_dict(json.loads(json.dumps(dataclasses.asdict(outcome))))
    assert math.isnan(read.train_loss)
    assert dataclasses.replace(read, train_loss=0.0) == dataclasses.replace(outcome, train_loss=0.0)


def test_seconds_are_those_of_all_processes(tmp_path: Path) -> None:
    for end in (5.0, 12.0):
        kept = KeptLesson.begin(tmp_path, ABOUT)
        now = iter([0.0, end])
        kept.clock = lambda now=now: next(now)  # type: ignore[misc]
        kept.__post_init__()
        kept.keep(f"until {end}", 1)
    assert KeptLesson.read(tmp_path).seconds == pytest.approx(17.0, abs=0.1)


def test_a_file_elsewhere_and_one_of_holes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text('{"format": 1, "about": {}, "done": {}, "seconds": 1}')
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere.json")
    assert not KeptLesson.is_at(tmp_path)
    with pytest.raises(RunError, match="is a symbolic link"):
        KeptLesson.read(tmp_path)
    (tmp_path / FILE).unlink()
    with (tmp_path / FILE).open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(RunError, match=r"cannot read .*lesson\.json: it claims"):
        KeptLesson.read(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 1, "about": {}, "done": 3, "seconds": 1}'])
def test_a_damaged_folder_is_named(content: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no lesson: it has no lesson\.json"):
        KeptLesson.read(tmp_path)
    (tmp_path / FILE).write_text(content)
    with pytest.raises(RunError, match=r"lesson\.json is damaged"):
        KeptLesson.read(tmp_path)


def test_a_folder_of_another_question_or_a_newer_version_is_refused(tmp_path: Path) -> None:
    KeptLesson.begin(tmp_path, ABOUT)
    with pytest.raises(RunError, match="holds a lesson of another quick: True, and not False"):
        KeptLesson.begin(tmp_path, {**ABOUT, "quick": False})
    (tmp_path / FILE).write_text('{"format": 2}')
    with pytest.raises(RunError, match="has format 2"):
        KeptLesson.begin(tmp_path, ABOUT)


def test_a_kept_training_that_somebody_altered_is_named(tmp_path: Path) -> None:
    kept = KeptLesson.begin(tmp_path, ABOUT)
    kept.keep("a", {"updates": "many"})
    with pytest.raises(RunError, match="is damaged: a training that it holds cannot be read"):
        KeptLesson.read(tmp_path).get("a", dict, Outcome.from_dict)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """Some of the embedded digits."""
    return first_samples(load_data("digits"), 300)


def test_a_search_that_was_stopped_goes_on_with_its_trials(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial is kept as soon as it is done; the rest makes the same table as a lesson that nobody stopped."""
    monkeypatch.setattr(rate_rules, "QUICK", RATES)
    given: dict[str, Any] = {"quick": True, "data": digits, "at_once": 1}
    whole = lesson("rates", **given)

    def has_some() -> bool:
        return (tmp_path / "s" / FILE).exists() and (tmp_path / "s" / FILE).read_text().count("updates") >= 2

    with pytest.raises(LessonStopped):
        lesson("rates", run=tmp_path / "s", should_stop=has_some, **given)
    before = KeptLesson.read(tmp_path / "s").done
    assert lesson("rates", run=tmp_path / "s", **given).numbers == whole.numbers
    after = KeptLesson.read(tmp_path / "s").done
    assert 0 < len(before) < len(after)
    assert {key: after[key] for key in before} == before


def test_distances_are_kept_too(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = reshuffling.ReshufflingPlan(rates=(0.006, 0.003), epochs=4, batch_size=None)
    monkeypatch.setattr(reshuffling, "QUICK", plan)
    first = lesson("reshuffling", quick=True, data=digits, run=tmp_path / "s")
    monkeypatch.setattr(reshuffling, "distances", None)  # nothing is computed again
    again = lesson("reshuffling", quick=True, data=digits, run=tmp_path / "s")
    assert again.numbers == first.numbers
    assert again.tables[0].to_list() == first.tables[0].to_list()
