"""How large a landscape may be that takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from epochal.landscape.compute import LandscapeOptions, count_losses
from epochal.study import Study, landscape_of, landscape_size
from epochal.study.landscape_size import WantedLandscape, has_current, quick_size
from epochal.study.runner import Parts
from small import small_study, three_clouds


@pytest.fixture
def measured(finished: Study, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A study as if it had 60,000 samples, its model a million weights, and one sample had taken so many seconds."""

    def measure(seconds: float, weights: int = 10**6) -> Study:
        data = type(finished.data)(**{**_fields(finished.data), "train": 60_000})
        study = Study(finished.path, finished.config, data)
        monkeypatch.setattr(landscape_size, "_seconds_a_sample", lambda rows: seconds)
        monkeypatch.setattr(landscape_size, "_weights", lambda rows: weights)
        return study

    return measure


def _fields(data: Any) -> dict[str, Any]:
    return {name: getattr(data, name) for name in data.__dataclass_fields__}


@pytest.mark.parametrize(
    ("seconds", "grid", "samples"),
    [
        (1e-9, 41, 10_000),
        (6e-7, 41, 5_000),
        (1.5e-6, 41, 2_000),
        (3e-6, 41, 1_000),
        (8e-6, 25, 1_000),
        (1.5e-5, 25, 500),
        (4e-5, 25, 200),
        (1.0, 17, 200),
    ],
)
def test_the_slower_a_sample_the_smaller_it_is(seconds: float, grid: int, samples: int, measured: Any) -> None:
    size = quick_size(measured(seconds), WantedLandscape())
    assert size.options == LandscapeOptions(grid=grid, samples=samples)
    if (grid, samples) != (17, 200):
        assert size.seconds <= 5
        assert size.seconds <= size.seconds_in_full


def test_what_is_given_of_it_remains(measured: Any) -> None:
    assert quick_size(measured(1.0), WantedLandscape(grid=50)).options == LandscapeOptions(grid=50, samples=200)
    assert quick_size(measured(1.0), WantedLandscape(samples=77)).options == LandscapeOptions(grid=17, samples=77)
    assert quick_size(measured(1.0), WantedLandscape(grid=5, samples=7)).options.grid == 5


def test_a_small_model_is_never_too_slow(measured: Any) -> None:
    """Its runs are so short that their speed says nothing."""
    assert quick_size(measured(1.0, weights=100), WantedLandscape()).options == LandscapeOptions()


def test_memory_is_that_of_all_points_twice(measured: Any, finished: Study) -> None:
    points = sum(len(run.snapshots) for run in finished.runs.values())
    assert quick_size(measured(1.0), WantedLandscape()).memory == 2 * 4 * 10**6 * points


def test_the_speed_is_that_of_the_fastest_run(finished: Study) -> None:
    rows = list(finished.compared_runs())
    each = [(row.training_seconds or 0) / (60 * 4) for row in rows]
    assert landscape_size._seconds_a_sample(rows) == pytest.approx(min(each))


def test_losses_are_counted_as_they_are_computed(finished: Study) -> None:
    told: list[tuple[int, int]] = []
    landscape_of(finished, LandscapeOptions(grid=3), parts=Parts(three_clouds(), True),
                 progress=lambda done, of: told.append((done, of)))  # fmt: skip
    points = [len(run.snapshots) for run in finished.runs.values()]
    assert told[-1] == (count_losses(points, 3), count_losses(points, 3))
    (finished.path / "landscape.json").unlink()


def test_it_is_current_as_long_as_the_runs_stand_where_they_stood(tmp_path: Path) -> None:
    parts, wanted = Parts(three_clouds(), True), WantedLandscape()
    study = small_study(tmp_path / "s", epochs=2)
    assert not has_current(study, wanted)
    landscape_of(study, LandscapeOptions(grid=3, samples=20), parts=parts)

    assert has_current(study, wanted)
    assert has_current(study, WantedLandscape(grid=3, samples=20))
    assert not has_current(study, WantedLandscape(grid=4))
    assert not has_current(study, WantedLandscape(samples=21))
    assert not has_current(study, WantedLandscape(kind="random"))

    file = study.path / "landscape.json"
    file.write_text(file.read_text().replace('"batch-10"', '"another"'))
    assert not has_current(study, wanted), "a run that is not in it"
