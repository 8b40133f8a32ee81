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
from epochal.config import BUDGETS, TrainConfig
from epochal.data import load_data
from epochal.engine import State
from epochal.errors import PlanError, RunError
from epochal.files import remove_leftovers
from epochal.lock import locked
from epochal.models import Model
from epochal.record.checkpoint import EpochSoFar, checkpoint_files, iteration_of, newest_checkpoint
from epochal.record.events import Event, Listener, Warned
from epochal.record.folder import Change, RunFile, create_run_folder, present_versions
from epochal.record.writer import HistoryWriter
from epochal.run.run import DataSource, Run
from epochal.run.saving import CheckpointSaver
from epochal.run.setup import Custom, Setup, set_up
from epochal.run.training import Training

StopQuestion = Callable[[], bool]


def train(
    data: DataSource = "digits",
    *,
    model: str | Model = "mlp",
    optimizer: str | optax.GradientTransformation | None = None,
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
        optimizer: sgd, momentum, nesterov, adam or adamw, or an Optax transformation; ``None``: the model's usual one.
        loss: cross-entropy, mean-squared-error, or a function ``(outputs, targets) -> one loss a sample``.
        run: the folder to make; ``runs/DATA-MODEL-1`` (or the next free number) where not given.
        listener: called with each event (`epochal.record.events`) while training.
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
            ``shards``, ``lr``, ``evaluate_every``, ``checkpoint_every``, ``on_nan``. They are recorded in `run.toml`.
            With ``iterations`` of just where it stands, an unfinished run ends there.

    Raises:
        RunError: where the run is in use or damaged, or a new budget ends before the position.
    """
    run = Run.open(path)
    custom = Custom(model, optimizer, loss, data is not None and not isinstance(data, (str, os.PathLike)))
    with locked(run.folder.lock):
        run = Run.open(path)  # nobody changes it any more
        run.check()
        with HistoryWriter(run.folder.history_db) as writer:
            session = _Session(run, writer, listener, should_stop)
            setup = run.rebuild(custom, data)
            point = session.last_point(setup)
            if changes:
                setup = session.change(point, setup, changes)
            elif not setup.plan.remaining(point.position).amount and run.history.last_status == "finished":
                return run
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
    data: DataSource | None = None,
    model: Model | None = None,
    optimizer: optax.GradientTransformation | None = None,
    loss: Callable[..., Any] | None = None,
    listener: Listener | None = None,
    should_stop: StopQuestion | None = None,
) -> Rerun:
    """Repeat a run from its `run.toml`, changes included, up to where it stands now, in the new folder ``to``.

    The other arguments are those of `resume`.
    """
    original = Run.open(path)
    checkpoint = original.checkpoint
    original.file.check_origin(checkpoint.origin, checkpoint.position.iteration)
    custom = Custom(model, optimizer, loss, data is not None and not isinstance(data, (str, os.PathLike)))
    setup = original.rebuild(custom, data)
    folder = create_run_folder(None if to is None else Path(to), f"{original.path.resolve().name}-rerun")
    run = Run(folder, _at_present(original.file, setup))
    repeated = _start_in_folder(run, setup, listener, should_stop, until=checkpoint.position.iteration)
    return Rerun(original, repeated)


def _custom(data: DataSource, model: Any, optimizer: Any, loss: Any) -> Custom:
    """Return the parts that are no names."""
    return Custom(
        model=None if isinstance(model, str) else model,
        optimizer=None if isinstance(optimizer, str) else optimizer,
        loss=loss if callable(loss) else None,
        data=not isinstance(data, (str, os.PathLike)),
    )


def _at_present(file: RunFile, setup: Setup) -> RunFile:
    """Return the file with the versions and the device of this process."""
    return dataclasses.replace(file, versions=present_versions(), device=setup.present_device)


def _start_in_folder(
    run: Run, setup: Setup, listener: Listener | None, should_stop: StopQuestion | None, until: int | None = None
) -> Run:
    with locked(run.folder.lock):
        if run.folder.run_toml.exists():
            raise RunError(f"{run.path} was begun by another process just now; choose another folder")
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
        history = self.run.history
        checkpoint = newest_checkpoint(self.run.folder.checkpoints, lambda: history.iterations, self.warn)
        if checkpoint is None:
            return _Point(setup.engine.initial_state())
        self.run.file.check_origin(checkpoint.origin, checkpoint.position.iteration)
        return _Point(checkpoint.state(setup.engine.initial_state), checkpoint.position, checkpoint.so_far)

    def change(self, point: _Point, setup: Setup, changes: Mapping[str, Any]) -> Setup:
        """Write changes from this point on into `run.toml`, and return what is trained with from there.

        Raises what `set_up` raises, and `PlanError` for a budget that is spent, before anything is written.
        """
        file, position = self.run.file, point.position
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
        file = dataclasses.replace(file, changes=(*past, Change(position.iteration, options)))
        setup = set_up(file.present_config, setup.data, setup.custom)
        setup.engine.prepare(point.state, setup.plan.next_batch_size(position))
        self.run.file = file
        self.run.folder.write(file)
        self.history.add_event(position.iteration, "changed", **options)
        return setup

    def work(self, point: _Point, setup: Setup) -> Run:
        """Train from a point to the end, one configuration after another."""
        file = self.run.file
        self._begin(point.position, setup)
        with CheckpointSaver(self.run.folder.checkpoints) as saver:
            best = self.run.history.best_evaluation()
            saver.best = best.iteration if best else None
            while True:
                config = file.config_at(point.position.iteration)
                if config != setup.config:
                    setup = set_up(config, setup.data, setup.custom)
                saver.set_interval(config.checkpoint_every)
                training = self._training(setup, saver, point)
                training.best = best
                status = training.run()
                point, best = _Point(training.state, training.position, training.so_far), training.best
                if status != "changed":
                    break
        return Run(self.run.folder, file, setup)

    def warn(self, message: str) -> None:
        """Put a warning into the history and tell the listener."""
        self.history.add_event(self.run.history.iterations, "warned", message=message)
        self._tell(Warned(message))

    def _begin(self, position: Position, setup: Setup) -> None:
        """Forget what came after the position, and record who goes on from there."""
        known, present = self.run.file, _at_present(self.run.file, setup)
        changed = [
            f"{name} {known.versions.get(name)} → {version}"
            for name, version in present.versions.items()
            if known.versions.get(name) != version
        ]
        if _differ(known.device, present.device):
            changed.append(f"device {_words(known.device)} → {_words(present.device)}")
        if changed:
            self.warn(f"the run began with others, so its bits may differ: {', '.join(changed)}")
        self._forget_files_after(position.iteration)
        self.history.roll_back(position.iteration)
        kind = "resumed" if position.iteration else "started"
        versions, device = present.versions, present.device
        self.history.add_event(position.iteration, kind, process=os.getpid(), versions=versions, device=device)

    def _forget_files_after(self, iteration: int) -> None:
        """Clear away what a killed process left: half-written files, and files from after the iteration.

        Checkpoints that were passed over are put aside, so that no later start takes them for this run's; snapshots
        will be made again.
        """
        folder = self.run.folder
        try:
            for place in (folder.path, folder.checkpoints, folder.snapshots):
                remove_leftovers(place)
            for path in checkpoint_files(folder.checkpoints):
                if iteration_of(path) > iteration:
                    path.replace(path.with_name(f"{path.name}.passed-over"))
            for path in checkpoint_files(folder.snapshots):
                if iteration_of(path) > iteration:
                    path.unlink()
        except OSError as error:
            raise RunError(f"cannot clear away old files in {folder.path}: {error.strerror}") from error

    def _training(self, setup: Setup, saver: CheckpointSaver, point: _Point) -> Training:
        """Return the training under one configuration, up to the next change or to ``until``."""
        change = self.run.file.next_change(point.position.iteration)
        is_last = change is None or (self.until is not None and self.until <= change)
        return Training(
            setup=setup,
            file=_at_present(self.run.file, setup),
            folder=self.run.folder,
            history=self.history,
            saver=saver,
            listener=self._tell,
            should_stop=self.should_stop or (lambda: False),
            state=point.state,
            position=point.position,
            so_far=point.so_far,
            stop_at=self.until if is_last else change,
            stop_as="stopped" if is_last else "changed",
        )

    def _tell(self, event: Event) -> None:
        if self.listener is not None:
            self.listener(event)


def _differ(known: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Say whether another device may give other bits: their number does not matter, but a CPU's processors do."""
    deciding = ("platform", "kind", "processors") if present["platform"] == "cpu" else ("platform", "kind")
    return any(known.get(name, present[name]) != present[name] for name in deciding)


def _words(device: Mapping[str, Any]) -> str:
    processors = f", {device['processors']} processors" if "processors" in device else ""
    return f"{device.get('platform')} {device.get('kind')}{processors}"
