"""A study of batch sizes: what it finds on a small data set, that it goes on where it stopped, and what it refuses."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import epochal
from epochal.data import Dataset, from_arrays
from epochal.errors import DataError, OptionError, PlanError, RunError
from epochal.models import from_functions
from epochal.run.custom import Custom
from epochal.study.batch_size.answer import Answer
from epochal.study.batch_size.ask import prepare_all
from epochal.study.batch_size.kept import FILE, BatchSizeRecord
from epochal.study.batch_size.request import Request
from epochal.study.batch_size.sentences import caveats
from epochal.study.batch_size.trials import BatchSizes
from epochal.study.batch_size.work import BatchSizesCallback, work
from epochal.study.target import Trial

SMALL: dict[str, Any] = {
    "model": "mlp",
    "hidden": (16,),
    "batch_sizes": [4, 16, 64],
    "target_loss": 0.45,
    "seeds": 2,
}


def noisy(samples: int = 600, seed: int = 0) -> Dataset:
    """Two classes that no line tells apart, with some noise, so that a rate can be too small and too large."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples + 30, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=len(x)) > 0).astype(np.int32)
    return from_arrays(x[:samples], y[:samples], test=(x[samples:], y[samples:]), name="noisy")


DATA = noisy()


class Log(BatchSizesCallback):
    """Remembers the trials that were made; asks to stop after so many."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.trials: list[Trial] = []
        self.stop_after = stop_after

    def on_trial(self, trial: Trial) -> None:
        self.trials.append(trial)

    def is_stopped(self) -> bool:
        return len(self.trials) >= self.stop_after


def ask(path: Path, data: Dataset = DATA, **options: Any) -> Answer:
    return epochal.batch_sizes(data, run=path, **{**SMALL, **options})


def table(path: Path) -> Any:
    """Everything that a study found, but for seconds and what names them."""
    study = BatchSizeRecord.read(path).results.to_dict()
    for row in study["rows"]:
        del row["microseconds"], row["seconds"]
    return study


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sizes") / "whole"
    ask(path)
    return path


def test_each_size_reaches_the_target_at_a_rate_of_its_own(whole: Path) -> None:
    record = BatchSizeRecord.read(whole)
    study = record.results
    assert record.is_finished
    assert [row.batch_size for row in study.rows] == [4, 16, 64]
    assert (study.samples, study.held_out, study.model, study.data) == (500, 100, "mlp", "noisy")
    steps = [row.steps for row in study.rows]
    assert all(steps)
    assert steps == sorted(steps, reverse=True)  # type: ignore[type-var]
    for row in study.rows:
        assert [trial.seed for trial in row.trials] == [0, 1]
        assert row.microseconds is not None
        assert row.seconds == pytest.approx(row.steps * row.microseconds / 1e6)  # type: ignore[operator]
    assert BatchSizes.from_dict(study.to_dict()) == study


def test_all_trials_are_recorded_and_a_finished_study_makes_none(whole: Path) -> None:
    log = Log()
    before = (whole / FILE).read_bytes()
    answer = ask(whole, callback=log)
    assert log.trials == []
    assert (whole / FILE).read_bytes() == before
    assert answer.study.all_trials == tuple(one.trial for one in BatchSizeRecord.read(whole).trials)


@pytest.mark.parametrize("after", [1, 5])
def test_a_study_that_was_stopped_ends_with_the_same_table(whole: Path, tmp_path: Path, after: int) -> None:
    first = Log(after)
    try:
        ask(tmp_path / "s", callback=first, should_stop=first.is_stopped)
    except RunError as error:  # before its first row
        assert "no result yet" in str(error)  # noqa: PT017
    assert not BatchSizeRecord.read(tmp_path / "s").is_finished
    second = Log()
    ask(tmp_path / "s", callback=second)
    assert table(tmp_path / "s") == table(whole)
    assert len(first.trials) + len(second.trials) == len(BatchSizeRecord.read(whole).trials)


def test_trials_that_were_lost_are_made_again(whole: Path, tmp_path: Path) -> None:
    """Any single trial missing, as after a kill between two writes: a study is a function of its trials."""
    shutil.copytree(whole, tmp_path / "s")
    record = BatchSizeRecord.read(tmp_path / "s")
    for missing in (0, len(record.trials) // 2, len(record.trials) - 1):
        kept = tuple(one for number, one in enumerate(record.trials) if number != missing)
        dataclasses.replace(record, trials=kept, study=None, is_finished=False).write()
        log = Log()
        ask(tmp_path / "s", callback=log)
        assert log.trials == [record.trials[missing].trial]
        assert table(tmp_path / "s") == table(whole)


def test_a_study_keeps_its_question(whole: Path) -> None:
    with pytest.raises(OptionError, match="was made with another --target-loss"):
        ask(whole, target_loss=0.3)
    with pytest.raises(OptionError, match="was made with another --batch-size"):
        ask(whole, batch_sizes=[4, 16])
    with pytest.raises(DataError, match="does not hold the data"):
        ask(whole, noisy(seed=1))


def test_a_target_is_found_where_none_is_given(tmp_path: Path) -> None:
    answer = ask(tmp_path / "s", target_loss=None, batch_sizes=[16, 64], seeds=1)
    record = BatchSizeRecord.read(tmp_path / "s")
    assert record.pilot is not None
    assert record.pilot.best < answer.study.target.value < record.pilot.begun
    assert all(row.steps is not None for row in answer.rows)


def test_a_given_rate_is_used_for_all_sizes(tmp_path: Path) -> None:
    answer = ask(tmp_path / "s", lr=0.1, batch_sizes=[16, 64], seeds=1)
    assert {trial.lr for trial in answer.study.all_trials} == {0.1}
    assert answer.study.is_rate_given


def test_a_time_that_is_over_leaves_sizes_out_and_names_them(tmp_path: Path) -> None:
    """The first size is known, and then the time is over; with more of it, the study goes on."""

    class Watch(BatchSizesCallback):
        now = 0.0

        def on_row(self, row: Any) -> None:
            self.now += 100

    def within(seconds: float) -> BatchSizes:
        watch = Watch()
        request = Request.of({**SMALL, "within": seconds})
        prepared = prepare_all(request, Custom(data=True), DATA)
        return work(prepared, tmp_path / "s", watch, clock=lambda: watch.now).results

    short = within(99.0)
    assert [row.batch_size for row in short.rows] == [64]
    assert [(one.batch_size, one.why) for one in short.left_out] == [(4, "budget"), (16, "budget")]
    assert BatchSizeRecord.read(tmp_path / "s").is_finished
    assert within(10_000.0).left_out == ()


def test_a_time_too_short_for_one_size_says_so(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"0\.001 seconds are too short for even the first batch size"):
        ask(tmp_path / "s", within=0.001)


def test_the_test_set_judges_where_that_is_asked_for(tmp_path: Path) -> None:
    """All training samples are trained on then, and the answer says that the test set is no longer unseen."""
    answer = ask(tmp_path / "s", judge="test", batch_sizes=[16], seeds=1)
    study = BatchSizeRecord.read(tmp_path / "s").results
    assert (study.samples, study.held_out, study.judge) == (len(DATA.train), len(DATA.test), "test")
    assert any("it is no longer unseen" in str(one) for one in caveats(answer))
    with pytest.raises(OptionError, match="was made with another --judge"):
        ask(tmp_path / "s", judge="held-out", batch_sizes=[16], seeds=1)


def test_one_training_goes_on_to_see_what_lies_beyond_the_target(whole: Path, tmp_path: Path) -> None:
    study = BatchSizeRecord.read(whole).results
    assert study.reach is not None
    assert study.reach < min(trial.nearest for trial in study.all_trials if trial.batch_size == 64)
    assert not Answer.of(study).is_near_the_best
    answer = ask(tmp_path / "s", target_loss=None, batch_sizes=[64], seeds=1)
    assert answer.study.reach is None  # the target that a first training says is never near the best


def test_a_prediction_that_was_stopped_ends_with_the_same_table(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"quick": True, "seeds": 1}
    ask(tmp_path / "whole", **asked)
    first = Log(1)
    with pytest.raises(RunError, match="no result yet"):
        ask(tmp_path / "s", callback=first, should_stop=first.is_stopped, **asked)
    ask(tmp_path / "s", **asked)
    assert table(tmp_path / "s") == table(tmp_path / "whole")
    assert table(tmp_path / "s")["is_predicted"]


# --- what cannot be studied -------------------------------------------------------------------------------------------


def test_a_target_that_is_never_reached_says_how_near_it_came(tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"no training with batch size 64 reached --target-accuracy 0.99: the nearest was 0"
    ):
        ask(tmp_path / "s", target_loss=None, target_accuracy=0.99, lr=0.1, batch_sizes=[64])


def test_a_target_that_is_met_at_once_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--target-loss 50 is reached after 0 updates"):
        ask(tmp_path / "s", target_loss=50.0)


def test_a_regression_has_no_accuracy_but_a_loss(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 8)).astype(np.float32)
    y = (x @ np.arange(1, 9) + 5 * rng.normal(size=400)).astype(np.float32)
    data = from_arrays(x, y, test=0.1)
    with pytest.raises(OptionError, match="is a regression, which has no accuracy"):
        ask(tmp_path / "s", data, target_loss=None, target_accuracy=0.9)
    assert ask(tmp_path / "t", data, target_loss=40.0, batch_sizes=[16], seeds=1).best == 16


def test_too_few_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="40 training samples are too few to compare batch sizes"):
        ask(tmp_path / "s", noisy(40))


def test_a_size_above_what_is_trained_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="batch size 501 is above the 500 samples that are trained on"):
        ask(tmp_path / "s", batch_sizes=[501])
    assert not (tmp_path / "s").exists()


def test_a_training_that_diverges_at_every_rate_names_them(tmp_path: Path) -> None:
    """A loss that explodes wherever the weights have moved to."""

    def explodes(outputs: Any, targets: Any) -> Any:
        return jnp.exp(60 * jnp.abs(outputs[:, 0])) * (1 + targets)

    with pytest.raises(OptionError, match=r"every learning rate from .* to .* diverges at batch size 64"):
        ask(tmp_path / "s", loss=explodes, target_loss=0.1)


def test_statistics_of_the_batch_are_said_to_change_the_model() -> None:
    def init(key: Any) -> Any:
        return {"w": jnp.zeros((4, 2))}

    def apply(params: Any, x: Any) -> Any:
        return (x - x.mean(axis=0)) @ params["w"]

    model = from_functions(init, apply, uses_batch_statistics=True, name="centred")
    prepared = prepare_all(Request.of({"target_loss": 0.4}), Custom(model=model, data=True), DATA)
    assert any("uses statistics of the batch" in note for note in prepared.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target_accuracy": 0.9}, "give a target accuracy or a target loss, not both"),
        ({"batch_sizes": [4, 4]}, "4 is listed twice"),
        ({"within": "soon"}, "within must be a time above 0 such as 90s, 2m or 1h, got 'soon'"),
        ({"quick": True, "optimizer": "momentum"}, "--quick predicts"),
        ({"epochs": 3}, "unknown option 'epochs'"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=words):
        ask(tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_a_damaged_folder_is_named(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "s")
    (tmp_path / "s" / FILE).write_text("format = 1\n")
    with pytest.raises(RunError, match=rf"{FILE} is damaged"):
        BatchSizeRecord.read(tmp_path / "s")
    with pytest.raises(RunError, match="is no study of batch sizes"):
        BatchSizeRecord.read(tmp_path)
