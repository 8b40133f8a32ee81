from __future__ import annotations

import base64
import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import made_epochs, made_file, made_run

from epochal.clock import Plan, Position, Span
from epochal.config.train_config import TrainConfig
from epochal.record.history import Increment
from epochal.record.rows import EvaluationRow, SessionRow
from epochal.record.run_toml import Change
from epochal.report import series, updates
from epochal.report.series import EpochTotals


def decode(text: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(text), "<f4")


class TestLosses:
    def test_every_loss_is_on_the_page_bit_for_bit(self) -> None:
        losses = np.random.default_rng(0).normal(size=1000).astype(np.float32)
        assert decode(series.pack_losses(losses, 1)["mean"]).tobytes() == losses.tobytes()

    @given(st.integers(1, 200), st.sampled_from([2, 4, 8, 64]))
    def test_a_bucket_keeps_its_lowest_mean_and_highest(self, iterations: int, bucket: int) -> None:
        losses = np.random.default_rng(iterations).normal(size=iterations).astype(np.float32)
        packed = series.pack_losses(losses, bucket)
        parts = [losses[start : start + bucket] for start in range(0, iterations, bucket)]
        np.testing.assert_array_equal(decode(packed["low"]), [part.min() for part in parts])
        np.testing.assert_array_equal(decode(packed["high"]), [part.max() for part in parts])
        np.testing.assert_allclose(decode(packed["mean"]), [part.mean() for part in parts], rtol=1e-5, atol=1e-6)

    def test_a_loss_that_is_no_number_hides_no_peak_beside_it(self) -> None:
        losses = np.array([1, np.nan, 9, np.inf, np.nan, np.nan], np.float32)
        packed = series.pack_losses(losses, 2)
        np.testing.assert_array_equal(decode(packed["low"]), [1, 9, np.nan])
        np.testing.assert_array_equal(decode(packed["high"]), [1, 9, np.nan])
        assert np.isnan(decode(packed["mean"])).all()

    def test_no_losses_are_no_values(self) -> None:
        empty = np.zeros(0, np.float32)
        assert series.pack_losses(empty, 1) == {"bucket": 1, "mean": ""}
        assert series.pack_losses(empty, 4) == {"bucket": 4, "low": "", "mean": "", "high": ""}


class TestRoom:
    @given(st.lists(st.integers(0, 10**7), min_size=1, max_size=12), st.integers(10, 10**6))
    def test_shares_stay_within_the_page(self, wanted: list[int], limit: int) -> None:
        given_shares = series.shares(wanted, limit)
        assert sum(given_shares) <= limit
        assert all(share <= want for share, want in zip(given_shares, wanted, strict=True))
        if sum(wanted) <= limit:
            assert given_shares == wanted

    @given(st.integers(1, 10**9), st.integers(3, 10**6))
    def test_buckets_stay_within_their_share(self, iterations: int, share: int) -> None:
        bucket = series.bucket_for(iterations, share)
        assert bucket == 1 or 3 * -(-iterations // bucket) <= share + 3
        assert bucket & (bucket - 1) == 0

    def test_a_page_of_millions_of_iterations_stays_under_six_megabytes(self) -> None:
        run = made_run(samples=10**6, batch_size=1, iterations=3_000_000, losses=np.ones(3_000_000, np.float32))
        buckets = series.buckets([run, run, run])
        packed = [series.pack_losses(run.record.history.losses, bucket) for bucket in buckets]
        assert sum(len(str(one)) for one in packed) < 5_000_000

    def test_a_growing_run_gets_room_for_its_plan(self) -> None:
        run = made_run(samples=1000, batch_size=1, iterations=10**7, done=10)
        (bucket,) = series.buckets([run], growing=True)
        assert bucket == 1, "a page that is reloaded when it is full need not be coarse from the start"
        assert not series.outgrows(900_000, bucket, 1)
        assert series.outgrows(2_000_000, bucket, 1)


class TestTime:
    def table(self, plan: Plan, done: int) -> dict[str, list[Any]]:
        config = TrainConfig(data="digits", batch_size=plan.batch_size, budget=str(plan.budget), last=plan.last)
        return series.time_table(made_file(config, plan.samples), done, made_epochs(plan, done), 0.0)

    @settings(max_examples=40)
    @given(st.integers(1, 50), st.data(), st.sampled_from(["keep", "drop"]))
    def test_the_script_can_tell_every_iterations_samples(self, samples: int, data: st.DataObject, last: str) -> None:
        """What the script computes between two rows, here in Python, agrees with the plan at every iteration."""
        batch_size = data.draw(st.integers(1, samples))
        plan = Plan(samples, batch_size, iterations=40, last=last)
        table = self.table(plan, 40)
        for iteration in range(41):
            row = max(place for place, first in enumerate(table["iteration"]) if first <= iteration)
            gained = (table["samples"] + [10**9])[row + 1] - table["samples"][row]
            used = min((iteration - table["iteration"][row]) * table["batch"][row], gained)
            assert table["samples"][row] + used == plan.samples_after(iterations=iteration)

    def test_epochs_and_seconds_at_the_ends_of_epochs(self) -> None:
        table = self.table(Plan(1000, 100, iterations=25), 25)
        assert table["iteration"] == [0, 10, 20, 25]
        assert table["epoch"] == [0, 1, 2, 2.5]
        assert table["seconds"][:3] == [0, 0.5, 1.0]

    def test_a_change_of_the_batch_size_begins_a_row(self) -> None:
        config = TrainConfig(data="digits", batch_size=100, budget="30it")
        file = made_file(config, 1000)
        file = dataclasses.replace(file, changes=(Change(13, {"batch_size": 50}),))
        table = series.time_table(file, 30, (), 3.0)
        assert table["iteration"] == [0, 10, 13, 27, 30]
        assert table["batch"] == [100, 100, 50, 50, 50]
        assert table["samples"] == [0, 1000, 1300, 2000, 2150]
        assert table["seconds"][-1] == 3.0

    def test_a_run_that_has_not_begun_is_a_single_row(self) -> None:
        table = self.table(Plan(1000, 100, iterations=25), 0)
        assert {name: len(column) for name, column in table.items()} == dict.fromkeys(table, 1)


class TestUpdates:
    def update(self, plan: Plan, known_epoch: int, first: int, done: int) -> updates.Update:
        config = TrainConfig(data="digits", batch_size=plan.batch_size, budget=str(plan.budget))
        epochs = made_epochs(plan, done)
        end = plan.iterations_after(epochs=known_epoch)
        start = EpochTotals(known_epoch, end, plan.samples_after(iterations=end), 0.5 * known_epoch)
        seconds = 0.5 * done / plan.iterations_per_epoch
        increment = Increment(
            first=first,
            losses=np.arange(first, done).astype(np.float32),
            iterations=start.iteration,
            samples=start.samples,
            seconds=start.seconds,
            epochs=epochs[known_epoch:],
            evaluations=(),
            sessions=(SessionRow("2025-01-02T03:04:05+00:00", 0, done, seconds, seconds, "running"),),
        )
        return updates.Update(made_file(config, plan.samples), False, start, increment)

    @pytest.mark.parametrize("bucket", [1, 4])
    def test_they_go_on_where_the_page_stops(self, bucket: int) -> None:
        plan = Plan(1000, 100, iterations=60)
        known = 12
        news = updates.pack(self.update(plan, 1, first=8, done=35), known, bucket)
        last = 35 if bucket == 1 else 32
        means = np.arange(known, last).reshape(-1, bucket).mean(axis=1)
        np.testing.assert_array_equal(decode(news["losses"]["mean"]), means)
        assert news["position"] == {"epoch": 4, "batch": 5, "iteration": 35}
        assert news["points"]["epoch"] == [2, 3]

    def test_their_time_is_what_a_fresh_page_would_have(self) -> None:
        plan = Plan(1000, 70, iterations=60)
        news = updates.pack(self.update(plan, 2, first=30, done=55), 30, 1)["time"]
        config = TrainConfig(data="digits", batch_size=70, budget="60it")
        whole = series.time_table(
            made_file(config, 1000), 55, made_epochs(plan, 55), 0.5 * 55 / plan.iterations_per_epoch
        )
        kept = whole["iteration"].index(news["iteration"][0])
        assert news == {name: column[kept:] for name, column in whole.items()}

    def test_a_new_session_or_change_asks_for_a_new_page(self) -> None:
        file = made_run().record.file
        changed = dataclasses.replace(file, changes=(Change(5, {"lr": 0.01}),))
        assert len({series.version_of(file, 1), series.version_of(file, 2), series.version_of(changed, 1)}) == 3


def test_points_keep_what_json_cannot_say_as_nothing() -> None:
    history = made_run().record.history
    epochs = (dataclasses.replace(history.epochs[0], train_loss=float("nan")), *history.epochs[1:])
    assert series.points(epochs, history.tests)["train_loss"][0] is None


def test_points_have_a_column_for_each_metric_and_gaps_where_one_was_not_measured() -> None:
    rows = [EvaluationRow(1, "test", 9, {"loss": 1.0, "recall/cat": 0.5}), EvaluationRow(2, "test", 9, {"mae": 2.0})]
    assert series.points((), rows)["test"] == {"loss": [1.0, None], "mae": [None, 2.0]}


def test_positions_agree_with_the_clock() -> None:
    plan = Plan(1000, 70, iterations=60)
    run = made_run(batch_size=70, iterations=60)
    table = series.time_table(run.record.file, 60, run.record.history.epochs, 1.0)
    assert table["iteration"][-1] == plan.advance(Position(), Span.iterations(60)).iteration
