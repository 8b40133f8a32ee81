"""The work on a study: sets up, tunes, trains each run, and after an interruption does what is left."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from epochal.clock import Plan
from epochal.config import DEFAULT_TARGET, Member, StudyConfig, TrainConfig
from epochal.data import Dataset
from epochal.engine import Metric
from epochal.errors import DataError, DivergedError, OptionError
from epochal.files import remove_leftovers
from epochal.lock import locked
from epochal.record.folder import create_run_folder
from epochal.record.study_record import StudyData, TuningResult
from epochal.run.api import resume, start
from epochal.run.callbacks import Callback, StopWhen
from epochal.run.run import Run
from epochal.run.setup import Custom, Setup, anchored, set_up
from epochal.study.study import Study
from epochal.study.tuning import Stopped, tune


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects behind a study's names.

    Attributes:
        data: the loaded data.
        own_data: whether they were given as arrays, so that no name finds them again.
        models: models of the user's own, by name.
        loss: a loss function of the user's own.
        metrics: metrics, where some of them are the user's own.
    """

    data: Dataset
    own_data: bool = False
    models: Mapping[str, Any] = field(default_factory=dict)
    loss: Callable[..., Any] | None = None
    metrics: tuple[str | Metric, ...] | None = None

    def custom(self, config: TrainConfig) -> Custom:
        """Return the parts of one run that no name can rebuild."""
        return Custom(model=self.models.get(config.model), loss=self.loss, data=self.own_data, metrics=self.metrics)

    def set_up(self, config: TrainConfig) -> Setup:
        """Build everything that one run needs."""
        return set_up(config, self.data, self.custom(config), is_compared=True)


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run of a study that begins, or continues.

    Attributes:
        config: what it trains, with the defaults filled in.
        number, count: which of how many runs, from 1.
    """

    name: str
    config: TrainConfig
    number: int
    count: int
    plan: Plan


class StudyCallback:
    """Follows a study; this one does nothing. Override what you need."""

    def on_study(self, study: Study) -> None:
        """Note a study that is set up and about to be worked on."""

    def on_tuning(self, config: TrainConfig) -> None:
        """Note that the search for this configuration's learning rate begins."""

    def on_tuned(self, result: TuningResult) -> None:
        """Note what a search found."""

    def follow(self, run: RunStart) -> AbstractContextManager[Sequence[Callback]]:
        """Return a context around a run, which yields the callbacks that follow it."""
        return nullcontext(())


def work(
    config: StudyConfig,
    parts: Parts,
    path: str | os.PathLike[str] | None = None,
    callback: StudyCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Study:
    """Begin or continue a study, to its end or until a stop is asked for.

    Everything is set up once before anything is written, so that what cannot be trained is refused first.
    """
    _check(config, parts)
    if not parts.own_data:
        config = dataclasses.replace(config, shared=anchored(config.shared))
    study = _study_at(None if path is None else Path(path), config, parts)

    with locked(study.path / "study.lock"):
        study.write()
        runner = _Runner(study, parts, callback or StudyCallback(), should_stop or (lambda: False))
        runner.callback.on_study(study)
        try:
            runner.tune()
        except Stopped:
            return runner.study

        members = runner.study.members
        for number, member in enumerate(members, start=1):
            if runner.should_stop():
                break
            runner.train(member, number, len(members))
    return runner.study


def _check(config: StudyConfig, parts: Parts) -> None:
    """Refuse runs that cannot be trained, have the same name, or differ in name only."""
    if config.target_accuracy != DEFAULT_TARGET and parts.data.task == "regression":
        raise OptionError(f"{parts.data.name} is a regression, which has no accuracy; leave out target_accuracy")
    members = config.members()
    if len({member.name for member in members}) < len(members):
        raise OptionError("two of the runs would have the same name; give the models names that differ")

    seen: dict[tuple[Any, ...], Member] = {}
    for member in members:
        if member.config.seed != config.seeds[0]:
            continue
        setup = parts.set_up(member.config)
        setup.engine.count_parameters()

        same = seen.setdefault(dataclasses.replace(member, config=setup.config).group, member)
        if same is not member:
            raise OptionError(f"{same.name} and {member.name} are the same training of {setup.plan.samples:,} samples")


def _study_at(path: Path | None, config: StudyConfig, parts: Parts) -> Study:
    """Return the study in this folder with this configuration, new where there is none."""
    data = parts.data
    if path is not None and Study.is_at(path):
        study = Study.read(path)
        if study.data.fingerprint != data.fingerprint:
            raise DataError(f"'{config.shared.data}' does not hold the data that {path} was made with")
        return dataclasses.replace(study, config=config)

    folder = create_run_folder(path, f"compare-{data.name}").path
    facts = StudyData(data.name, data.fingerprint, len(data.train), len(data.test), data.task, parts.own_data)
    return Study(folder, config, facts)


@dataclass(slots=True)
class _Runner:
    """One process's work on a study."""

    study: Study
    parts: Parts
    callback: StudyCallback
    should_stop: Callable[[], bool]

    def tune(self) -> None:
        """Search the learning rates that are still to be found, and record each as soon as it is."""
        config = self.study.config
        if not config.tune_lr:
            return

        for member in self.study.members:
            # one search serves all seeds; a member that has its rate was searched before
            if member.config.seed != config.seeds[0] or member.config.lr is not None:
                continue
            self.callback.on_tuning(member.config)
            result = tune(member.config, self.parts.data, self.parts.custom(member.config), self.should_stop)
            self.study = dataclasses.replace(self.study, tuned=(*self.study.tuned, result))
            self.study.write()
            self.callback.on_tuned(result)

    def train(self, member: Member, number: int, count: int) -> None:
        """Do what is left of one run; a run that diverges is at its end, and the others continue."""
        folder = self.study.folder_of(member)
        run = Run.open(folder) if (folder / "run.toml").exists() else None
        setup = self.parts.set_up(member.config)
        if run is not None and _is_over(run, setup.plan):
            return

        with self.callback.follow(RunStart(member.name, setup.config, number, count, setup.plan)) as followers:
            callbacks = (*followers, StopWhen(self.should_stop))

            try:
                if run is None:
                    _clear(folder)
                    start(setup, folder, callbacks)
                else:
                    self._resume(run, setup, callbacks)
            except DivergedError as error:
                for follower in followers:
                    follower.on_warning(f"{member.name}: {error}")

    def _resume(self, run: Run, setup: Setup, callbacks: Sequence[Callback]) -> None:
        changes: dict[str, Any] = {} if run.plan.budget == setup.plan.budget else {"budget": str(setup.plan.budget)}
        custom = setup.custom
        resume(
            run.path,
            data=self.parts.data,
            model=custom.model,
            loss=custom.loss,
            metrics=self.parts.metrics,
            callbacks=callbacks,
            progress=False,
            **changes,
        )


def _is_over(run: Run, plan: Plan) -> bool:
    """Return whether nothing is left to do for a run: it diverged, or finished with all of its budget, or more."""
    if run.status != "finished":
        return run.status == "diverged"
    return run.plan.budget == plan.budget or plan.is_spent(run.position, run.record.training_seconds)


def _clear(folder: Path) -> None:
    """Remove what a process that was killed before it wrote `run.toml` may have left."""
    remove_leftovers(folder)
    (folder / "run.lock").unlink(missing_ok=True)
