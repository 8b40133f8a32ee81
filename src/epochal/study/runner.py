"""The work on a study: sets up, tunes, trains each run, and after an interruption does what is left."""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from epochal.clock import Plan
from epochal.config.study_config import DEFAULT_TARGET, Member, StudyConfig
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset
from epochal.engine import Metric
from epochal.engine.lanes import Lanes, lanes_for
from epochal.errors import DataError, DivergedError, OptionError, RunError
from epochal.files import is_own, refuse_link
from epochal.held_folder import HeldFolder
from epochal.lock import locked
from epochal.record.folder import create_run_folder
from epochal.record.study_record import StudyData, TuningResult
from epochal.run.api import resume_with, start
from epochal.run.callbacks import Callback, StopWhen
from epochal.run.custom import Custom
from epochal.run.own_files_only import marked
from epochal.run.run import Run
from epochal.run.setup import Setup, anchored, set_up
from epochal.study.in_turn import FollowedInTurn
from epochal.study.study import Study
from epochal.study.to_target import Stopped
from epochal.study.tuning import tune


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

    def set_up(self, config: TrainConfig, at_once: int = 1) -> Setup:
        """Build everything that one run needs, of so many that are trained at once."""
        custom = dataclasses.replace(self.custom(config), at_once=at_once)
        return set_up(config, self.data, custom, is_compared=True)

    @property
    def have_objects(self) -> bool:
        """Whether some may hold values that change, unseen, from one training to the next: those train in turn."""
        own_metrics = any(not isinstance(metric, str) for metric in self.metrics or ())
        return own_metrics or bool(self.models) or self.loss is not None


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run of a study that begins, or continues.

    Attributes:
        config: what it trains, with the defaults filled in.
        number, count: which of how many runs, from 1.
        at_once: how many are trained side by side, this one included.
    """

    name: str
    config: TrainConfig
    number: int
    count: int
    plan: Plan
    at_once: int = 1


class StudyCallback:
    """Follows a study; this one does nothing. Override what you need."""

    def on_study(self, study: Study) -> None:
        """Note a study that is set up and about to be worked on."""

    def on_tuning(self, config: TrainConfig) -> None:
        """Note that the search for this configuration's learning rate begins."""

    def on_tuned(self, result: TuningResult) -> None:
        """Note what a search found."""

    def follow(self, run: RunStart) -> AbstractContextManager[Sequence[Callback]]:
        """Return a context around a run, which yields the callbacks that follow it.

        Where several runs are trained at once, each has its own; none is called while another one is.
        """
        return nullcontext(())


def work(
    config: StudyConfig,
    parts: Parts,
    path: str | os.PathLike[str] | None = None,
    callback: StudyCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
    at_once: int | None = None,
) -> Study:
    """Begin or continue a study, to its end or until a stop is asked for.

    Runs that differ in their seed or learning rate alone are trained side by side, so many ``at_once`` (`lanes_for`).

    Everything is set up once before anything is written, so that what cannot be trained is refused first.
    """
    _check(config, parts)
    _check_at_once(at_once, config, parts)
    if not parts.own_data:
        config = dataclasses.replace(config, shared=anchored(config.shared))
    study = _study_at(None if path is None else Path(path), config, parts)

    with locked(study.path / "study.lock"):
        study.write()
        runner = _Runner(study, parts, callback or StudyCallback(), should_stop or (lambda: False), at_once)
        runner.callback.on_study(study)
        try:
            runner.tune()
        except Stopped:
            return runner.study

        runner.train()
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


def _check_at_once(at_once: int | None, config: StudyConfig, parts: Parts) -> None:
    """Refuse several runs at once where they would not be what they are alone: raises `OptionError`."""
    if at_once is None or at_once == 1:
        return
    if parts.have_objects:
        raise OptionError(
            f"{at_once} runs at once: models, losses and metrics of your own may hold values that change; leave out "
            "at_once, and they are trained one after another"
        )
    if config.members()[0].config.plan(len(parts.data.train)).is_open:
        raise OptionError(
            f"{at_once} runs at once would share the seconds of their budget; leave out at_once, and they are trained "
            "one after another"
        )


def _study_at(path: Path | None, config: StudyConfig, parts: Parts) -> Study:
    """Return the study in this folder with this configuration, new where there is none."""
    data = parts.data
    if path is not None and Study.is_at(path):
        study = Study.read(path)
        if study.data.fingerprint != data.fingerprint:
            raise DataError(f"'{config.shared.data}' does not hold the data that {path} was made with")
        named_by = study.named_by if parts.own_data else marked(config.shared, data.fingerprint, study.named_by)
        return dataclasses.replace(study, config=config, named_by=named_by)

    folder = create_run_folder(path, f"compare-{data.name}").path
    facts = StudyData(data.name, data.fingerprint, len(data.train), len(data.test), data.task, parts.own_data)
    named_by = () if parts.own_data else marked(config.shared, data.fingerprint)
    return Study(folder, config, facts, named_by=named_by)


@dataclass(slots=True)
class _Runner:
    """One process's work on a study."""

    study: Study
    parts: Parts
    callback: StudyCallback
    should_stop: Callable[[], bool]
    at_once: int | None = None
    _turn: threading.RLock = field(default_factory=threading.RLock, init=False)

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
            custom = self.parts.custom(member.config)
            at_once = 1 if self.parts.have_objects else self.at_once
            result = tune(member.config, self.parts.data, custom, self.should_stop, at_once)
            self.study = dataclasses.replace(self.study, tuned=(*self.study.tuned, result))
            self.study.write()
            self.callback.on_tuned(result)

    def train(self) -> None:
        """Do what is left of all runs: side by side those that differ in their seed or learning rate alone."""
        members = self.study.members
        numbered = enumerate(members, start=1)
        for _, group in itertools.groupby(numbered, key=lambda one: _program(one[1])):
            left = [(number, member) for number, member in group if self._is_left(member)]
            if self._is_stopping():
                break
            if left:
                self._train_group(left, len(members))

    def _train_group(self, left: Sequence[tuple[int, Member]], count: int) -> None:
        """Train the members of a group; a run that diverges is at its end, and the others continue."""
        setup = self.parts.set_up(left[0][1].config)
        at_once = 1
        if not self.parts.have_objects and not setup.plan.is_open:
            at_once = lanes_for(self.at_once, len(left), self.parts.data, setup.engine.count_parameters())

        lanes = Lanes(at_once, self._is_stopping)
        lanes.run([partial(self._train_one, member, number, count, lanes) for number, member in left])

    def _train_one(self, member: Member, number: int, count: int, lanes: Lanes) -> None:
        """Do what is left of one run."""
        folder = self.study.folder_of(member)
        run = Run.open(folder) if is_own(folder / "run.toml") else None
        setup = self.parts.set_up(member.config, lanes.at_once)

        about = RunStart(member.name, setup.config, number, count, setup.plan, lanes.at_once)
        with FollowedInTurn(self.callback.follow, about, self._turn) as followers:
            callbacks = (*followers, StopWhen(lambda: lanes.is_stopping))

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
        custom = dataclasses.replace(setup.custom, data=True, tried=False)
        resume_with(run.path, custom, self.parts.data, changes, tuple(callbacks))

    def _is_left(self, member: Member) -> bool:
        """Return whether there is something to do for a run."""
        folder = self.study.folder_of(member)
        try:
            refuse_link(folder)
        except OSError as error:
            raise RunError(f"cannot write in {folder}: {error.strerror}") from error
        if not is_own(folder / "run.toml"):
            return True
        return not _is_over(Run.open(folder), member.config.plan(len(self.parts.data.train)))

    def _is_stopping(self) -> bool:
        """Return whether a stop is asked for; the question is the user's, and not asked twice at once."""
        with self._turn:
            return self.should_stop()


def _program(member: Member) -> tuple[Any, ...]:
    """Return what decides the compiled program of a run, and with it what shares its seconds."""
    config = member.config
    return (config.model, config.optimizer, config.batch_size)


def _is_over(run: Run, plan: Plan) -> bool:
    """Return whether nothing is left to do for a run: it diverged, or finished with all of its budget, or more."""
    if run.status != "finished":
        return run.status == "diverged"
    return run.plan.budget == plan.budget or plan.is_spent(run.position, run.record.training_seconds)


def _clear(folder: Path) -> None:
    """Remove what a process that was killed before it wrote `run.toml` may have left."""
    if folder.exists():
        with HeldFolder.own(folder) as held:
            held.remove_leftovers()
            held.remove("run.lock")
