"""What starts and continues runs: `train`, `resume` and `rerun`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from types import NoneType
from typing import Any, Literal

import optax

from epochal.clock import Plan, Position, Span
from epochal.config import BUDGETS, TrainConfig
from epochal.data import load_data
from epochal.engine import Metric, check_warmup, present_settings
from epochal.errors import OptionError, PlanError, RunError
from epochal.files import atomic_write, refuse_link, remove_leftovers
from epochal.lock import locked
from epochal.models import Model
from epochal.options import listed
from epochal.record.checkpoint_file import checkpoint_files, iteration_of, newest_checkpoint
from epochal.record.folder import RunFolder, create_run_folder
from epochal.record.history import History
from epochal.record.rows import EvaluationRow, best_evaluation
from epochal.record.run_record import RunRecord
from epochal.record.run_toml import RunFile, present_versions, read_run_toml, write_run_toml
from epochal.record.writer import HistoryWriter
from epochal.run.callbacks import Callback, Callbacks, Patience, followers
from epochal.run.checkpoints import Checkpoints, CheckpointSaver, Snapshots
from epochal.run.divergence import Divergence
from epochal.run.fit import fit
from epochal.run.point import Point, restored
from epochal.run.progress import progress_bar
from epochal.run.recorder import MemoryWriter, Recorder
from epochal.run.run import DataSource, Run
from epochal.run.setup import Custom, Setup, anchored, set_up


def train(
    data: DataSource = "digits",
    *,
    model: str | Model = "mlp",
    optimizer: str | optax.GradientTransformation | None = None,
    loss: str | Callable[..., Any] | None = None,
    metrics: str | Metric | Iterable[str | Metric] | None = None,
    run: str | os.PathLike[str] | Literal[False] | None = None,
    callbacks: Callback | Iterable[Callback] | None = None,
    listener: Callable[[Any], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Run:
    """Train a model and return its `Run`.

    >>> run = train("digits", batch_size=100, epochs=50)  # doctest: +SKIP

    Args:
        data: a data set's name, a file or folder, arrays ``(x, y)``, a frame, or anything else that
            `epochal.load_data` takes.
        model: linear, mlp, cnn or rnn, or a `Model` of your own (`epochal.from_functions`).
        optimizer: sgd, momentum, nesterov, adam, adamw, rmsprop, adagrad, lion or adafactor; or an Optax
            transformation. Default: the model's.
        loss: cross-entropy, mean-squared-error, or a function ``(outputs, targets) -> one loss a sample``.
        metrics: what evaluations measure beside the loss: names, or `Metric` objects of your own.
            Default: accuracy for classification, rmse, mae and r2 for regression.
        run: the folder to make; ``False`` writes nothing. Default: ``runs/DATA-MODEL-1``, or the next free number.
        callbacks: follow the training (`epochal.Callback`), and may end it.
        listener: a function in place of a callback, called with all that callbacks are told.
        should_stop: asked before each chunk of iterations; a true answer ends the training there.
        progress: whether to show a bar. Default: where there is a terminal or a notebook.
        options: the other fields of `TrainConfig`, such as ``batch_size=100``, ``epochs=10``, ``lr=0.1``.

    Raises:
        EpochalError: for anything that the user can fix, before anything is written.
    """
    custom = _custom(data, model, optimizer, loss, metrics)
    named = {
        "data": None if custom.data else data,
        "model": None if custom.model is not None else model,
        "optimizer": None if custom.optimizer is not None else optimizer,
        "loss": None if callable(loss) else loss,
    }
    names = [one for one in listed_metrics(metrics) if isinstance(one, str)]
    given = {name: value for name, value in {**named, "metrics": names or None}.items() if value is not None}
    held = _held_out(options)
    if held:
        custom = dataclasses.replace(custom, data=True)
    config = TrainConfig.from_dict({**given, **options})
    dataset = load_data(data, **{**config.loading, **held, "as_given": custom.model is not None})

    if custom.model is not None:
        config = dataclasses.replace(config, model=custom.model.name)
    if custom.data:
        config = dataclasses.replace(config, data=dataset.name)

    setup = set_up(config, dataset, custom)

    with progress_bar(progress) as bar:
        told = (*bar, *followers(callbacks, listener, should_stop))
        return train_in_memory(setup, told) if run is False else start(setup, run, told)


def _held_out(options: dict[str, Any]) -> dict[str, Any]:
    """Take from a training's options the splits that are given as objects, and not as a share or a file."""
    names = [name for name in ("test", "validation") if name in options]
    return {
        name: options.pop(name) for name in names if not isinstance(options[name], (str, os.PathLike, Number, NoneType))
    }


def start(
    setup: Setup, path: str | os.PathLike[str] | None = None, callbacks: Callback | Iterable[Callback] | None = None
) -> Run:
    """Train what is set up, in a new run folder, to the end of its plan."""
    parameters = setup.engine.count_parameters()  # the model must fit before anything is written
    folder = create_run_folder(None if path is None else Path(path), f"{setup.data.name}-{setup.config.model}")
    return _start_in_folder(folder, setup.run_file(parameters), setup, followers(callbacks))


def train_in_memory(setup: Setup, callbacks: Callback | Iterable[Callback] | None = None) -> Run:
    """Train what is set up to the end of its plan, without a folder: nothing is written."""
    config = setup.config
    if config.snapshots or config.checkpoint_every is not None:
        option = "snapshots" if config.snapshots else "checkpoint_every"
        raise OptionError(f"{option} needs a run folder; leave out run=False, or {option}")

    file = setup.run_file(setup.engine.count_parameters())
    writer = MemoryWriter()
    recorder = Recorder(writer)
    divergence = Divergence(recorder, config.lr) if config.on_nan == "stop" else None
    members = Callbacks.of(recorder, divergence, told=followers(callbacks))
    for message in setup.warnings:
        members.warn(message)
    point = fit(
        setup.engine, setup.plan, Point(setup.engine.initial_state()), members, evaluate_every=config.evaluate_every
    )

    history = writer.history()
    record = RunRecord(None, file, history, str(history.last_status), point.position)
    return Run(record, setup, point.state)


def resume(
    path: str | os.PathLike[str],
    *,
    data: DataSource | None = None,
    model: Model | None = None,
    optimizer: optax.GradientTransformation | None = None,
    loss: Callable[..., Any] | None = None,
    metrics: str | Metric | Iterable[str | Metric] | None = None,
    callbacks: Callback | Iterable[Callback] | None = None,
    listener: Callable[[Any], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    progress: bool | None = None,
    **changes: Any,
) -> Run:
    """Continue a run. The result is bit-identical to an uninterrupted run.

    A finished run is returned as it is.

    Args:
        path: the run folder.
        data: as for `train`, where they were no name; of a file, where it is now.
        model: likewise.
        optimizer: likewise.
        loss: likewise.
        metrics: `Metric` objects of your own, likewise.
        callbacks: as for `train`.
        listener: as for `train`.
        should_stop: as for `train`.
        progress: as for `train`.
        changes: options that apply from the current iteration on: ``epochs``, ``iterations`` or ``budget`` (in all),
            ``batch_size``, ``micro_batch``, ``shards``, ``lr``, ``evaluate_every``, ``checkpoint_every``, ``on_nan``.
            They are recorded in `run.toml`. With ``iterations`` of just where it stands, an unfinished run ends there.

    Raises:
        RunError: where the run is in use or damaged, or a new budget ends before the position.
    """
    folder = RunFolder(Path(path))
    read_run_toml(folder.run_toml)  # says what is wrong before a lock file is made

    custom = _custom("" if data is None else data, model, optimizer, loss, metrics)
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(progress))
        stack.enter_context(locked(folder.lock))
        record = RunRecord.read(folder.path, check=True)
        writer = stack.enter_context(HistoryWriter(folder.history_db))
        told = (*bar, *followers(callbacks, listener, should_stop))
        setup = Run(record).rebuild(custom, data)
        file = _with_data_at(record.file, data)
        if file != record.file:
            write_run_toml(folder.run_toml, file)
        session = _Session(folder, file, Recorder(writer), told, record.history)
        point = session.last_point(setup)
        if changes := {name: value for name, value in changes.items() if value is not None}:
            setup = session.change(point, setup, changes)
        elif record.history.last_status == "finished" and setup.plan.is_spent(point.position, point.seconds):
            return Run(record, setup)
        setup = session.work(point, setup)
    return Run.open(path, setup)


@dataclass(frozen=True, slots=True)
class Rerun:
    """A run that was repeated, and whether its weights are bit-identical to the original's."""

    original: Run
    repeated: Run

    @property
    def is_same(self) -> bool:
        """Whether the weights are bit-identical."""
        return self.original.weights_sha256 == self.repeated.weights_sha256


def rerun(
    path: str | os.PathLike[str],
    to: str | os.PathLike[str] | None = None,
    *,
    data: DataSource | None = None,
    model: Model | None = None,
    optimizer: optax.GradientTransformation | None = None,
    loss: Callable[..., Any] | None = None,
    metrics: str | Metric | Iterable[str | Metric] | None = None,
    callbacks: Callback | Iterable[Callback] | None = None,
    listener: Callable[[Any], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    progress: bool | None = None,
) -> Rerun:
    """Repeat a run from its `run.toml`, changes included, up to where it stands now, in the new folder ``to``.

    The other arguments are those of `resume`.
    """
    original = Run.open(path)
    checkpoint = original.record.checkpoint()
    original.file.check_origin(checkpoint.origin, checkpoint.position.iteration)
    custom = _custom("" if data is None else data, model, optimizer, loss, metrics)
    setup = original.rebuild(custom, data)

    until = checkpoint.position.iteration
    file = _at_present(original.file, setup).with_iterations(until)
    again = set_up(file.config_at(0), setup.data, setup.custom, file.lengths_at(0))
    setup = dataclasses.replace(again, warnings=setup.warnings)
    setup.engine.count_parameters()
    folder = create_run_folder(None if to is None else Path(to), f"{Path(path).resolve().name}-rerun")

    with progress_bar(progress) as bar:
        return Rerun(
            original,
            _start_in_folder(folder, file, setup, (*bar, *followers(callbacks, listener, should_stop)), until=until),
        )


def _with_data_at(file: RunFile, data: DataSource | None) -> RunFile:
    """Return what `run.toml` holds once its data have another place."""
    if not isinstance(data, (str, os.PathLike)) or "data" in file.custom:
        return file
    return dataclasses.replace(file, config=anchored(dataclasses.replace(file.config, data=os.fspath(data))))


def _custom(data: Any, model: Any, optimizer: Any, loss: Any, metrics: Any) -> Custom:
    """Return the parts that are no names."""
    return Custom(
        model=None if isinstance(model, str) else model,
        optimizer=None if isinstance(optimizer, str) else optimizer,
        loss=loss if callable(loss) else None,
        data=not isinstance(data, (str, os.PathLike)),
        metrics=listed_metrics(metrics) or None,
    )


def listed_metrics(metrics: Any) -> tuple[str | Metric, ...]:
    """Return metrics as a tuple: one, several, or none."""
    if metrics is None:
        return ()
    return (metrics,) if isinstance(metrics, Metric) else listed(metrics)


def _check_position(plan: Plan, position: Position) -> None:
    """Refuse a batch that the rest of the epoch does not hold, where an epoch drops such a rest: raises `PlanError`."""
    if plan.iterations_left_in_epoch(position) == 0:
        left = plan.samples - position.offset
        raise PlanError(
            f"epoch {position.epoch + 1:,} has {left:,} samples left, which hold no batch of {plan.batch_size:,}, and "
            f"last is 'drop'; take at most {left:,}, or change the batch size between two epochs"
        )


def _at_present(file: RunFile, setup: Setup) -> RunFile:
    """Return the file with the versions, the device and the settings of this process."""
    return dataclasses.replace(
        file, versions=present_versions(), device=setup.present_device, settings=present_settings()
    )


def _start_in_folder(
    folder: RunFolder, file: RunFile, setup: Setup, told: tuple[Callback, ...], until: int | None = None
) -> Run:
    with locked(folder.lock):
        if folder.run_toml.exists():
            raise RunError(f"{folder.path} was begun by another process just now; choose another folder")
        # first what run.toml names, then run.toml
        _write_schema(folder, setup)
        write_run_toml(folder.run_toml, file)
        with HistoryWriter(folder.history_db) as writer:
            session = _Session(folder, file, Recorder(writer), told, History.empty(), until)
            setup = session.work(Point(setup.engine.initial_state()), setup)
    return Run.open(folder.path, setup)


def _write_schema(folder: RunFolder, setup: Setup) -> None:
    try:
        atomic_write(folder.preprocessing, setup.schema.to_json().encode())
    except OSError as error:
        raise RunError(f"cannot write {folder.preprocessing}: {error.strerror}") from error


@dataclass(slots=True)
class _Session:
    """One process's work on a run folder, through its changes, to its end, or to iteration ``until``."""

    folder: RunFolder
    file: RunFile
    recorder: Recorder
    told: tuple[Callback, ...]
    history: History
    until: int | None = None

    def last_point(self, setup: Setup) -> Point:
        """Return the newest undamaged checkpoint as a starting point, or the beginning."""
        checkpoint = newest_checkpoint(self.folder.checkpoints, lambda: self.history.iterations, self._warn)
        if checkpoint is None:
            return Point(setup.engine.initial_state())
        self.file.check_origin(checkpoint.origin, checkpoint.position.iteration)
        return restored(checkpoint, setup.engine.initial_state, self.history)

    def change(self, point: Point, setup: Setup, changes: Mapping[str, Any]) -> Setup:
        """Write changes from this point on into `run.toml`, and return what is trained with from there.

        Raises what `set_up` raises, and `PlanError` for a budget that is spent, before anything is written.
        """
        position = point.position
        config = self.file.present_config.changed(changes)
        plan = config.plan(self.file.data.train)
        ends_here = plan.budget == Span.iterations(position.iteration) and self.history.last_status != "finished"
        if plan.is_spent(position, point.seconds) and not ends_here:
            raise PlanError(
                f"{self.folder.path} stands at iteration {position.iteration:,} (epoch {position.epoch:,}), so a "
                f"budget of {plan.budget} is spent; give a larger one, such as --epochs {position.epoch + 10}"
            )

        # as they were read, not as they were given: NumPy's numbers and texts are plain ones by now
        options = {name: getattr(config, name) for name in changes if name not in BUDGETS}
        if BUDGETS & changes.keys():
            options["budget"] = str(plan.budget)
        if "batch_size" in options:
            options["batch_size"] = plan.batch_size

        file = self.file.with_change(position, options)
        changed = set_up(file.present_config, setup.data, setup.custom, file.present_lengths)
        setup = dataclasses.replace(changed, warnings=setup.warnings)
        if not ends_here:
            _check_position(plan, position)
            check_warmup(config.warmup, setup.lengths)
            setup.engine.prepare(point.state, plan.next_batch_size(position))

        self.file = file
        write_run_toml(self.folder.run_toml, file)
        self.recorder.writer.add_event(position.iteration, "changed", **options)
        return setup

    def work(self, point: Point, setup: Setup) -> Setup:
        """Train from a point to the end, one configuration after another; return what the last one was trained with."""
        self._begin(point.position, setup)
        for message in setup.warnings:
            self._warn(message)
        best = best_evaluation(row for row in self.history.evaluations if row.iteration <= point.position.iteration)

        with CheckpointSaver(self.folder.checkpoints) as saver:
            while True:
                iteration = point.position.iteration
                config, change = self.file.config_at(iteration), self.file.next_change(iteration)
                lengths = self.file.lengths_at(iteration)
                if (config, lengths) != (setup.config, setup.lengths):
                    setup = set_up(config, setup.data, setup.custom, lengths)

                is_last = change is None or (self.until is not None and self.until <= change)
                checkpoints, callbacks = self._callbacks(setup, saver, best)
                point = fit(
                    setup.engine,
                    setup.plan,
                    point,
                    callbacks,
                    evaluate_every=config.evaluate_every,
                    until=self.until if is_last else change,
                    at_until="stopped" if is_last else "changed",
                )

                best = checkpoints.best
                if is_last or point.position.iteration != change:
                    return setup

    def _callbacks(
        self, setup: Setup, saver: CheckpointSaver, best: EvaluationRow | None
    ) -> tuple[Checkpoints, Callbacks]:
        """Return what follows the training under one configuration; the order matters: history before checkpoints."""
        config, recorder = setup.config, self.recorder
        saver.set_interval(config.checkpoint_every)
        origin = _at_present(self.file, setup).origin
        divergence = Divergence(recorder, config.lr, self.folder, saver) if config.on_nan == "stop" else None
        checkpoints = Checkpoints(saver, recorder, origin, best, divergence)
        snapshots = Snapshots(saver, self.folder.snapshots, origin) if config.snapshots else None
        patience = None
        if config.patience is not None:
            patience = Patience(setup.plan, Span.parse(config.patience), best, self._warn)
        return checkpoints, Callbacks.of(recorder, divergence, checkpoints, snapshots, patience, told=self.told)

    def _warn(self, message: str) -> None:
        """Put a warning into the history and tell the caller's callbacks."""
        self.recorder.writer.add_event(self.history.iterations, "warned", message=message)
        Callbacks.of(told=self.told).warn(message)

    def _begin(self, position: Position, setup: Setup) -> None:
        """Forget what came after the position, and record who continues from there."""
        known, present = self.file, _at_present(self.file, setup)
        changed = [
            f"{name} {known.versions.get(name)} → {version}"
            for name, version in present.versions.items()
            if known.versions.get(name) != version
        ]

        for name in sorted(known.settings.keys() | present.settings.keys()):
            then, now = (settings.get(name, "the default") for settings in (known.settings, present.settings))
            if then != now:
                changed.append(f"{name} {then} → {now}")

        if known.device.gives_other_bits(present.device):
            changed.append(f"device {known.device} → {present.device}")

        if changed:
            self._warn(
                "this environment differs from the one the run started in; results may not be bit-identical: "
                + ", ".join(changed)
            )

        self._forget_files_after(position.iteration)
        writer = self.recorder.writer
        writer.roll_back(position.iteration)
        kind = "resumed" if position.iteration else "started"
        device = present.to_dict()["device"]
        writer.add_event(position.iteration, kind, process=os.getpid(), versions=present.versions, device=device)

    def _forget_files_after(self, iteration: int) -> None:
        """Clear away what a killed process left: half-written files, and files from after the iteration.

        Checkpoints that were passed over are put aside, so that no later start takes them for this run's; snapshots
        will be made again.
        """
        folder = self.folder
        try:
            for place in (folder.checkpoints, folder.snapshots):
                refuse_link(place)
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
