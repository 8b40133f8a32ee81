from __future__ import annotations

import dataclasses

import pytest
from made_records import made_epochs, made_file, made_run

from epochal.clock import Plan
from epochal.plan_rows import counters, totals
from epochal.record.run_record import RunRecord
from epochal.report.tables import batch_cells, epoch_cells, plan_table
from epochal.report.timeline import Timeline
from epochal.web.epochs_table import shown_epochs
from epochal.words.catalogue import Words


def english(text: Words | str) -> str:
    return text.texts["en"] if isinstance(text, Words) else text


class TestPlanTableRows:
    def test_the_worked_example(self) -> None:
        """The article: 60,000 samples in batches of 100 make 600 batches; 30,000 iterations are 50 epochs."""
        run = made_run(samples=60_000, batch_size=100, iterations=30_000).record
        rows = {english(row.name): (english(row.how), row.planned) for row in plan_table(run)}
        assert rows["batches per epoch"] == ("N / B = 60,000 / 100", "600")
        assert rows["full epochs"] == ("30,000 / 600", "50")
        assert rows["updates after 10 epochs"] == ("10 × 600", "6,000")
        assert rows["samples used"][1] == "3,000,000"

    @pytest.mark.parametrize(
        ("last", "how", "batches"),
        [("keep", "⌈N / B⌉ = ⌈1,797 / 100⌉", "18"), ("drop", "⌊N / B⌋ = ⌊1,797 / 100⌋", "17")],
    )
    def test_a_ragged_last_batch(self, last: str, how: str, batches: str) -> None:
        config = dataclasses.replace(made_run().record.config, budget="2ep", last=last)
        run = made_run(file=made_file(config, 1797)).record
        rows = {english(row.name): (english(row.how), row.planned) for row in plan_table(run)}
        assert rows["batches per epoch"] == (how, batches)
        if last == "keep":
            assert rows["samples in the last batch"] == ("1,797 − 17 × 100", "97")
        else:
            assert rows["samples left out"][1] == "97"

    def test_what_was_counted_stands_beside_and_a_difference_shows(self) -> None:
        run = made_run().record
        rows = {english(row.name): row for row in plan_table(run)}
        assert (rows["full epochs"].counted, rows["full epochs"].agrees) == ("12", True)
        assert rows["iterations"].counted is None
        assert rows["epochs that used each sample exactly once"].agrees is True

        lost = dataclasses.replace(run, history=dataclasses.replace(run.history, epochs=run.history.epochs[:-1]))
        rows = {english(row.name): row for row in plan_table(lost)}
        assert (rows["full epochs"].counted, rows["full epochs"].agrees) == ("11", False)

    def test_only_a_finished_run_is_counted(self) -> None:
        assert all(row.counted is None for row in plan_table(made_run(done=30, status="stopped").record))

    def test_a_plan_without_a_known_end_has_no_total(self) -> None:
        run: RunRecord = made_run(budget="90s").record
        rows = {english(row.name): row for row in plan_table(run)}
        assert rows["batches per epoch"].counted == "10"
        assert rows["iterations"].planned == "–"
        assert rows["epochs that used each sample exactly once"].planned == "12"
        assert totals(run.plan) == {"batch": 10}


def timeline(samples: int, batch_size: int, iterations: int = 1) -> Timeline:
    return Timeline.of(made_run(samples=samples, batch_size=batch_size, iterations=iterations, done=0).record)


class TestCells:
    def test_few_batches_are_all_drawn(self) -> None:
        assert [cell.number for cell in batch_cells(timeline(500, 100, 5))] == ["1", "2", "3", "4", "5"]

    def test_of_many_the_ends_are_drawn(self) -> None:
        assert [cell.number for cell in batch_cells(timeline(60_000, 100, 600))] == ["1", "2", "3", "", "599", "600"]
        assert [cell.number for cell in batch_cells(timeline(60_000, 1, 60_000))] == ["1", "2", "", "60,000"]

    def test_a_smaller_last_batch_is_drawn_smaller(self) -> None:
        last = batch_cells(timeline(1797, 100, 18))[-1]
        assert (last.number, last.content) == ("18", "97")
        assert 0.9 < last.share < 1

    def test_an_epoch_that_the_budget_cuts_short(self) -> None:
        last = epoch_cells(timeline(1000, 100, 25))[-1]
        assert (last.number, last.content, last.share) == ("3", "5", 0.5)


@pytest.mark.parametrize(("iteration", "epoch", "batch"), [(0, 0, 0), (1, 1, 1), (10, 1, 10), (11, 2, 1), (20, 2, 10)])
def test_counters_count_from_one(iteration: int, epoch: int, batch: int) -> None:
    plan = Plan(1000, 100, epochs=2)
    assert counters(plan.position(iteration=iteration), plan) == {
        "epoch": epoch,
        "batch": batch,
        "iteration": iteration,
    }


class TestShownEpochs:
    def test_a_usual_run_is_shown_whole(self) -> None:
        epochs = made_epochs(Plan(1000, 100), 2000)
        assert shown_epochs(epochs) == list(epochs)

    def test_of_very_many_the_wrong_one_is_never_left_out(self) -> None:
        epochs = list(made_epochs(Plan(1000, 1000), 1000))
        epochs[500] = dataclasses.replace(epochs[500], audit_hash="wrong")
        shown = shown_epochs(epochs)
        assert epochs[500] in shown
        assert [row for row in shown if isinstance(row, int)] == [480, 479]
        assert sum(row if isinstance(row, int) else 1 for row in shown) == 1000
