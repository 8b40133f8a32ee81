"""What starts and continues runs: `train`, `resume` and `rerun`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optax

from epochal.clock import Position, Span
from epochal.data import load_data
from epochal.engine import State
from epochal.errors import PlanError
from epochal.models import Model
from epochal.run.checkpoint import EpochSoFar, newest_checkpoint
from epochal.run.config import BUDGETS, TrainConfig
from epochal.run.events import Event, Listener, Warned
from epochal.run.folder import Change, create_run_folder, present_versions
from epochal.run.history import HistoryWriter
from epochal.run.lock import locked
from epochal.run.run import DataSource, Run
from epochal.run.saving import CheckpointSaver
from epochal.run.setup import Custom, Setup, set_up
from epochal.run.training import Training

StopQuestion = Callable[[], bool]


def train(
    data: DataSource = "digits",
    *,
    model: str | Model = "mlp",
    optimizer: str | optax.GradientTransformation = "sgd",
    loss: str | Callable[..., Any] | None = None,
    run: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    should_stop: StopQuestion | None = None,
    **options: Any,
) -> Run:
    """Train a model and return its `Run`.

    >>> run = train("digits", batch_size=100, epochs=50)  # doctest: +SKIP

    Args:
        data: a data set's name, a file or folder, a `Dataset`, or arrays ``(x, y)``.
        model: linear, mlp, cnn or rnn, or a `Model` of your own (`epochal.from_functions`).
        optimizer: sgd, momentum, nesterov, adam or adamw, or any Optax transformation.
        loss: cross-entropy, mean-squared-error, or a function ``(outputs, targets) -> one loss a sample``.
        run: the folder to make; ``runs/DATA-MODEL-1`` (or the next free number) where not given.
        listener: called with each event (`epochal.run.events`) while training.
        should_stop: asked after each chunk of iterations; a true answer ends the training there.
        options: the other fields of `TrainConfig`, such as ``batch_size=100``, ``epochs=10``, ``lr=0.1``.

    Raises:
        EpochalError: for anything that the user can mend, before anything is written.
    """
    custom = _custom(data, model, optimizer, loss)
    named: dict[str, Any] = {"data": data, "model": model, "optimizer": optimizer, "loss": loss}
    given = {name: os.fspath(value) for name, value in named.items() if isinstance(value, (str, os.PathLike))}
    config = TrainConfig.from_dict({**given, **options})
    dataset = load_data(data, target=config.target, task=config.task)
    if custom.model is not None:
        config = dataclasses.replace(config, model=custom.model.name)
    if custom.data:
        config = dataclasses.replace(config, data=dataset.name)
    return start(set_up(config, dataset, custom), run, listener, should_stop)


def start(
    setup: Setup,
    path: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    should_stop: StopQuestion | None = None,
) -> Run:
    """Train what is set up, in a new run folder, to the end of its plan."""
    parameters = setup.engine.count_parameters()  # the model must fit before anything is written
    folder = create_run_folder(None if path is None else Path(path), f"{setup.data.name}-{setup.config.model}")
    return _start_in_folder(Run(folder, setup.run_file(parameters)), setup, listener, should_stop)


def resume(
    path: str | os.PathLike[str],
    *,
    data: DataSource | None = None,
    model: Model | None = None,
    optimizer: optax.GradientTransformation | None = None,
    loss: Callable[..., Any] | None = None,
    listener: Listener | None = None,
    should_stop: StopQuestion | None = None,
    **changes: Any,
) -> Run:
    """Go on with a run where it was stopped or killed, to the same bits as if it never had been.

    A finished run is returned as it is.

    Args:
        path: the run folder.
        data: as for `train`, where they were no name.
        model: likewise.
        optimizer: likewise.
        loss: likewise.
        listener: as for `train`.
        should_stop: as for `train`.
        changes: from here on: ``epochs``, ``iterations`` or ``budget`` (in all), ``batch_size``, ``micro_batch``,
            ``lr``, ``evaluate_every``, ``checkpoint_every``, ``on_nan``. They are recorded in `run.toml`. With
            ``iterations`` of just where it stands, an unfinished run ends there.

    Raises:
        RunError: where the run is in use or damaged, or a new budget ends before the position.
    """
    run = Run.open(path)
    custom = Custom(model, optimizer, loss, data is not None and not isinstance(data, (str, os.PathLike)))
    with locked(run.folder.lock), HistoryWriter(run.folder.history_db) as writer:
        run.history.check()
        session = _Session(run, writer, listener, should_stop)
        setup = run.rebuild(custom, data)
        point = session.last_point(setup)
        is_at_end = not setup.plan.remaining(point.position).amount
        if is_at_end and not changes and run.history.last_status == "finished":
            return run
        if changes:
            session.record_changes(point.position, changes)
        return session.work(point, setup)


@dataclass(frozen=True, slots=True)
class Rerun:
    """A run that was repeated, and whether its weights have the original's bits."""

    original: Run
    repeated: Run

    @property
    def is_same(self) -> bool:
        """Whether the weights have the same bits."""
        return self.original.weights_sha256 == self.repeated.weights_sha256


def rerun(
    path: str | os.PathLike[str],
    to: str | os.PathLike[str] | None = None,
    *,
    listener: Listener | None = None,
    should_stop: StopQuestion | None = None,
) -> Rerun:
    """Repeat a run from its `run.toml`, changes included, up to where it stands now."""
    original = Run.open(path)
    end = original.checkpoint.position.iteration
    setup = original.rebuild()
    folder = create_run_folder(None if to is None else Path(to), f"{original.path.resolve().name}-rerun")
    run = Run(folder, dataclasses.replace(original.file, versions=present_versions()))
    repeated = _start_in_folder(run, setup, listener, should_stop, until=end)
    return Rerun(original, repeated)


def _custom(data: DataSource, model: Any, optimizer: Any, loss: Any) -> Custom:
    """Return the parts that are no names."""
    return Custom(
        model=None if isinstance(model, str) else model,
        optimizer=None if isinstance(optimizer, str) else optimizer,
        loss=loss if callable(loss) else None,
        data=not isinstance(data, (str, os.PathLike)),
    )


def _start_in_folder(
    run: Run, setup: Setup, listener: Listener | None, should_stop: StopQuestion | None, until: int | None = None
) -> Run:
    with locked(run.folder.lock):
        run.folder.write(run.file)
        with HistoryWriter(run.folder.history_db) as writer:
            session = _Session(run, writer, listener, should_stop, until)
            return session.work(_Point(setup.engine.initial_state()), setup)


@dataclass(frozen=True, slots=True)
class _Point:
    """Where a session starts."""

    state: State
    position: Position = field(default_factory=Position)
    so_far: EpochSoFar = field(default_factory=EpochSoFar)


@dataclass(slots=True)
class _Session:
    """One process's work on a run, through its changes, to its end, or to iteration ``until``."""

    run: Run
    history: HistoryWriter
    listener: Listener | None = None
    should_stop: StopQuestion | None = None
    until: int | None = None

    def last_point(self, setup: Setup) -> _Point:
        """Return the newest undamaged checkpoint as a starting point, or the beginning."""
        state = setup.engine.initial_state()
        folder, iterations = self.run.folder.checkpoints, self.run.history.iterations
        checkpoint = newest_checkpoint(folder, iterations, self.warn)
        if checkpoint is None:
            return _Point(state)
        return _Point(checkpoint.state(state), checkpoint.position, checkpoint.so_far)

    def record_changes(self, position: Position, changes: Mapping[str, Any]) -> None:
        """Write changes from this position on into `run.toml`, with their defaults filled in."""
        file = self.run.file
        plan = file.present_config.changed(changes).plan(file.data["train"])
        ends_here = plan.budget == Span.iterations(position.iteration) and self.run.history.last_status != "finished"
        if not plan.remaining(position).amount and not ends_here:
            raise PlanError(
                f"{self.run.path} stands at iteration {position.iteration:,} (epoch {position.epoch:,}), so a budget "
                f"of {plan.budget} is spent; give a larger one, such as --epochs {position.epoch + 10}"
            )
        options = {name: value for name, value in changes.items() if name not in BUDGETS}
        if BUDGETS & changes.keys():
            options["budget"] = str(plan.budget)
        if "batch_size" in options:
            options["batch_size"] = plan.batch_size
        past = tuple(change for change in file.changes if change.iteration <= position.iteration)
        self.run.file = dataclasses.replace(file, changes=(*past, Change(position.iteration, options)))
        self.run.folder.write(self.run.file)
        self.history.add_event(position.iteration, "changed", **options)

    def work(self, point: _Point, setup: Setup) -> Run:
        """Train from a point to the end, one configuration after another."""
        file = self.run.file
        self._begin(point.position)
        with CheckpointSaver(self.run.folder.checkpoints, setup.config.checkpoint_every) as saver:
            best = self.run.history.best_evaluation()
            saver.best = best.iteration if best else None
            while True:
                config = file.config_at(point.position.iteration)
                if config != setup.config:
                    setup = set_up(config, setup.data, setup.custom)
                change = file.next_change(point.position.iteration)
                training = self._training(setup, saver, point, change)
                training.best = best
                status = training.run()
                point, best = _Point(training.state, training.position, training.so_far), training.best
                if status == "stopped" or point.position.iteration != change:
                    break
        return Run(self.run.folder, file, setup)

    def warn(self, message: str) -> None:
        """Put a warning into the history and tell the listener."""
        self.history.add_event(self.run.history.iterations, "warned", message=message)
        self._tell(Warned(message))

    def _begin(self, position: Position) -> None:
        """Forget what came after the position, and record who goes on from there."""
        known, present = self.run.file.versions, present_versions()
        changed = [
            f"{name} {known.get(name)} → {present[name]}" for name in present if known.get(name) != present[name]
        ]
        if changed:
            self.warn(f"other versions than the run began with, so its bits may differ: {', '.join(changed)}")
        self.history.roll_back(position.iteration)
        kind = "resumed" if position.iteration else "started"
        self.history.add_event(position.iteration, kind, process=os.getpid(), versions=present)

    def _training(self, setup: Setup, saver: CheckpointSaver, point: _Point, change: int | None) -> Training:
        return Training(
            setup=setup,
            folder=self.run.folder,
            history=self.history,
            saver=saver,
            listener=self._tell,
            should_stop=self.should_stop or (lambda: False),
            state=point.state,
            position=point.position,
            so_far=point.so_far,
            stop_at=min((end for end in (change, self.until) if end is not None), default=None),
        )

    def _tell(self, event: Event) -> None:
        if self.listener is not None:
            self.listener(event)
