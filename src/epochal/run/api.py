"""What starts and continues runs: `train`, `resume` and `rerun`."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from numbers import Number
from pathlib import Path
from types import NoneType
from typing import Any, Literal

import optax

from epochal.config.options import listed
from epochal.config.train_config import TrainConfig
from epochal.data import load_data
from epochal.engine import Metric
from epochal.engine.cluster import ALONE, Cluster, present_cluster
from epochal.errors import OptionError, RunError
from epochal.files import real_path
from epochal.lock import locked
from epochal.record.folder import RunFolder, create_run_folder
from epochal.record.history import History
from epochal.record.run_record import RunRecord
from epochal.record.run_toml import RunFile, read_run_toml, write_run_toml
from epochal.record.writer import HistoryWriter
from epochal.run.anew import DataSource
from epochal.run.callbacks import Callback, Callbacks, StopWhen, followers
from epochal.run.custom import Custom
from epochal.run.divergence import Divergence
from epochal.run.fit import fit
from epochal.run.interrupts import stop_on_interrupt
from epochal.run.kept_files import keep_beginning, keep_form, keep_schema
from epochal.run.own_files_only import marked
from epochal.run.own_model import own_model
from epochal.run.point import Point
from epochal.run.progress import progress_bar
from epochal.run.recorder import MemoryWriter, Recorder
from epochal.run.run import Run
from epochal.run.session import Session, at_present
from epochal.run.setup import Setup, anchored, set_up
from epochal.run.together import (
    Beginning,
    as_one,
    follow,
    follow_file,
    hand_out,
    received,
    share_beginning,
    training_facts,
    watched,
)


def train(
    data: DataSource = "digits",
    *,
    model: Any = "mlp",
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
        model: linear, mlp (``mlp:300-100`` with these hidden sizes), cnn, lenet or rnn; a module of Flax (NNX, Linen),
            Equinox, Keras, Haiku or PyTorch, which has the trained weights afterwards (`Run.model` where it is
            immutable); ``file.py:function``, which makes one; or a `Model` of your own (`epochal.from_functions`).
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
    with as_one() as cluster:
        setup = _set_up_new(data, model, optimizer, loss, metrics, options)
        shown = progress if cluster.owns_folder else False
        with progress_bar(shown) as bar, stop_on_interrupt() as interrupt:
            told = (*bar, *interrupt.callbacks, *_own(cluster, callbacks, listener, should_stop))
            trained = train_in_memory(setup, told) if run is False else start(setup, run, told)
    return interrupt.answer(_written_back(trained))


def _set_up_new(
    data: DataSource, model: Any, optimizer: Any, loss: Any, metrics: Any, options: dict[str, Any]
) -> Setup:
    """Load the data and build what a new training needs, from names and from objects."""
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

    if custom.data:
        config = dataclasses.replace(config, data=dataset.name)

    return set_up(config, dataset, custom)


def _own(
    cluster: Cluster,
    callbacks: Callback | Iterable[Callback] | None,
    listener: Callable[[Any], object] | None,
    should_stop: Callable[[], bool] | None,
) -> tuple[Callback, ...]:
    """Return a caller's callbacks: of several processes, the first alone has any but those that heed a signal."""
    if cluster.owns_folder:
        return followers(callbacks, listener, should_stop)
    return tuple(one for one in followers(callbacks) if isinstance(one, StopWhen))


def _written_back(run: Run) -> Run:
    """Return a run whose weights are in the user's own module, if it has one that can hold them."""
    if run.setup.custom.model is not None:
        _ = run.model
    return run


def _held_out(options: dict[str, Any]) -> dict[str, Any]:
    """Take from a training's options the splits that are given as objects, and not as a share or a file."""
    names = [name for name in ("test", "validation") if name in options]
    return {
        name: options.pop(name) for name in names if not isinstance(options[name], (str, os.PathLike, Number, NoneType))
    }


def start(
    setup: Setup, path: str | os.PathLike[str] | None = None, callbacks: Callback | Iterable[Callback] | None = None
) -> Run:
    """Train what is set up, in a new run folder, to the end of its plan; of several processes, the first has it."""
    parameters = setup.engine.count_parameters()  # the model must fit before anything is written
    cluster = present_cluster()
    cluster.check_same("training", training_facts(setup))
    if not cluster.owns_folder:
        return follow(cluster, setup, watched(cluster, followers(callbacks)))
    folder = create_run_folder(None if path is None else Path(path), f"{setup.data.name}-{setup.model.name}")
    return _start_in_folder(folder, setup.run_file(parameters), setup, watched(cluster, followers(callbacks)))


def train_in_memory(setup: Setup, callbacks: Callback | Iterable[Callback] | None = None) -> Run:
    """Train what is set up to the end of its plan, without a folder: nothing is written."""
    config = setup.config
    if config.snapshots or config.checkpoint_every is not None:
        option = "snapshots" if config.snapshots else "checkpoint_every"
        raise OptionError(f"{option} needs a run folder; leave out run=False, or {option}")

    cluster = present_cluster()
    cluster.check_same("training", training_facts(setup))
    file = setup.run_file(setup.engine.count_parameters())
    writer = MemoryWriter()
    recorder = Recorder(writer)
    divergence = Divergence(recorder, config.lr) if config.on_nan == "stop" else None
    members = Callbacks.of(recorder, divergence, told=watched(cluster, followers(callbacks)))
    for message in setup.warnings:
        members.warn(message)
    point = Point(setup.engine.begin())
    if not cluster.is_alone:
        own = Beginning(file, point, None, is_over=False) if cluster.owns_folder else None
        point = share_beginning(cluster, own, setup).point
    every = config.evaluate_every
    point = fit(setup.engine, setup.plan, point, members, file=file, evaluate_every=every, cluster=cluster)

    history = writer.history()
    record = RunRecord(None, file, history, str(history.last_status), point.position)
    return Run(record, setup, point.state)


def resume(
    path: str | os.PathLike[str],
    *,
    data: DataSource | None = None,
    model: Any = None,
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
            ``batch_size``, ``micro_batch``, ``shards``, ``lr``, ``measure``, ``evaluate_every``, ``checkpoint_every``,
            ``on_nan``. They are recorded in `run.toml`. With ``iterations`` of just where it stands, an unfinished run
            ends there.

    Raises:
        RunError: where the run is in use or damaged, or a new budget ends before the position.
    """
    custom = _custom("" if data is None else data, model, optimizer, loss, metrics)
    changes = {name: value for name, value in changes.items() if value is not None}
    with as_one() as cluster, stop_on_interrupt() as interrupt:
        told = watched(cluster, (*interrupt.callbacks, *_own(cluster, callbacks, listener, should_stop)))
        if cluster.owns_folder:
            with progress_bar(progress) as bar:
                run = resume_with(Path(path), custom, data, changes, (*bar, *told), cluster)
        else:
            _, setup = follow_file(cluster, custom, data)
            cluster.check_same("training", training_facts(setup))
            run = follow(cluster, setup, told)
    return interrupt.answer(_written_back(run))


def resume_with(
    path: Path,
    custom: Custom,
    data: DataSource | None,
    changes: Mapping[str, Any],
    told: tuple[Callback, ...],
    cluster: Cluster = ALONE,
) -> Run:
    """Continue a run in its folder, its parts put together, as the only process or as the first of several."""
    folder = RunFolder(path)
    read_run_toml(folder.run_toml)  # says what is wrong before a lock file is made

    with ExitStack() as stack:
        stack.enter_context(locked(folder.lock))
        record = RunRecord.read(folder.path, check=True)
        writer = stack.enter_context(HistoryWriter(folder.history_db))
        cluster.share(json.dumps(record.file.to_dict()).encode())
        setup = Run(record).rebuild(custom, data)
        cluster.check_same("training", training_facts(setup))

        file = _with_data_at(record.file, data)
        if file != record.file:
            write_run_toml(folder.run_toml, file)
        session = Session(folder, file, Recorder(writer), told, record.history, cluster=cluster)
        point = session.last_point(setup)
        is_over = False
        if changes:
            setup = session.change(point, setup, changes)
        else:
            is_over = record.history.last_status == "finished" and setup.plan.is_spent(point.position, point.seconds)
        if not cluster.is_alone:
            share_beginning(cluster, Beginning(session.file, point, None, is_over), setup)
        if is_over:
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
    model: Any = None,
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
    custom = _custom("" if data is None else data, model, optimizer, loss, metrics)
    with as_one() as cluster:
        told = watched(cluster, _own(cluster, callbacks, listener, should_stop))
        if not cluster.owns_folder:
            file, setup = follow_file(cluster, custom, data)
            cluster.check_same("training", training_facts(setup))
            original = received(cluster, file, setup)
            return Rerun(original, follow(cluster, _from_its_start(file, setup), told))

        with progress_bar(progress) as bar:
            return _rerun(Path(path), None if to is None else Path(to), custom, data, (*bar, *told), cluster)


def _rerun(
    path: Path,
    to: Path | None,
    custom: Custom,
    data: DataSource | None,
    told: tuple[Callback, ...],
    cluster: Cluster,
) -> Rerun:
    """Repeat a run in a folder, as the only process or as the first of several."""
    original = Run.open(path)
    checkpoint = original.record.checkpoint()
    original.file.check_origin(checkpoint.origin, checkpoint.position)
    cluster.share(json.dumps(original.file.to_dict()).encode())
    setup = original.rebuild(custom, data)
    cluster.check_same("training", training_facts(setup))
    hand_out(cluster, checkpoint)

    until = checkpoint.position.iteration
    file = at_present(original.file, setup).with_iterations(until)
    setup = _from_its_start(file, setup)
    setup.engine.count_parameters()
    folder = create_run_folder(to, f"{real_path(path).name}-rerun")
    return Rerun(original, _start_in_folder(folder, file, setup, told, until=until))


def _from_its_start(file: RunFile, setup: Setup) -> Setup:
    """Return what a run began with, from what it is trained with now."""
    first = set_up(file.config_at(0), setup.data, setup.custom, file.lengths_at(0))
    return dataclasses.replace(first, warnings=setup.warnings)


def _with_data_at(file: RunFile, data: DataSource | None) -> RunFile:
    """Return what `run.toml` holds once its data have another place."""
    if not isinstance(data, (str, os.PathLike)) or "data" in file.custom:
        return file
    config = anchored(dataclasses.replace(file.config, data=os.fspath(data)))
    named_by = marked(config, file.data.fingerprint, file.named_by)
    return dataclasses.replace(file, config=config, named_by=named_by)


def _custom(data: Any, model: Any, optimizer: Any, loss: Any, metrics: Any) -> Custom:
    """Return the parts that are no names."""
    return Custom(
        model=own_model(model),
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


def _start_in_folder(
    folder: RunFolder, file: RunFile, setup: Setup, told: tuple[Callback, ...], until: int | None = None
) -> Run:
    with locked(folder.lock):
        if folder.run_toml.exists():
            raise RunError(f"{folder.path} was begun by another process just now; choose another folder")
        point = Point(setup.engine.begin())

        # first what run.toml names, then run.toml
        keep_schema(folder, setup)
        file = keep_beginning(folder, file, setup, point)
        file, setup = keep_form(folder, file, setup)
        write_run_toml(folder.run_toml, file)
        with HistoryWriter(folder.history_db) as writer:
            cluster = present_cluster()
            if not cluster.is_alone:
                share_beginning(cluster, Beginning(file, point, until, is_over=False), setup)
            session = Session(folder, file, Recorder(writer), told, History.empty(), until, cluster)
            setup = session.work(point, setup)
    return Run.open(folder.path, setup)
