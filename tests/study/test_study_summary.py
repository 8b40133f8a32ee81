"""The comparison's table: what was counted, from the runs' own histories."""

from __future__ import annotations

from pathlib import Path

import pytest
from small import Log, small_study

from epochal.run.events import Progressed
from epochal.study import Study
from epochal.study.summary import Spread, bands, compared_runs, describe_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return small_study(tmp_path_factory.mktemp("studies") / "s", epochs=6, lrs=[0.02, 0.1, 0.3], target_accuracy=0.9)


def test_counts_are_those_of_the_histories(study: Study) -> None:
    rows = {row.name: row for row in compared_runs(study)}
    seven = rows["batch-7"]
    history = study.runs["batch-7"].history
    assert (seven.method, seven.batch_size, seven.batches_per_epoch) == ("mbgd", 7, 9)
    assert seven.iterations == seven.updates == len(history.losses) == 54
    assert seven.epochs == 6
    assert seven.training_seconds == pytest.approx(sum(row.seconds for row in history.epochs))
    assert seven.train_loss == history.epochs[-1].train_loss
    assert seven.test_accuracy == history.evaluations[-1].accuracy
    assert [row.lr for row in rows.values()] == [0.02, 0.1, 0.3]


def test_updates_and_seconds_to_the_target_are_at_the_first_epoch_that_reaches_it(study: Study) -> None:
    for row in compared_runs(study):
        epochs = study.runs[row.name].history.epochs
        reached = [epoch for epoch in epochs if (epoch.test_accuracy or 0) >= 0.9]
        if not reached:
            assert (row.updates_to_target, row.epochs_to_target, row.seconds_to_target) == (None, None, None)
            continue
        assert row.updates_to_target == reached[0].end_iteration
        assert row.epochs_to_target == reached[0].epoch
        assert row.seconds_to_target == pytest.approx(sum(epoch.seconds for epoch in epochs[: reached[0].epoch]))
    assert compared_runs(study)[0].updates_to_target is not None


def test_an_epoch_that_was_cut_short_counts_in_part(tmp_path: Path) -> None:
    (row,) = compared_runs(small_study(tmp_path / "s", batch_sizes=[7], epochs=None, iterations=12))
    assert (row.iterations, row.epochs) == (12, 1 + 21 / 60)


def test_runs_that_have_not_begun_or_are_damaged_are_rows_too(tmp_path: Path) -> None:
    log = Log(stop_when=lambda name, event: name == "batch-7" and isinstance(event, Progressed))
    study = small_study(tmp_path / "s", watcher=log, should_stop=log.is_stopped)
    assert [row.status for row in compared_runs(study)] == ["finished", "stopped", "missing"]
    (study.path / "batch-1" / "run.toml").write_text("x", encoding="utf-8")
    damaged = compared_runs(study)[0]
    assert (damaged.status, damaged.iterations) == ("damaged", None)
    assert damaged.problem is not None
    assert "is damaged" in damaged.problem


def test_repeated_seeds_make_a_band_from_lowest_to_highest(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s", batch_sizes=[7, "all"], seeds=[0, 1, 2], epochs=2)
    rows = compared_runs(study)
    seven, whole = bands(rows)
    assert (seven.group, whole.group) == ("batch-7", "batch-all")
    assert seven.seeds == (0, 1, 2)
    losses = [row.test_loss for row in rows if row.group == "batch-7" and row.test_loss is not None]
    assert seven.test_loss is not None
    assert seven.test_loss.mean == pytest.approx(sum(losses) / 3)
    assert (seven.test_loss.low, seven.test_loss.high) == (min(losses), max(losses))
    assert seven.test_loss.low < seven.test_loss.high


def test_a_single_seed_has_no_band(study: Study) -> None:
    assert bands(compared_runs(study)) == ()
    assert Spread.of([None, None]) is None
    assert Spread.of([None, 2.0]) == Spread(2.0, 2.0, 2.0)


def test_the_description_is_plain_values(study: Study) -> None:
    import json

    described = json.loads(json.dumps(describe_study(study)))
    assert described["finished"] is True
    assert [run["name"] for run in described["runs"]] == ["batch-1", "batch-7", "batch-all"]
    assert described["compare"]["target_accuracy"] == 0.9
    assert described["landscapes"] == {}
