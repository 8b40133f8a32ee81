"""`epochal compare`: several trainings side by side, from the same weights on the same order of samples."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from epochal.clock import Last
from epochal.errors import RunError

Count = Annotated[str | None, arg(metavar="N", help_behavior_hint="")]
Listed = Annotated[str | None, arg(metavar="A,B,…", help_behavior_hint="")]

_LISTS = {"batch_size": "batch_sizes", "model": "models", "optimizer": "optimizers", "lr": "lrs", "seed": "seeds"}
_OWN = ("run", "landscape", "random_landscape", "grid", "landscape_samples", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareCommand:
    """Compare batch sizes (or models, optimizers, …): same weights, same order.

    Example: epochal compare mnist --batch-size 1,100,all --epochs 5

    With the --run FOLDER of a study it finishes what was stopped; options that
    are left out are then the study's own.

    Attributes:
        data: a data set's name, or a file or folder of your own; digits where not given.
        batch_size: samples an update, 1 to N, or all: 1,100,all where not given.
        model: linear, mlp, cnn, rnn; mlp where not given.
        optimizer: sgd, momentum, nesterov, adam, adamw; adam for rnn and sgd for the others where not given.
        lr: learning rates: one for all, or one for each batch size; what suits each where not given.
        tune_lr: search each learning rate first, on held-out training samples.
        seed: decides initial weights, order and noise; several show how much is chance.
        epochs: budget of each run in passes over the training set; 10 where no budget is given.
        iterations: budget of each run in weight updates.
        budget: budget of each run with its unit: 50ep, 30000it or 3000000sa.
        seconds: budget of each run in seconds of training.
        target_accuracy: the test accuracy to which updates and seconds are counted; 0.95 where not given.
        last: keep or drop an epoch's smaller last batch.
        schedule: constant, cosine, linear or one-cycle, over each plan's updates.
        warmup: linear warm-up before it: 1ep, 500it or 50000sa.
        momentum: for momentum and nesterov, 0 to below 1.
        weight_decay: for adamw, at least 0.
        hidden: sizes of the hidden layers.
        dropout: share of hidden values left out while training.
        loss: cross-entropy or mean-squared-error.
        target: the target's column in a table of your own.
        micro_batch: the most samples computed at once.
        shards: equal parts of a batch, computed side by side.
        evaluate_every: epochs between evaluations of the test set.
        run: the study's folder; runs/compare-DATA-1, or the next free number, where not given.
        landscape: then compute the loss around the runs' ways, in the plane that explains them best (PCA).
        random_landscape: the same in the plane of two filter-normalised random directions.
        grid: points along each axis of a landscape.
        landscape_samples: training samples that each of its losses is the mean of.
        json: print the result as JSON, and nothing else.
    """

    data: Positional[Annotated[str | None, arg(metavar="DATA", help_behavior_hint="")]] = None
    batch_size: Listed = None
    model: Listed = None
    optimizer: Listed = None
    lr: Listed = None
    tune_lr: bool = False
    seed: Listed = None
    epochs: Count = None
    iterations: Count = None
    budget: Annotated[str | None, arg(metavar="LENGTH", help_behavior_hint="")] = None
    seconds: Annotated[float | None, arg(metavar="S", help_behavior_hint="")] = None
    target_accuracy: Annotated[float | None, arg(metavar="SHARE", help_behavior_hint="")] = None
    last: Annotated[Last | None, arg(metavar="WHAT", help_behavior_hint="")] = None
    schedule: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    warmup: Annotated[str | None, arg(metavar="LENGTH", help_behavior_hint="")] = None
    momentum: Annotated[float | None, arg(metavar="SHARE", help_behavior_hint="")] = None
    weight_decay: Annotated[float | None, arg(metavar="RATE", help_behavior_hint="")] = None
    hidden: Annotated[tuple[int, ...] | None, arg(metavar="N …", help_behavior_hint="")] = None
    dropout: Annotated[float | None, arg(metavar="SHARE", help_behavior_hint="")] = None
    loss: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    target: Annotated[str | None, arg(metavar="COLUMN", help_behavior_hint="")] = None
    micro_batch: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    shards: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    evaluate_every: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    run: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")] = None
    landscape: bool = False
    random_landscape: bool = False
    grid: Annotated[int, arg(metavar="N")] = 41
    landscape_samples: Annotated[int, arg(metavar="N")] = 10_000
    json: bool = False

    def execute(self) -> int:
        """Train what is to be trained; a first Ctrl-C stops after the iterations in hand and saves."""
        from epochal.cli.progress import load_with_progress
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.signals import stop_on_signal
        from epochal.cli.studies import StudyProgress, print_study, survey_with_progress
        from epochal.landscape.survey import SurveyOptions
        from epochal.study.planning import plan_study
        from epochal.study.runner import Parts, work
        from epochal.study.study import Study

        if self.data is None and self.run is not None and not Study.is_at(self.run):
            raise RunError(f"there is no study at {self.run}; to begin one there, name its data")
        console = open_console(quiet=self.json)
        config = plan_study(self._given(), self.run)
        survey = SurveyOptions(kind="pca", grid=self.grid, samples=self.landscape_samples)
        surveys = [survey] * self.landscape + [dataclasses.replace(survey, kind="random")] * self.random_landscape
        shared = config.shared
        parts = Parts(load_with_progress(console, shared.data, shared.target, shared.task))
        with stop_on_signal() as stop:
            study = work(config, parts, self.run, StudyProgress(console), stop.is_asked)
            for options in surveys:
                survey_with_progress(study, options, parts, console, stop.is_asked)
        if self.json:
            print_json(study.to_dict())
        else:
            print_study(study, console)
        return stop.exit_status

    def _given(self) -> dict[str, Any]:
        """Return the study's options by their names in Python; ``None`` for those that were not given."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in _OWN}
        return {_LISTS.get(name, name): value for name, value in {**values, "tune_lr": self.tune_lr or None}.items()}
