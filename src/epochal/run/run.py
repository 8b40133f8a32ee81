"""`train`, and `Run`: what a training leaves behind and what can be asked of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Float

from epochal.clock import Plan, Position
from epochal.data import Dataset, Split, load_data
from epochal.engine import Evaluation, State, named_leaves, weights_sha256
from epochal.errors import DataError, RunError
from epochal.models import Model
from epochal.run.checkpoint import Checkpoint, checkpoint_files, load_checkpoint
from epochal.run.config import TrainConfig
from epochal.run.events import Listener
from epochal.run.folder import RunFile, RunFolder, create_run_folder
from epochal.run.history import History, HistoryWriter, SessionRow
from epochal.run.setup import Custom, Setup, set_up
from epochal.run.training import Training

DataSource = str | os.PathLike[str] | Dataset | tuple[Any, Any]


@dataclass(slots=True)
class Run:
    """A run folder and what it holds: configuration, history, and the trained weights.

    >>> run = Run.open("runs/mnist-mlp-1")  # doctest: +SKIP
    >>> run.history.losses.shape, run.epochs[-1].test_accuracy  # doctest: +SKIP
    ((30000,), 0.9812)
    """

    folder: RunFolder
    file: RunFile
    _setup: Setup | None = None
    _state: State | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """Open a run folder. Raises `RunError` where it is none or is damaged."""
        folder = RunFolder(Path(path))
        return cls(folder, folder.read())

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def config(self) -> TrainConfig:
        """The resolved configuration."""
        return self.file.config

    @property
    def plan(self) -> Plan:
        """The plan that the run follows."""
        return self.config.plan(self.file.data["train"])

    @property
    def history(self) -> History:
        """Every iteration's loss, every epoch with its audit, evaluations, sessions and events."""
        return History(self.folder.history_db)

    @property
    def status(self) -> str:
        """How the last session ended, or ``running``."""
        return self._last_session.status

    @property
    def position(self) -> Position:
        """Where the weights stand: the newest checkpoint's position."""
        return self._checkpoint.position

    @property
    def seconds(self) -> float:
        """Seconds of all sessions, from the start of their training to its end."""
        return sum(session.seconds for session in self.history.sessions)

    @property
    def iterations_per_second(self) -> float:
        """Iterations over the time spent in training chunks, without compilation and evaluation."""
        sessions = self.history.sessions
        seconds = sum(session.chunk_seconds for session in sessions)
        iterations = sum(session.end_iteration - session.first_iteration for session in sessions)
        return iterations / seconds if seconds else 0.0

    @property
    def weights_sha256(self) -> str:
        """The SHA-256 of the weights, each array with its name, type and shape, in a fixed order."""
        return weights_sha256(self._checkpoint.arrays)

    @property
    def params(self) -> Any:
        """The weights, with the model's own structure, as NumPy arrays."""
        return jax.tree.map(np.asarray, self.state.params)

    @property
    def data(self) -> Dataset:
        """The data that the run was trained on. Raises `DataError` where they are no longer the same."""
        return self.setup.data

    @property
    def setup(self) -> Setup:
        """Everything that the run was trained with, rebuilt from its configuration if need be."""
        if self._setup is None:
            if self.file.custom:
                parts = " and ".join(self.file.custom)
                raise RunError(f"{self.path} was trained from Python with its own {parts}; open it there")
            data = load_data(self.config.data, target=self.config.target, seed=self.config.seed)
            if data.fingerprint != self.file.data["fingerprint"]:
                raise DataError(f"'{self.config.data}' no longer holds the data that {self.path} was trained on")
            self._setup = set_up(self.config, data)
        return self._setup

    @property
    def state(self) -> State:
        """The newest checkpoint's state, on the device."""
        if self._state is None:
            self._state = self._checkpoint.state(self.setup.engine.initial_state())
        return self._state

    def evaluate(self, data: DataSource | Split | None = None) -> Evaluation:
        """Evaluate each sample once: the run's own test set, a `Split`, or another data set's test set."""
        if data is None:
            data = self.data.test
        split = data if isinstance(data, Split) else load_data(data).test
        self._check_fit(split)
        return self.setup.engine.evaluate(self.state, split)

    def predict(self, x: Any) -> Float[np.ndarray, "n outputs"]:
        """Return the model's outputs, ``(n, outputs)`` float32, for samples ``x`` as the data set stores them.

        For a classification they are the scores before the softmax; their largest is the predicted class.
        """
        x = np.asarray(x)
        if x.shape == self.data.sample_shape:
            x = x[None]
        split = Split(x, np.zeros(len(x), np.int32))
        self._check_fit(split)
        return self.setup.engine.predict(self.state, split)

    def _check_fit(self, split: Split) -> None:
        wanted = self.data.sample_shape
        if split.x.shape[1:] != wanted:
            raise DataError(f"samples of shape {split.x.shape[1:]} do not fit this model, trained on {wanted}")
        if not len(split):
            raise DataError("there are no samples to evaluate")

    @property
    def _last_session(self) -> SessionRow:
        sessions = self.history.sessions
        if not sessions:
            raise RunError(f"{self.path} holds no training yet")
        return sessions[-1]

    @property
    def _checkpoint(self) -> Checkpoint:
        files = checkpoint_files(self.folder.checkpoints)
        if not files:
            raise RunError(f"{self.path} holds no checkpoint yet")
        return load_checkpoint(files[0])


def train(
    data: DataSource = "digits",
    *,
    model: str | Model = "mlp",
    optimizer: str | optax.GradientTransformation = "sgd",
    loss: str | Callable[..., Any] | None = None,
    run: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    should_stop: Callable[[], bool] | None = None,
    **options: Any,
) -> Run:
    """Train a model and return its `Run`.

    >>> run = train("digits", batch_size=100, epochs=50)  # doctest: +SKIP

    Args:
        data: a data set's name, a file or folder, a `Dataset`, or arrays ``(x, y)``.
        model: linear, mlp, cnn or rnn, or a `Model` of your own (`epochal.models.from_functions`).
        optimizer: sgd, momentum, nesterov, adam or adamw, or any Optax transformation.
        loss: cross-entropy, mean-squared-error, or a function ``(outputs, targets) -> one loss a sample``.
        run: the folder to make; ``runs/DATA-MODEL-1`` (or the next free number) where not given.
        listener: called with each event (`epochal.run.events`) while training.
        should_stop: asked after each chunk of iterations; a true answer ends the training there.
        options: the other fields of `TrainConfig`, such as ``batch_size=100``, ``epochs=10``, ``lr=0.1``.

    Raises:
        EpochalError: for anything that the user can mend, before anything is written.
    """
    custom = Custom(
        model=None if isinstance(model, str) else model,
        optimizer=None if isinstance(optimizer, str) else optimizer,
        loss=loss if callable(loss) else None,
        data=not isinstance(data, (str, os.PathLike)),
    )
    named: dict[str, Any] = {"data": data, "model": model, "optimizer": optimizer, "loss": loss}
    config = TrainConfig.from_dict({**{k: v for k, v in named.items() if isinstance(v, str)}, **options})
    dataset = load_data(data, target=config.target, seed=config.seed)
    if custom.model is not None:
        config = dataclasses.replace(config, model=custom.model.name)
    if custom.data:
        config = dataclasses.replace(config, data=dataset.name)
    return start(set_up(config, dataset, custom), run, listener, should_stop)


def start(
    setup: Setup,
    path: str | os.PathLike[str] | None = None,
    listener: Listener | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Run:
    """Train what is set up, in a new run folder, to the end of its plan."""
    state = setup.engine.initial_state()
    parameters = sum(array.size for array in named_leaves(state.params).values())
    folder = create_run_folder(None if path is None else Path(path), f"{setup.data.name}-{setup.config.model}")
    file = setup.run_file(parameters)
    folder.write(file)
    history = HistoryWriter(folder.history_db)
    try:
        training = Training(
            setup, folder, history, listener or (lambda event: None), should_stop or (lambda: False), state
        )
        training.run()
    finally:
        history.close()
    return Run(folder, file, setup, training.state)
