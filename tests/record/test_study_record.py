"""The comparison's table: what was counted, from the runs' own histories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from epochal.record.study_record import Spread, bands
from epochal.study import Study
from small import small_study


def test_counts_are_those_of_the_histories(finished: Study) -> None:
    rows = {row.name: row for row in finished.compared_runs()}
    seven = rows["batch-7"]
    plain = seven.to_dict()
    history = finished.runs["batch-7"].history
    assert (plain["method"], plain["batch_size"], plain["batches_per_epoch"]) == ("mbgd", 7, 9)
    assert plain["iterations"] == plain["updates"] == len(history.losses) == 36
    assert seven.epochs == plain["epochs"] == 4
    assert seven.training_seconds == pytest.approx(sum(row.seconds for row in history.epochs))
    assert seven.train_loss == history.epochs[-1].train_loss
    assert seven.test == history.evaluations[-1]
    assert plain["test_accuracy"] == history.evaluations[-1].accuracy
    assert [row.to_dict()["lr"] for row in rows.values()] == [0.02, 0.1, 0.3]


def test_updates_and_seconds_to_the_target_are_at_the_first_epoch_that_reaches_it(finished: Study) -> None:
    for row in finished.compared_runs():
        epochs = finished.runs[row.name].history.epochs
        reached = [epoch for epoch in epochs if (epoch.test_accuracy or 0) >= 0.8]
        if not reached:
            assert row.reached is None
            assert row.to_dict()["updates_to_target"] is None
            continue
        assert row.reached is not None
        assert row.reached.updates == row.to_dict()["updates_to_target"] == reached[0].end_iteration
        assert row.reached.epochs == reached[0].epoch
        assert row.reached.seconds == pytest.approx(sum(epoch.seconds for epoch in epochs[: reached[0].epoch]))
    assert finished.compared_runs()[0].reached is not None


def test_an_epoch_that_was_cut_short_counts_in_part(tmp_path: Path) -> None:
    (row,) = small_study(tmp_path / "s", epochs=None, iterations=8).compared_runs()
    assert (row.to_dict()["iterations"], row.epochs) == (8, 1 + 20 / 60)


def test_runs_that_have_not_begun_or_are_damaged_are_rows_too(copy_without: Callable[..., Study]) -> None:
    study = copy_without("batch-7")
    (study.path / "batch-1" / "run.toml").write_text("x", encoding="utf-8")
    damaged, missing, other = study.compared_runs()
    assert [damaged.status, missing.status, other.status] == ["damaged", "missing", "finished"]
    assert [row.to_dict()["iterations"] for row in (damaged, missing, other)] == [None, None, 4]
    assert damaged.problem is not None
    assert "is damaged" in damaged.problem


def test_repeated_seeds_make_a_band_from_lowest_to_highest(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s", seeds=[0, 1])
    rows = study.compared_runs()
    (band,) = bands(rows)
    assert (band.group, band.seeds) == ("batch-10", (0, 1))
    losses = [row.test.loss for row in rows if row.test is not None]
    spread = band.test["loss"]
    assert spread.mean == pytest.approx(sum(losses) / 2)
    assert (spread.low, spread.high) == (min(losses), max(losses))
    assert spread.low < spread.high
    assert band.test.keys() == {"loss", "accuracy"}
    assert band.to_dict()["test_loss"] == {"mean": spread.mean, "low": spread.low, "high": spread.high}


def test_a_single_seed_has_no_band(finished: Study) -> None:
    assert bands(finished.compared_runs()) == ()
    assert Spread.of([None, None]) is None
    assert Spread.of([None, 2.0]) == Spread(2.0, 2.0, 2.0)


def test_the_description_is_plain_values(finished: Study) -> None:
    import json

    described = json.loads(json.dumps(finished.to_dict()))
    assert described["finished"] is True
    assert [run["name"] for run in described["runs"]] == ["batch-1", "batch-7", "batch-all"]
    assert described["compare"]["target_accuracy"] == 0.8
