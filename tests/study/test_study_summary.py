"""The comparison's table: what was counted, from the runs' own histories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from epochal.study.summary import Spread, bands, compared_runs, describe_study

from epochal.study import Study
from small import small_study


def test_counts_are_those_of_the_histories(finished: Study) -> None:
    rows = {row.name: row for row in compared_runs(finished)}
    seven = rows["batch-7"]
    history = finished.runs["batch-7"].history
    assert (seven.method, seven.batch_size, seven.batches_per_epoch) == ("mbgd", 7, 9)
    assert seven.iterations == seven.updates == len(history.losses) == 36
    assert seven.epochs == 4
    assert seven.training_seconds == pytest.approx(sum(row.seconds for row in history.epochs))
    assert seven.train_loss == history.epochs[-1].train_loss
    assert seven.test_accuracy == history.evaluations[-1].accuracy
    assert [row.lr for row in rows.values()] == [0.02, 0.1, 0.3]


def test_updates_and_seconds_to_the_target_are_at_the_first_epoch_that_reaches_it(finished: Study) -> None:
    for row in compared_runs(finished):
        epochs = finished.runs[row.name].history.epochs
        reached = [epoch for epoch in epochs if (epoch.test_accuracy or 0) >= 0.8]
        if not reached:
            assert (row.updates_to_target, row.epochs_to_target, row.seconds_to_target) == (None, None, None)
            continue
        assert row.updates_to_target == reached[0].end_iteration
        assert row.epochs_to_target == reached[0].epoch
        assert row.seconds_to_target == pytest.approx(sum(epoch.seconds for epoch in epochs[: reached[0].epoch]))
    assert compared_runs(finished)[0].updates_to_target is not None


def test_an_epoch_that_was_cut_short_counts_in_part(tmp_path: Path) -> None:
    (row,) = compared_runs(small_study(tmp_path / "s", epochs=None, iterations=8))
    assert (row.iterations, row.epochs) == (8, 1 + 20 / 60)


def test_runs_that_have_not_begun_or_are_damaged_are_rows_too(copy_without: Callable[..., Study]) -> None:
    study = copy_without("batch-7")
    (study.path / "batch-1" / "run.toml").write_text("x", encoding="utf-8")
    damaged, missing, other = compared_runs(study)
    assert [damaged.status, missing.status, other.status] == ["damaged", "missing", "finished"]
    assert (damaged.iterations, missing.iterations, other.iterations) == (None, None, 4)
    assert damaged.problem is not None
    assert "is damaged" in damaged.problem


def test_repeated_seeds_make_a_band_from_lowest_to_highest(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s", seeds=[0, 1])
    rows = compared_runs(study)
    (band,) = bands(rows)
    assert (band.group, band.seeds) == ("batch-10", (0, 1))
    losses = [row.test_loss for row in rows if row.test_loss is not None]
    assert band.test_loss is not None
    assert band.test_loss.mean == pytest.approx(sum(losses) / 2)
    assert (band.test_loss.low, band.test_loss.high) == (min(losses), max(losses))
    assert band.test_loss.low < band.test_loss.high


def test_a_single_seed_has_no_band(finished: Study) -> None:
    assert bands(compared_runs(finished)) == ()
    assert Spread.of([None, None]) is None
    assert Spread.of([None, 2.0]) == Spread(2.0, 2.0, 2.0)


def test_the_description_is_plain_values(finished: Study) -> None:
    import json

    described = json.loads(json.dumps(describe_study(finished)))
    assert described["finished"] is True
    assert [run["name"] for run in described["runs"]] == ["batch-1", "batch-7", "batch-all"]
    assert described["compare"]["target_accuracy"] == 0.8
