"""Optuna: hopeless trials end early, and cleanly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from following import OPTIONS, clouds

from epochal import Run, resume, train
from epochal.errors import OptionError
from epochal.loggers import Pruning


class Trial:
    """Gives up after so many reports."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.told: list[tuple[float, int]] = []

    def report(self, value: float, step: int) -> None:
        self.told.append((value, step))

    def should_prune(self) -> bool:
        return len(self.told) >= self.last


def test_a_study_prunes_the_trials_that_learn_nothing() -> None:
    optuna = pytest.importorskip("optuna", reason="needs Optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rates = iter([0.1, 1e-6, 0.5, 1e-7])

    def objective(trial: Any) -> float:
        trial.set_user_attr("lr", next(rates))
        pruning = Pruning(trial, "test_loss")
        run = train(clouds(), run=False, callbacks=pruning, lr=trial.user_attrs["lr"], **OPTIONS)
        return run.history.tests[-1].loss

    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=1))
    study.optimize(objective, n_trials=4)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]
    assert len(study.trials[1].intermediate_values) < len(study.trials[0].intermediate_values) == 6


def test_a_pruned_run_was_stopped_as_any_other(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="needs Optuna")
    trial = Trial(last=3)
    with pytest.raises(optuna.TrialPruned, match="after epoch 3"):
        train(clouds(), run=tmp_path / "run", callbacks=Pruning(trial, "train_loss"), **OPTIONS)
    run = Run.open(tmp_path / "run")
    assert (run.status, run.position.iteration) == ("stopped", 30)
    assert [step for _, step in trial.told] == [1, 2, 3]
    whole = train(clouds(), run=False, **OPTIONS)
    assert resume(run.path, data=clouds()).weights_sha256 == whole.weights_sha256


def test_a_metric_that_nobody_measures_is_refused() -> None:
    with pytest.raises(OptionError, match="unknown metric 'acuracy': did you mean 'accuracy'"):
        train(clouds(), run=False, callbacks=Pruning(Trial(9), "test_acuracy"), **OPTIONS)
    with pytest.raises(OptionError, match="metric must be train_loss"):
        Pruning(Trial(9), "loss")


def test_epochs_without_the_evaluation_tell_nothing() -> None:
    trial = Trial(9)
    train(clouds(), run=False, callbacks=Pruning(trial, "test_accuracy"), **OPTIONS, evaluate_every=3)
    assert [step for _, step in trial.told] == [3, 6]
