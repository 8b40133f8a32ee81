"""`Run`: what a training leaves behind, and what can be asked of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jax
import numpy as np
from jaxtyping import Float

from epochal.clock import Plan, Position
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset, Split
from epochal.data.data_schema import Schema
from epochal.data.load_options import LoadOptions
from epochal.data.new_samples import NewSamples, read_new
from epochal.data.row_source import AnySplit, StoredSplit
from epochal.engine import Engine, Evaluation, State, named_leaves
from epochal.engine.exported import ByName
from epochal.errors import ModelError
from epochal.lazy import drawn_by
from epochal.record.checkpoint_file import (
    Arrays,
    checkpoint_files,
    load_checkpoint,
    read_header,
    weights_sha256,
)
from epochal.record.folder import RunFolder
from epochal.record.history import History
from epochal.record.rows import best_evaluation
from epochal.record.run_record import RunRecord
from epochal.record.run_toml import RunFile
from epochal.run.anew import DataSource, best_file, check_fit, data_of, refuse_missing, split_of
from epochal.run.custom import Custom
from epochal.run.kept_files import read_beginning, read_form, read_schema
from epochal.run.own_model import own_model
from epochal.run.point import restored_weights
from epochal.run.prediction import prediction_engine
from epochal.run.setup import Setup, set_up

Weights: TypeAlias = Literal["last", "best"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The weights at a position, in a file."""

    iteration: int
    epoch: int
    offset: int
    path: Path

    @classmethod
    def of(cls, path: Path) -> Snapshot:
        """Read the position alone, not the weights."""
        position, _ = read_header(path)
        return cls(position.iteration, position.epoch, position.offset, path)

    def load(self) -> Arrays:
        """Read the weights and the model's state by name. Raises `RunError` where the file is damaged."""
        return load_checkpoint(self.path).arrays


@dataclass(slots=True)
class Run:
    """A run and what it holds: configuration, history, and the trained weights.

    >>> run = Run.open("runs/mnist-mlp-1")  # doctest: +SKIP
    >>> run.history.losses.shape, run.history.epochs[-1].test_accuracy  # doctest: +SKIP
    ((30000,), 0.9812)

    Attributes:
        record: what was recorded, as of when the run was opened.
        weights: which ones evaluate and predict: the last, or those that were best on validation samples.
    """

    record: RunRecord
    _setup: Setup | None = None
    _state: State | None = None
    weights: Weights = "last"
    _custom: Custom = field(default_factory=Custom)
    _own_predictor: tuple[Engine, Schema] | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        setup: Setup | None = None,
        *,
        model: Any = None,
        loss: Callable[..., Any] | None = None,
    ) -> Run:
        """Read a run folder.

        Args:
            path: the folder.
            setup: what it was trained with, if that is at hand.
            model: your own model, if it was trained with one: as for `epochal.train`.
            loss: a loss of your own, if it was trained with one and is to be evaluated.

        Raises:
            RunError: where it is no run or is damaged.
        """
        return cls(RunRecord.read(Path(path)), setup, _custom=Custom(model=own_model(model), loss=loss))

    def __repr__(self) -> str:
        return f"Run {self.record.summary}" + (", best weights" if self.weights == "best" else "")

    def _repr_html_(self) -> str:
        return str(drawn_by("shown:run", self.record))

    def plot(self, what: str = "loss", *, ax: Any = None) -> Any:
        """Draw the loss of every iteration and epoch, or another metric, with Matplotlib; return the axes.

        Args:
            what: ``loss``, or a metric's name, such as ``accuracy``.
            ax: the axes to draw on. Default: those of a new figure.

        Raises `OptionError` for a metric that was not measured, or without Matplotlib (``epochal[pictures]``).
        """
        return drawn_by("plots:plot_run", self.record, what, ax)

    def report(self, out: str | os.PathLike[str] | None = None, *, lang: str | None = None) -> Path:
        """Write the run's report, one HTML page, and return its path, which a notebook shows as the page.

        Args:
            out: the file. Default: ``report.html`` in the run folder; what stands there is replaced.
            lang: en or zh: the language that it opens in.

        Raises `RunError` for a run without a folder, or where the file cannot be written.
        """
        file: Path = drawn_by("inline_report:write_report", self, out, lang)
        return file

    @property
    def path(self) -> Path:
        """The run folder. Raises `RunError` where the run was trained without one."""
        return self.folder.path

    @property
    def folder(self) -> RunFolder:
        """The paths of its files. Raises `RunError` where the run was trained without a folder."""
        return self.record.folder

    @property
    def file(self) -> RunFile:
        """What `run.toml` holds."""
        return self.record.file

    @property
    def config(self) -> TrainConfig:
        """The resolved configuration, with what later sessions changed."""
        return self.record.config

    @property
    def plan(self) -> Plan:
        """The plan that the run follows."""
        return self.record.plan

    @property
    def history(self) -> History:
        """Every iteration's loss, every epoch with its audit, evaluations, sessions and events."""
        return self.record.history

    @property
    def status(self) -> str:
        """How the last session ended: finished, stopped, diverged, failed or interrupted; or running, or new."""
        return self.record.status

    @property
    def position(self) -> Position:
        """Where the weights stand: the newest checkpoint's position, or the beginning where there is none yet."""
        return self.record.position

    @property
    def seconds(self) -> float:
        """Seconds of all sessions, from the start of their training to its end."""
        return self.record.seconds

    @property
    def iterations_per_second(self) -> float:
        """Iterations over the time spent in training chunks, without compilation and evaluation."""
        return self.record.iterations_per_second

    @property
    def weights_sha256(self) -> str:
        """The SHA-256 of the weights."""
        if self.record.path is None:
            return weights_sha256(named_leaves(self.state))
        return self.record.checkpoint().weights_sha256

    @property
    def params(self) -> Any:
        """The weights, with the model's own structure, as NumPy arrays; without its code, dictionaries and lists."""
        params = jax.tree.map(np.asarray, self.state.params)
        return params.nested() if isinstance(params, ByName) else params

    @property
    def model(self) -> Any:
        """The user's own model with these weights, in evaluation mode; a `Model` where it was none of another library.

        A module of Flax NNX, Keras or PyTorch is changed in place; immutable ones are returned anew: an Equinox module
        (with its state, if it has one), a bound Linen module, Haiku's parameters (with the state, if there is one).
        """
        model = self._predictor[0].model
        return model if model.trained is None else model.trained(self.state.params, self.state.model_state)

    @property
    def data(self) -> Dataset:
        """The data that the run was trained on. Raises `DataError` where they are no longer the same, or not there."""
        return data_of(self.record, self._custom) if self._setup is None and self._lacks_model else self.setup.data

    @property
    def _lacks_model(self) -> bool:
        """Whether the model was given as an object, and is not at hand."""
        return "model" in self.file.custom and self._custom.model is None

    @property
    def setup(self) -> Setup:
        """Everything that the run is trained with, its data included, rebuilt from its configuration if need be."""
        if self._setup is None:
            self._setup = self.rebuild(self._custom)
        return self._setup

    @property
    def schema(self) -> Schema:
        """What the run knows of samples and targets, without its data. Raises `RunError` where its file was altered."""
        return self._predictor[1]

    @property
    def state(self) -> State:
        """The newest checkpoint's state, on the device; without the optimizer's, unless the run was just trained."""
        if self._state is None:
            is_last = self.weights == "last"
            checkpoint = self.record.checkpoint() if is_last else self.record.load(best_file(self.record))
            self._state = restored_weights(checkpoint, self._predictor[0].initial_state)
        return self._state

    @property
    def best(self) -> Run:
        """The run with the weights that were best on its validation samples, in place of its last ones.

        Raises `RunError` for a run without validation, where nothing was selected.
        """
        best_file(self.record)
        return Run(self.record, self._setup, weights="best", _custom=self._custom)

    def with_weights(self, which: Weights | None = None) -> Run:
        """Return the run with its last weights or the best; by default the best where it has validation samples."""
        if which is None:
            which = "best" if self.file.data.validation and best_evaluation(self.history.evaluations) else "last"
        return self.best if which == "best" and self.weights == "last" else self

    @property
    def test_metrics(self) -> Mapping[str, float]:
        """The metrics of the test set with these weights, as they were measured while training; empty for none."""
        tests = self.history.tests
        if self.weights == "best":
            best = best_evaluation(self.history.evaluations)
            tests = tuple(row for row in tests if best is not None and row.iteration == best.iteration)
        return tests[-1].metrics if tests else {}

    @property
    def _predictor(self) -> tuple[Engine, Schema]:
        """The engine that predicts, and what it takes: without the data where the run folder says enough."""
        if self._setup is not None:
            return self._setup.engine, self._setup.schema
        if self._own_predictor is None:
            schema = None if self.record.path is None else read_schema(self.folder, self.file)
            if schema is None:  # of a former format, which has to see its data
                return self.setup.engine, self.setup.schema
            custom = self._custom
            if self._lacks_model:
                custom = dataclasses.replace(custom, model=read_form(self.folder, self.file))
            refuse_missing(self.record, ("model",), custom.names)
            self._own_predictor = prediction_engine(self.file, schema, custom), schema
        return self._own_predictor

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The weights that were kept while training (``snapshots=True``), by iteration."""
        return tuple(Snapshot.of(path) for path in reversed(checkpoint_files(self.folder.snapshots)))

    def rebuild(self, custom: Custom | None = None, data: DataSource | None = None, *, beginning: bool = True) -> Setup:
        """Build what the run is trained with; parts that were given as Python objects have to be given again.

        ``data`` says where its data are now, ``beginning`` whether a model of the user's own gets the weights that it
        began with, which lie in the folder. Raises `DataError` where they are not those that it was trained on.
        """
        custom = custom or Custom()
        refuse_missing(self.record, self.file.custom, custom.names)
        setup = set_up(self.config, data_of(self.record, custom, data), custom, self.file.present_lengths)
        return self._from_its_beginning(setup) if beginning and self.file.model.initial else setup

    def _from_its_beginning(self, setup: Setup) -> Setup:
        """Return a setup of the user's own model that begins where the run began, and warns where its file changed."""
        weights = read_beginning(self.folder, self.file)
        known, source = self.file.model.source_sha256, setup.custom.source
        if source is not None and known and source.sha256 != known:
            message = f"{source.file.name} is not what it was when the run began; results may not be bit-identical"
            setup = dataclasses.replace(setup, warnings=(*setup.warnings, message))
        return setup.beginning_with(weights)

    def evaluate(self, data: Any = None, *, split: str | None = "test") -> Evaluation:
        """Evaluate each sample once: of the run's own split, or of other data.

        Args:
            data: a file or frame, of which every row is taken; ``(x, y)``; a `Split`; a `Dataset`, the name of a data
                set, or where the run's own data are now, of which the split is taken. Default: the run's own data.
            split: test, train or validation, where there are several; ``None`` where it is known that there are none.

        Raises:
            DataError: for samples of another kind, or classes other than those that the model was trained on.
        """
        if data is None:
            data = self.data
        engine, schema = self._predictor
        if "loss" in self.file.custom and self._setup is None:
            refuse_missing(self.record, ("loss",), self._custom.names)

        samples = data if isinstance(data, (Split, StoredSplit)) else None
        if samples is None and split is not None:
            samples = self.split_of(data, split)
        if samples is None:
            samples = read_new(data, schema, with_targets=True, usual_encoding=self.config.encoding).split
        check_fit(samples, schema)
        return engine.evaluate(self.state, samples)

    def split_of(self, data: Any, split: str = "test") -> AnySplit | None:
        """Return a split of data that have several, as `evaluate` takes it; ``None`` where it takes every sample."""
        return split_of(data, split, self.schema, self.record, self._custom)

    def read(self, source: Any, **options: Any) -> NewSamples:
        """Return new samples as the training had them, for `predict`; it says what had to be changed.

        Args:
            source: a table, ``.npy``, ``.npz`` or picture by path, a folder of pictures, a frame, or an array.
            options: ``encoding`` and ``no_header`` of a table.
        """
        return read_new(source, self.schema, LoadOptions.of(options), usual_encoding=self.config.encoding)

    def predict(self, x: Any) -> Any:
        """Return the model's outputs, ``(n, outputs)`` float32; no training data are needed.

        A model of the user's own may return arrays of other shapes, or a tree of arrays.

        For a regression they are the predictions, in the targets' own units. For a classification they are the scores
        before the softmax; their largest is the predicted class.

        Args:
            x: new samples: an array of them as the data set stores them, or a single one; a frame or a table's file
                with the columns of the training; ``.npy``, ``.npz``, a picture, or a folder of pictures.

        Raises:
            DataError: for samples that do not fit.
        """
        engine, schema = self._predictor
        new = x if isinstance(x, NewSamples) else self.read(x)
        check_fit(new.split, schema)
        return engine.predict(self.state, new.split)

    def predict_proba(self, x: Any) -> Float[np.ndarray, "n classes"]:
        """Return each class's probability, ``(n, classes)`` float32, 0 to 1, for samples ``x`` as for `predict`.

        Raises `ModelError` for a regression.
        """
        if self.schema.class_names is None:
            raise ModelError("a regression has no classes, and so no probabilities; use predict")
        from scipy.special import softmax  # a twentieth of a second that a training need not wait for

        probabilities: Float[np.ndarray, "n classes"] = softmax(self.predict(x), axis=1)
        return probabilities

    def predict_labels(self, x: Any) -> list[str]:
        """Return the name of each sample's most probable class, for samples ``x`` as for `predict`.

        Raises `ModelError` for a regression.
        """
        names = self.schema.class_names
        if names is None:
            raise ModelError("a regression has no classes; use predict")
        return [names[int(number)] for number in self.predict(x).argmax(axis=1)]

    def to_stablehlo(self) -> bytes:
        """Return the whole prediction as StableHLO, its weights inside: stored samples in, what `predict` returns out.

        Raises `ModelError` where the model cannot be exported for any number of samples.
        """
        return self._predictor[0].exported_prediction(self.state)

    def export(self, to: str, out: str | os.PathLike[str] | None = None, *, force: bool = False) -> Path:
        """Write the model for programs without Epochal, and return the file to load.

        Args:
            to: stablehlo, onnx, safetensors or numpy; tensorboard for the run's history.
            out: the file, or a folder. Default: in the run's folder ``export``.
            force: whether to replace files that are there.

        Raises:
            EpochalError: for a format that this model does not have, and for files that are there.
        """
        # what stands above may be called by a run, and is not imported by it
        written = import_module("epochal.export").export_run(self, to, None if out is None else Path(out), force=force)
        first: Path = written[0]
        return first
