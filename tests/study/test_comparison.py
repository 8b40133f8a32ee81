"""`compare`: same weights, same order, same budget; and a study that is finished wherever it was left."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epochal.errors import DataError, EpochalError, OptionError, RunError
from epochal.lock import locked
from epochal.models import from_functions
from epochal.record.run_toml import write_run_toml
from epochal.run import resume, train
from epochal.run.callbacks import ChunkEnd, EpochEnd
from epochal.run.run import Run
from epochal.study import Study, compare, resume_study
from small import MODEL, Log, small_study, three_clouds


def weights_at(run: Run, iteration: int) -> dict[str, np.ndarray]:
    return next(snapshot for snapshot in run.snapshots if snapshot.iteration == iteration).load()


def same_arrays(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def hashes(study: Study) -> dict[str, str]:
    return {name: run.weights_sha256 for name, run in study.runs.items()}


def test_all_runs_start_from_the_same_weights(finished: Study) -> None:
    first, *others = finished.runs.values()
    assert others
    assert all(same_arrays(weights_at(first, 0), weights_at(run, 0)) for run in others)


def test_another_seed_starts_from_other_weights(tmp_path: Path) -> None:
    """The negative control of the test above."""
    runs = small_study(tmp_path / "s", seeds=[0, 1]).runs
    zero, one = (weights_at(run, 0) for run in runs.values())
    assert not same_arrays(zero, one)


def test_all_runs_use_the_same_samples_in_the_same_order(tmp_path: Path) -> None:
    """At a learning rate of almost nothing, the loss of a batch of 7 is the mean of the losses of its seven samples."""
    runs = small_study(tmp_path / "s", batch_sizes=[1, 7], lrs=1e-30, epochs=2).runs
    ones, sevens = runs["batch-1"].history.losses, runs["batch-7"].history.losses
    means = [ones[start : min(start + 7, end)].mean() for end in (60, 120) for start in range(end - 60, end, 7)]
    np.testing.assert_allclose(sevens, means, rtol=1e-5)
    assert not np.allclose(sevens[:8], sevens[9:17])  # the negative control: another epoch has another order


def test_each_run_has_the_same_budget_and_the_plan_of_its_batch_size(finished: Study) -> None:
    runs = finished.runs
    assert list(runs) == ["batch-1", "batch-7", "batch-all"]
    assert [run.plan.method for run in runs.values()] == ["sgd", "mbgd", "bgd"]
    assert [len(run.history.losses) for run in runs.values()] == [240, 36, 4]
    assert all(run.status == "finished" for run in runs.values())
    assert finished.is_finished


def test_each_run_is_the_training_that_it_would_be_alone(finished: Study, tmp_path: Path) -> None:
    alone = train(three_clouds(), batch_size=7, lr=0.1, epochs=4, hidden=(5,), run=tmp_path / "alone")
    assert alone.weights_sha256 == finished.runs["batch-7"].weights_sha256


def test_a_budget_of_seconds_ends_each_run_after_them(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s", batch_sizes=[10, "all"], epochs=None, seconds=0.05)
    for run in study.runs.values():
        trained = sum(row.seconds for row in run.history.epochs)
        assert 0.05 <= trained < 1
        assert run.status == "finished"
        assert run.plan.is_open
        assert len(run.history.losses) == run.position.iteration
        assert run.history.evaluations[-1].iteration == run.position.iteration
    before = hashes(study)
    log = Log()
    assert hashes(compare(three_clouds(), run=study.path, callback=log)) == before
    assert log.names == []


def test_more_seconds_go_on_where_the_first_ended(tmp_path: Path) -> None:
    first = compare("digits", run=tmp_path / "s", models="linear", batch_sizes=[479], seconds=0.02).runs["batch-479"]
    losses = first.history.losses
    more = resume_study(tmp_path / "s", seconds=0.5).runs["batch-479"]
    assert len(losses) == first.position.iteration < more.position.iteration == more.history.iterations
    np.testing.assert_array_equal(more.history.losses[: len(losses)], losses)


def test_the_same_call_leaves_a_finished_study_alone(copy_without: Callable[..., Study]) -> None:
    study = copy_without()
    before = hashes(study)
    files = {path: path.stat().st_mtime_ns for path in study.path.rglob("*.db")}
    log = Log()
    again = compare(three_clouds(), run=study.path, callback=log, epochs=4, batch_sizes="1,7,all")
    assert (hashes(again), log.names) == (before, [])
    assert files == {path: path.stat().st_mtime_ns for path in study.path.rglob("*.db")}


def test_a_study_that_was_stopped_in_its_second_run_ends_with_the_same_bits(
    finished: Study, copy_without: Callable[..., Study]
) -> None:
    path = copy_without("batch-7", "batch-all").path
    log = Log(stop_when=lambda name, event: name == "batch-7" and isinstance(event, EpochEnd))
    stopped = compare(three_clouds(), run=path, callback=log, should_stop=log.is_stopped)
    assert {name: run.status for name, run in stopped.runs.items()} == {"batch-1": "finished", "batch-7": "stopped"}
    assert not stopped.is_finished
    rest = Log()
    whole = compare(three_clouds(), run=path, callback=rest)
    assert (log.names, rest.names) == (["batch-7"], ["batch-7", "batch-all"])
    assert hashes(whole) == hashes(finished)
    assert len(whole.runs["batch-7"].history.losses) == 36


def test_a_run_that_was_killed_before_it_wrote_anything_starts_anew(
    finished: Study, copy_without: Callable[..., Study]
) -> None:
    path = copy_without("batch-all").path
    (path / "batch-all").mkdir()
    (path / "batch-all" / "run.lock").touch()
    (path / "batch-all" / "run.toml.1a2b3c4d.tmp").write_text("forma")
    assert hashes(compare(three_clouds(), run=path)) == hashes(finished)


def test_a_run_that_diverges_is_at_its_end_and_the_others_go_on(tmp_path: Path) -> None:
    log = Log()
    options = {"batch_sizes": [10, "all"], "lrs": [1e30, 0.1], "epochs": 2}
    study = small_study(tmp_path / "s", callback=log, **options)
    assert [run.status for run in study.runs.values()] == ["diverged", "finished"]
    assert study.is_finished
    assert log.warnings[0].startswith("batch-10: the loss is")
    again = Log()
    small_study(study.path, callback=again, **options)
    assert again.names == []


def test_models_and_losses_of_ones_own_are_compared_too(tmp_path: Path) -> None:
    mine = from_functions(
        lambda key: {"w": 0.1 * jax.random.normal(key, (4, 3))}, lambda params, x: x @ params["w"], name="mine"
    )

    def huber(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.sum(jnp.abs(outputs - jax.nn.one_hot(targets, 3)), axis=1)

    log = Log(stop_when=lambda name, event: isinstance(event, ChunkEnd))
    options: dict[str, Any] = {"models": [mine], "loss": huber, "hidden": None, "epochs": 3}
    small_study(tmp_path / "s", callback=log, should_stop=log.is_stopped, **options)
    study = small_study(tmp_path / "s", **options)
    assert study.is_finished
    assert {run.file.model.name for run in study.runs.values()} == {"mine"}
    assert len(study.runs["batch-10"].history.losses) == 18


def test_named_data_are_resumed_from_the_folder_alone_and_for_longer(tmp_path: Path) -> None:
    options: dict[str, Any] = {"models": "linear", "batch_sizes": [479]}
    path = tmp_path / "s"
    compare("digits", run=path, epochs=2, **options)
    study = resume_study(path, epochs=4)
    assert [run.plan.budget.amount for run in study.runs.values()] == [4]
    assert study.is_finished
    assert Study.open(path).config.shared.epochs == 4
    whole = train("digits", model="linear", batch_size=479, epochs=4, run=tmp_path / "whole")
    assert hashes(study) == {"batch-479": whole.weights_sha256}
    with pytest.raises(OptionError, match="larger budget already"):
        resume_study(path, epochs=3)
    with pytest.raises(OptionError, match="has a budget of epochs, iterations or samples"):
        resume_study(path, seconds=1.0)
    with pytest.raises(OptionError, match="unknown budget 'lr'"):
        resume_study(path, lr=0.1)


def test_a_run_that_went_further_by_hand_is_over(tmp_path: Path) -> None:
    study = compare("digits", run=tmp_path / "s", models="linear", batch_sizes=[479], epochs=2)
    longer = resume(study.path / "batch-479", epochs=4)
    again = resume_study(study.path)
    assert again.is_finished
    assert hashes(again) == {"batch-479": longer.weights_sha256}


@pytest.mark.filterwarnings("ignore::epochal.errors.AlteredWarning")
def test_a_run_whose_seconds_are_spent_is_over_under_any_plan(tmp_path: Path) -> None:
    options: dict[str, Any] = {"models": "linear", "batch_sizes": [479]}
    study = compare("digits", run=tmp_path / "s", epochs=None, seconds=0.02, **options)
    run = study.runs["batch-479"]
    file = dataclasses.replace(run.file, config=run.config.changed({"iterations": run.position.iteration}))
    write_run_toml(run.folder.run_toml, file)  # earlier versions ended a budget of time so
    assert hashes(resume_study(study.path)) == hashes(study)


def test_options_other_than_the_studys_are_refused(finished: Study) -> None:
    with pytest.raises(OptionError, match="was made with --epochs 4, not --epochs 3; leave it out"):
        compare(three_clouds(), run=finished.path, epochs=3)
    with pytest.raises(OptionError, match=r"--batch-size 1,7,all, not --batch-size 1,7"):
        compare(three_clouds(), run=finished.path, batch_sizes=[1, 7])


def test_other_data_of_the_same_name_are_refused(finished: Study) -> None:
    with pytest.raises(DataError, match="does not hold the data"):
        compare(three_clouds(seed=1), run=finished.path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_sizes": [60, "all"]}, "batch-60 and batch-all are the same training of 60 samples"),
        ({"batch_sizes": [1, 61]}, "batch size 61 is above the 60 training samples"),
        ({"models": "mlp,foo"}, "unknown model 'foo'"),
        ({"optimizers": ["sgd", "adm"]}, "did you mean 'adam'"),
        ({"optimizers": [object()]}, "optimizers must be an optimizer's name, got a value of type object"),
        ({"batch_size": 3}, "a comparison takes batch_sizes, one or several: write batch_sizes=3"),
        ({"epoch": 3}, "unknown option 'epoch': did you mean 'epochs'"),
        ({"models": ["mlp", "m/lp"]}, "unknown model 'm/lp'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_compared_is_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(EpochalError) as caught:
        compare(three_clouds(), run=tmp_path / "s", **{**MODEL, "batch_sizes": [7], **options})
    assert says in str(caught.value)
    assert not (tmp_path / "s").exists()


def test_data_that_only_python_has_are_resumed_only_there(finished: Study) -> None:
    with pytest.raises(
        RunError, match=r"made from Python with its own data; continue there: epochal.compare\(data, run="
    ):
        resume_study(finished.path)


def test_a_folder_that_is_no_study_or_a_damaged_one_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no study: it has no study"):
        Study.open(tmp_path)
    (tmp_path / "study.toml").write_text("format = [", encoding="utf-8")
    with pytest.raises(RunError, match=r"study.toml is damaged"):
        resume_study(tmp_path)
    (tmp_path / "study.toml").write_text("format = 99\n", encoding="utf-8")
    with pytest.raises(RunError, match="has format 99; this Epochal reads up to 2"):
        Study.open(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(RunError, match="is not empty"):
        small_study(tmp_path / "other")


def test_two_processes_do_not_work_on_one_study(finished: Study) -> None:
    with locked(finished.path / "study.lock"), pytest.raises(RunError, match="is in use by"):
        compare(three_clouds(), run=finished.path)
