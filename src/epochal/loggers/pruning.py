"""Optuna: ends a trial that is not worth going on with. It is imported when it is used."""

from __future__ import annotations

from typing import Any

from epochal.errors import OptionError, unknown_name
from epochal.run.callbacks import Callback, End, EpochEnd


class Pruning(Callback):
    """Tells an Optuna trial each epoch's value, and ends the training where Optuna gives the trial up.

    ``optuna.TrialPruned`` is raised after the training has stopped as any other does: a run folder can be resumed.

    Args:
        trial: the `optuna.Trial`.
        metric: what is told: ``train_loss``, or a metric of an evaluation, such as ``validation_loss`` or
            ``test_accuracy``. Epochs without that evaluation tell nothing.
    """

    def __init__(self, trial: Any, metric: str = "validation_loss") -> None:
        self._trial, self._metric = trial, metric
        self._pruned: int | None = None
        if metric.partition("_")[0] not in ("train", "validation", "test"):
            raise OptionError(f"metric must be train_loss, validation_… or test_…, got '{metric}'")

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Tell the value, and ask."""
        value = self._value(epoch)
        if value is None:
            return
        self._trial.report(value, epoch.row.epoch)
        if self._trial.should_prune():
            self._pruned, self.should_stop = epoch.row.epoch, True

    def on_end(self, end: End) -> None:
        """Raise what Optuna waits for."""
        if self._pruned is not None and not end.failed and end.status != "finished":
            from optuna import TrialPruned

            raise TrialPruned(f"pruned after epoch {self._pruned}")

    def _value(self, epoch: EpochEnd) -> float | None:
        split, _, name = self._metric.partition("_")
        if split == "train":
            return epoch.row.train_loss
        evaluation = epoch.validation if split == "validation" else epoch.evaluation
        if evaluation is None:
            return None
        if name not in evaluation.metrics:
            raise OptionError(unknown_name("metric", name, evaluation.metrics))
        return evaluation.metrics[name]
