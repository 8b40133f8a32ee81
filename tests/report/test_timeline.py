"""Epochs and batches as the strips show them, against the positions that training has."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from made_records import made_file, made_run

from epochal.record.run_record import RunRecord
from epochal.record.run_toml import Change
from epochal.report.timeline import Timeline


def changed(changes: dict[int, dict[str, Any]], done: int | None = None, **options: Any) -> RunRecord:
    """A run on 1,000 samples in batches of 70, with these changes after so many iterations."""
    config = dataclasses.replace(made_run(batch_size=70, iterations=60).record.config, **options)
    file = dataclasses.replace(made_file(config, 1000), changes=tuple(Change(*change) for change in changes.items()))
    return made_run(file=file, iterations=60, done=done, epochs=()).record


RUNS = {
    "as planned": changed({}),
    "the last batch dropped": changed({}, last="drop"),
    "another batch size inside an epoch": changed({20: {"batch_size": 300}}),
    "the same with the last batch dropped": changed({20: {"batch_size": 300}}, last="drop"),
    "two changes inside one epoch": changed({17: {"batch_size": 7}, 22: {"batch_size": 500}}),
    "at the end of an epoch": changed({15: {"batch_size": 1000}, 20: {"batch_size": 1}}),
    "no iteration between two changes": changed({20: {"batch_size": 300, "lr": 0.1}, 21: {"lr": 0.2}}),
}


@pytest.mark.parametrize("name", RUNS)
def test_every_batch_is_where_training_had_it(name: str) -> None:
    """Each iteration starts at the position after the one before it, and uses the samples up to the next position."""
    record = RUNS[name]
    timeline, seen = Timeline.of(record), 0
    for epoch in range(timeline.epochs):
        for batch in range(timeline.batches(epoch)):
            before, after = record.file.position_after(seen), record.file.position_after(seen + 1)
            start, stop = timeline.positions(epoch, batch)
            assert (before.epoch, before.offset) == (epoch, start)
            if after.epoch == epoch:
                assert after.offset == stop
            elif record.config.last == "keep":
                assert stop == 1000
            seen += 1
    assert seen == timeline.iterations == record.file.present_lengths.updates


def test_a_strip_that_forgot_a_change_would_be_seen() -> None:
    record = RUNS["another batch size inside an epoch"]
    forgetful = dataclasses.replace(record, file=dataclasses.replace(record.file, changes=()))
    assert Timeline.of(forgetful).positions(1, 1) == (70, 140)
    assert Timeline.of(record).positions(1, 5) == (350, 650)
    assert Timeline.of(forgetful).positions(1, 5) == (350, 420)


def test_a_time_budget_has_the_epochs_that_were_begun() -> None:
    timeline = Timeline.of(made_run(budget="90s", done=37).record)
    assert (timeline.iterations, timeline.epochs, timeline.epochs_begun) == (37, 4, 4)
    assert [timeline.batches(epoch) for epoch in range(4)] == [10, 10, 10, 7]


def test_a_run_that_was_stopped_has_epochs_ahead() -> None:
    timeline = Timeline.of(made_run(iterations=120, done=37, status="stopped").record)
    assert (timeline.done, timeline.iterations, timeline.epochs, timeline.epochs_begun) == (37, 120, 12, 4)


def test_a_run_of_a_time_budget_that_has_done_nothing_has_no_epochs() -> None:
    timeline = Timeline.of(made_run(budget="90s", done=0, status="new").record)
    assert (timeline.epochs, timeline.epochs_begun) == (0, 0)


def test_no_batch_beyond_an_epoch() -> None:
    with pytest.raises(IndexError, match="1"):
        Timeline.of(made_run().record).positions(0, 11)


def test_a_million_epochs_are_laid_out_at_once() -> None:
    timeline = Timeline.of(
        made_run(samples=1000, batch_size=1000, iterations=1_000_000, done=5, status="stopped").record
    )
    assert timeline.epochs == 1_000_000
    assert timeline.positions(999_999, 0) == (0, 1000)
