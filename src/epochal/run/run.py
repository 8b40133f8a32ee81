"""`Run`: what a training leaves behind, and what can be asked of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from epochal.clock import Plan, Position
from epochal.config import TrainConfig
from epochal.data import Dataset, Split, load_data
from epochal.engine import Evaluation, State, named_leaves
from epochal.errors import DataError, ModelError, RunError
from epochal.record.checkpoint_file import Arrays, checkpoint_files, load_checkpoint, read_position, weights_sha256
from epochal.record.folder import RunFolder
from epochal.record.history import History
from epochal.record.run_record import RunRecord
from epochal.record.run_toml import RunFile
from epochal.run.point import restored_state
from epochal.run.setup import Custom, Setup, set_up

DataSource = str | os.PathLike[str] | Dataset | tuple[Any, Any]


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
        position = read_position(path)
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
    """

    record: RunRecord
    _setup: Setup | None = None
    _state: State | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str], setup: Setup | None = None) -> Run:
        """Read a run folder; ``setup`` is what it was trained with, if that is at hand.

        Raises `RunError` where it is none or is damaged.
        """
        return cls(RunRecord.read(Path(path)), setup)

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
        """The weights, with the model's own structure, as NumPy arrays."""
        return jax.tree.map(np.asarray, self.state.params)

    @property
    def data(self) -> Dataset:
        """The data that the run was trained on. Raises `DataError` where they are no longer the same."""
        return self.setup.data

    @property
    def setup(self) -> Setup:
        """Everything that the run is trained with, rebuilt from its configuration if need be."""
        if self._setup is None:
            self._setup = self.rebuild()
        return self._setup

    @property
    def state(self) -> State:
        """The newest checkpoint's state, on the device."""
        if self._state is None:
            self._state = restored_state(self.record.checkpoint(), self.setup.engine.initial_state)
        return self._state

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The weights that were kept while training (``snapshots=True``), by iteration."""
        return tuple(Snapshot.of(path) for path in reversed(checkpoint_files(self.folder.snapshots)))

    def rebuild(self, custom: Custom | None = None, data: DataSource | None = None) -> Setup:
        """Build what the run is trained with; parts that were given as Python objects have to be given again."""
        custom = custom or Custom()
        missing = [name for name in self.file.custom if name not in custom.names]
        if missing:
            raise RunError(
                f"{self.path} was trained from Python with its own {' and '.join(missing)}; give them again: "
                f"epochal.resume('{self.path}', {', '.join(f'{name}=…' for name in missing)})"
            )

        config = self.config
        dataset = load_data(config.data if data is None else data, target=config.target, task=config.task)
        if dataset.fingerprint != self.file.data.fingerprint:
            raise DataError(f"'{config.data}' does not hold the data that {self.path} was trained on")
        return set_up(config, dataset, custom, self.file.present_lengths)

    def evaluate(self, data: DataSource | Split | None = None) -> Evaluation:
        """Evaluate each sample once: the run's own test set, a `Split`, or another data set's test set.

        Raises `DataError` for samples of another shape, or classes other than those that the model was trained on.
        """
        if data is None:
            data = self.data.test
        if not isinstance(data, Split):
            data = load_data(data)
            if data.class_names != self.data.class_names:
                raise DataError(
                    f"'{data.name}' has other classes than '{self.data.name}', which the model was trained on"
                )
            data = data.test
        self._check_fit(data)
        return self.setup.engine.evaluate(self.state, data)

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

    def predict_proba(self, x: Any) -> Float[np.ndarray, "n classes"]:
        """Return each class's probability, ``(n, classes)`` float32, 0 to 1, for samples ``x`` as for `predict`.

        Raises `ModelError` for a regression.
        """
        if self.data.class_names is None:
            raise ModelError("a regression has no classes, and so no probabilities; use predict")
        from scipy.special import softmax  # a twentieth of a second that a training need not wait for

        probabilities: Float[np.ndarray, "n classes"] = softmax(self.predict(x), axis=1)
        return probabilities

    def _check_fit(self, split: Split) -> None:
        wanted = self.data.sample_shape
        if split.x.shape[1:] != wanted:
            raise DataError(f"samples of shape {split.x.shape[1:]} do not fit this model, trained on {wanted}")
        if not len(split):
            raise DataError("there are no samples to evaluate")
