"""The work on a study: sets up, tunes, trains each run, and after an interruption does what is left."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from epochal.clock import Plan
from epochal.config import DEFAULT_TARGET, Member, StudyConfig, TrainConfig
from epochal.data import Dataset
from epochal.errors import DataError, DivergedError, OptionError, RunError
from epochal.lock import locked
from epochal.models import Model
from epochal.record.events import Event, Listener, Progressed, Warned
from epochal.record.folder import create_run_folder
from epochal.run.run import Run
from epochal.run.session import resume, start
from epochal.run.setup import Custom, Setup, set_up
from epochal.study.study import Study, Tuned
from epochal.study.tuning import Stopped, tune

StopQuestion: TypeAlias = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects behind a study's names.

    Attributes:
        data: the loaded data.
        own_data: whether they were given as arrays, so that no name finds them again.
        models: models of the user's own, by name.
        loss: a loss function of the user's own.
    """

    data: Dataset
    own_data: bool = False
    models: Mapping[str, Model] = field(default_factory=dict)
    loss: Callable[..., Any] | None = None

    def custom(self, config: TrainConfig) -> Custom:
        """Return the parts of one run that no name can rebuild."""
        return Custom(model=self.models.get(config.model), loss=self.loss, data=self.own_data)

    def set_up(self, config: TrainConfig) -> Setup:
        """Build everything that one run needs."""
        return set_up(config, self.data, self.custom(config))


@dataclass(frozen=True, slots=True)
class Begun:
    """A run of a study that begins, or goes on.

    Attributes:
        config: what it trains, with the defaults filled in.
        number, count: which of how many runs, from 1.
        plan: what it follows; where ``seconds`` is given, its budget is no limit.
        seconds: what is left of its budget in seconds of training, if that is its budget.
    """

    name: str
    config: TrainConfig
    number: int
    count: int
    plan: Plan
    seconds: float | None


class Watcher:
    """Follows a study. This one does nothing; subclasses show what happens."""

    def study(self, study: Study) -> None:
        """Note a study that is set up and about to be worked on."""

    def tuning(self, config: TrainConfig) -> None:
        """Note that the search for this configuration's learning rate begins."""

    def tuned(self, tuned: Tuned) -> None:
        """Note what a search found."""

    def run(self, begun: Begun) -> AbstractContextManager[Listener]:
        """Return a context around a run, which yields the listener of its events."""
        return nullcontext(lambda event: None)


def work(
    config: StudyConfig,
    parts: Parts,
    path: str | os.PathLike[str] | None = None,
    watcher: Watcher | None = None,
    should_stop: StopQuestion | None = None,
) -> Study:
    """Begin or go on with a study, to its end or until a stop is asked for.

    Everything is set up once before anything is written, so that what cannot be trained is refused first.
    """
    _check(config, parts)
    study = _study_at(None if path is None else Path(path), config, parts)
    with locked(study.path / "study.lock"):
        study.write()
        watcher = watcher or Watcher()
        watcher.study(study)
        worker = _Worker(study, parts, watcher, should_stop or (lambda: False))
        try:
            worker.tune()
        except Stopped:
            return worker.study
        members = worker.study.members
        for number, member in enumerate(members, start=1):
            if worker.should_stop():
                break
            worker.train(member, number, len(members))
    return worker.study


def _check(config: StudyConfig, parts: Parts) -> None:
    """Refuse runs that cannot be trained, have no name of their own, or differ in name only."""
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
        study = Study.open(path)
        if study.data["fingerprint"] != data.fingerprint:
            raise DataError(f"'{config.shared.data}' does not hold the data that {path} was made with")
        return dataclasses.replace(study, config=config)
    folder = create_run_folder(path, f"compare-{data.name}").path
    facts = {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "train": len(data.train),
        "test": len(data.test),
        "task": data.task,
        "own": parts.own_data,
    }
    return Study(folder, config, facts)


@dataclass(slots=True)
class _Worker:
    """One process's work on a study."""

    study: Study
    parts: Parts
    watcher: Watcher
    should_stop: StopQuestion

    def tune(self) -> None:
        """Search the learning rates that are still to be found, and record each as soon as it is."""
        config = self.study.config
        if not config.tune_lr:
            return
        for member in self.study.members:
            train = member.config
            if train.seed != config.seeds[0] or train.lr is not None:
                continue
            self.watcher.tuning(train)
            custom, in_seconds = self.parts.custom(train), config.seconds is not None
            tuned = tune(train, self.parts.data, custom, self.should_stop, in_seconds=in_seconds)
            self.study = dataclasses.replace(self.study, tuned=(*self.study.tuned, tuned))
            self.study.write()
            self.watcher.tuned(tuned)

    def train(self, member: Member, number: int, count: int) -> None:
        """Do what is left of one run; a run that diverges is at its end, and the others go on."""
        folder = self.study.path / member.name
        run = Run.open(folder) if (folder / "run.toml").exists() else None
        setup = self.parts.set_up(member.config)
        seconds = None if self.study.config.seconds is None else self.study.config.seconds - _trained_seconds(run)
        if run is not None and _is_over(run, setup.plan, seconds):
            return
        with self.watcher.run(Begun(member.name, setup.config, number, count, setup.plan, seconds)) as listener:
            timer = _Timer(listener, seconds, self.should_stop)
            try:
                self._train(folder, run, setup, timer)
            except DivergedError as error:
                listener(Warned(f"{member.name}: {error}"))

    def _train(self, folder: Path, run: Run | None, setup: Setup, timer: _Timer) -> None:
        if run is None:
            _clear(folder)
            run = start(setup, folder, timer, timer.should_stop)
        elif not timer.is_over():
            changes = {} if run.plan.budget == setup.plan.budget else {"budget": str(setup.plan.budget)}
            run = self._resume(folder, setup, timer, changes)
        if timer.is_over() and run.status != "finished":
            # its time is up: what it did becomes its plan, so that it ends with an evaluation as any other run
            self._resume(folder, setup, timer, {"iterations": run.position.iteration})

    def _resume(self, folder: Path, setup: Setup, timer: _Timer, changes: Mapping[str, Any]) -> Run:
        return resume(
            folder,
            data=self.parts.data,
            model=setup.custom.model,
            loss=setup.custom.loss,
            listener=timer,
            should_stop=timer.should_stop,
            **changes,
        )


@dataclass(slots=True)
class _Timer:
    """Passes events on, and ends a run when its seconds of training are used."""

    listener: Listener
    seconds: float | None
    asked: StopQuestion
    _used: float = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self._used = event.seconds
        self.listener(event)

    def is_over(self) -> bool:
        """Return whether the run has used its seconds."""
        return self.seconds is not None and self._used >= self.seconds

    def should_stop(self) -> bool:
        return self.is_over() or self.asked()


def _is_over(run: Run, plan: Plan, seconds_left: float | None) -> bool:
    """Return whether nothing is left to do for a run: it diverged, or finished with all of its budget."""
    status = run.status
    within = seconds_left <= 0 if seconds_left is not None else run.plan.budget == plan.budget
    return status == "diverged" or (status == "finished" and within)


def _trained_seconds(run: Run | None) -> float:
    """Return the seconds of training that led to the run's newest weights, those lost by a kill not included."""
    if run is None:
        return 0.0
    try:
        checkpoint = run.checkpoint
    except RunError:
        return 0.0
    done = checkpoint.position.iteration
    complete = sum(row.seconds for row in run.history.epochs if row.complete and row.end_iteration <= done)
    return complete + checkpoint.so_far.seconds


def _clear(folder: Path) -> None:
    """Remove what a process that was killed before it wrote `run.toml` may have left."""
    for name in ("run.lock", "run.toml.tmp"):
        (folder / name).unlink(missing_ok=True)
