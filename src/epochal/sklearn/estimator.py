"""What both estimators share: a training from arrays to arrays, kept as scikit-learn's conventions want it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float32, Float64, Shaped
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted, validate_data

from epochal.audit import Audit, ExpectedAudit
from epochal.engine import State, check_jax, keep_compiled_programs
from epochal.engine.fit_program import MOST_EPOCHS, Table
from epochal.engine.task import choose_loss
from epochal.engine.whole_fit import (
    Kept,
    Stretch,
    WholeFit,
    count_weights,
    outputs_of,
    padded_size,
    put_table,
)
from epochal.errors import DataError, DivergedError, ModelError, OptionError
from epochal.order import Order
from epochal.run.defaults import Facts, looked_at, squared_length
from epochal.sklearn.scaling import Scaling
from epochal.sklearn.settings import Numbers, Settings, seed_of
from epochal.words.catalogue import tell
from epochal.words.phrases import translate

Weight: TypeAlias = Float64[np.ndarray, " n"]

STORED = [np.float64, np.float32, np.uint8]
"""The types of X that are not converted as a whole; others become the first."""

_WORK = 2**33  # multiplications of one call: about a second, after which an interruption is noticed
_WORD = 2**32


class Samples(NamedTuple):
    """Samples to train on or to judge by.

    Attributes:
        x: ``(n, features)``, as they were given.
        y: ``(n,)`` int32 class numbers, or ``(n, k)`` float32 targets as the model sees them.
        weight: ``(n,)``, at least one above 0; ``None``: all count alike.
    """

    x: Shaped[np.ndarray, "n features"]
    y: Shaped[np.ndarray, "n *outputs"]
    weight: Weight | None


class Estimator(BaseEstimator):  # type: ignore[misc]
    """A model whose `fit` trains on a table in memory; what it learned is kept as NumPy arrays."""

    _kind: Literal["classification", "regression"]

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (128,),
        *,
        model: str = "mlp",
        dropout: float = 0.0,
        sample_shape: Sequence[int] | None = None,
        epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto", "all"] = "auto",
        optimizer: str = "adamw",
        learning_rate: float | Literal["auto"] = "auto",
        weight_decay: float | Literal["auto"] = "auto",
        momentum: float = 0.9,
        standardize: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.model = model
        self.dropout = dropout
        self.sample_shape = sample_shape

        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.standardize = standardize

        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # --- what the two kinds do in their own way ---------------------------------------------------------------------

    def _units(self) -> Float32[np.ndarray, " outputs"] | None:
        """Return what one unit of each output is in the targets' own; ``None``: the same."""
        return None

    def _score_of(self, outputs: Float32[np.ndarray, "n outputs"], samples: Samples) -> float:
        """Return what `score` returns for the samples with these outputs."""
        raise NotImplementedError

    # --- training ---------------------------------------------------------------------------------------------------

    def _start(self, *, is_partial: bool) -> tuple[Settings, bool]:
        """Check the parameters; return them, and whether an earlier training goes on."""
        settings = Settings.of(self)
        if is_partial and settings.early_stopping:
            raise OptionError("partial_fit is one epoch, so early_stopping has no effect; set it to False")
        check_jax()
        for note in keep_compiled_programs():
            warnings.warn(translate(note), stacklevel=3)
        return settings, hasattr(self, "params_") and (is_partial or settings.warm_start)

    def _train(self, settings: Settings, samples: Samples, outputs: int, *, goes_on: bool, is_partial: bool) -> None:
        """Train on checked arrays: for all epochs, or for one where it is partial.

        Args:
            settings: the parameters.
            samples: all that were given; early stopping takes some of them away.
            outputs: how many numbers the model returns for a sample.
            goes_on: whether weights, optimizer and order go on from where they are.
            is_partial: whether it is `partial_fit`.
        """
        architecture = settings.architecture(samples.x.shape[1], outputs)
        losses = choose_loss(None, self._kind)[1]
        if not goes_on:
            self._begin(settings, samples)
        samples, held_out = self._hold_out(settings, samples)

        # N is known now, and all that depends on it
        values = settings.numbers(len(samples.y), self._facts(samples, architecture))
        fit = WholeFit(architecture.build(), losses, settings.build_optimizer(), values.most_rows)
        training = _Training(
            fit, values, Order(len(samples.y), self._seed), self._table(samples, architecture), self._units()
        )

        state = self._go_on(fit) if goes_on else fit.begin(self._seed)
        self._architecture = architecture
        if held_out is not None:
            state = self._epochs_until_no_better(settings, training, state, held_out)
        else:
            state = self._epochs(settings, training, state, 1 if is_partial else values.epochs)
        self.params_, self._rest = Kept.of(state)

    def _begin(self, settings: Settings, samples: Samples) -> None:
        """Decide what stays as it is while a training goes on, and forget the one before."""
        self.__dict__.pop("params_", None)  # what fails from here on leaves an estimator that is not fitted
        self._seed = seed_of(self.random_state)
        columns = samples.x.shape[1]
        self._scaling = Scaling.of(samples.x, samples.weight) if settings.standardize else Scaling.none(columns)
        self.n_iter_, self.n_updates_ = 0, 0
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None

    def _hold_out(self, settings: Settings, samples: Samples) -> tuple[Samples, Samples | None]:
        """Return the samples to train on, and those to judge by, with a share of every class."""
        if not settings.early_stopping:
            return samples, None
        x, y, weight = samples
        rows, other = train_test_split(
            np.arange(len(y)),
            test_size=settings.validation_fraction,
            random_state=self._seed % _WORD,
            stratify=y if self._kind == "classification" else None,
        )

        def take(rows: Any) -> Samples:
            part = Samples(x[rows], y[rows], None if weight is None else weight[rows])
            if part.weight is not None and not part.weight.any():
                raise DataError("all weights of the samples to train on, or to judge by, are zero; try other seeds")
            return part

        return take(rows), take(other)

    def _facts(self, samples: Samples, architecture: Any) -> Facts:
        """Return what a default rate follows from."""
        x = self._scaling.apply(samples.x[looked_at(len(samples.x))])
        outputs = architecture.outputs if self._kind == "regression" else None
        return Facts(squared_length(x), is_table=len(architecture.sample_shape) == 1, outputs=outputs)

    def _table(self, samples: Samples, architecture: Any) -> Table:
        """Put samples on the device as the model sees them; weights are relative to their mean."""
        x = self._scaling.apply(samples.x, padded_size(*samples.x.shape))
        weight = None if samples.weight is None else samples.weight / samples.weight.mean()
        return put_table(x.reshape(-1, *architecture.sample_shape), samples.y, weight)

    def _go_on(self, fit: WholeFit) -> State:
        try:
            return fit.restore(self._seed, Kept(self.params_, self._rest))
        except ModelError as error:
            raise ModelError(f"{error}; set warm_start=False, or use a clone") from None

    def _epochs(self, settings: Settings, training: _Training, state: State, epochs: int) -> State:
        """Train for some epochs: one after another only where each is printed."""
        at_once = 1 if settings.verbose else training.epochs_at_once(state)
        for first in range(0, epochs, at_once):
            state = self._some_epochs(training, state, min(at_once, epochs - first))
            self._say(settings, first + 1, epochs)
        return state

    def _epochs_until_no_better(
        self, settings: Settings, training: _Training, state: State, held_out: Samples
    ) -> State:
        """Train until the score has not become better for some epochs; return the state of the best one."""
        model, shape = training.fit.model, self._architecture.sample_shape
        x = self._scaling.apply(held_out.x).reshape(-1, *shape)
        self.validation_scores_ = list(self.validation_scores_ or [])
        best, best_score, waited = state, -math.inf, 0

        for number in range(training.values.epochs):
            state = self._some_epochs(training, state, 1)
            score = self._score_of(outputs_of(model, state.params, x, state.model_state), held_out)
            self.validation_scores_.append(score)
            self._say(settings, number + 1, training.values.epochs)

            waited = 0 if score >= best_score + settings.tol else waited + 1
            if score > best_score:
                best, best_score = state, score
            if waited >= settings.n_iter_no_change:
                break

        self.best_validation_score_ = best_score
        return best

    def _some_epochs(self, training: _Training, state: State, epochs: int) -> State:
        """Train in one call, and count what was done. Raises `DivergedError` where a loss is not finite."""
        state, losses = training.run(state, self.n_iter_, self.n_updates_, epochs)
        if not np.isfinite(losses).all():
            epoch = self.n_iter_ + int(np.argmin(np.isfinite(losses))) + 1
            raise DivergedError(
                f"the loss of epoch {epoch:,} is not finite; a smaller learning_rate usually helps "
                f"(it is {training.values.rate:g}){'' if self.standardize else ', or standardize=True'}"
            )

        self.n_iter_ += epochs
        self.n_updates_ += epochs * training.batches
        self.loss_curve_ = [*self.loss_curve_, *losses.tolist()]
        self.loss_ = self.loss_curve_[-1]
        return state

    def _say(self, settings: Settings, epoch: int, epochs: int) -> None:
        if not settings.verbose:
            return
        said = {"epoch": f"{epoch:,}", "epochs": f"{epochs:,}", "loss": f"{self.loss_:.6f}"}
        if self.validation_scores_:
            print(tell("epoch_line.fitted_scored", **said, score=f"{self.validation_scores_[-1]:.4f}"))
        else:
            print(tell("epoch_line.fitted", **said))

    # --- what it learned --------------------------------------------------------------------------------------------

    @property
    def coefs_(self) -> list[Float32[np.ndarray, "inputs outputs"]]:
        """The weights of each dense layer of ``mlp`` or ``linear``, for inputs as the model sees them."""
        return [layer["weights"] for layer in self._layers("coefs_")]

    @property
    def intercepts_(self) -> list[Float32[np.ndarray, " outputs"]]:
        """The biases of each dense layer of ``mlp`` or ``linear``."""
        return [layer["bias"] for layer in self._layers("intercepts_")]

    def _layers(self, name: str) -> list[dict[str, Any]]:
        if "params_" not in vars(self) or self._architecture.name not in ("linear", "mlp"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return [self.params_] if isinstance(self.params_, dict) else list(self.params_)

    def _outputs_for(self, X: Any) -> Float32[np.ndarray, "n outputs"]:
        """Return the model's outputs. Raises ``NotFittedError``, and ``ValueError`` for samples of another kind."""
        check_is_fitted(self, "params_")
        x = validate_data(self, X, dtype=STORED, reset=False)
        check_jax()
        keep_compiled_programs()
        samples = self._scaling.apply(x).reshape(-1, *self._architecture.sample_shape)
        return outputs_of(self._architecture.build(), self.params_, samples)


class _Training(NamedTuple):
    """What all epochs of a training have in common."""

    fit: WholeFit
    values: Numbers
    order: Order
    table: Table
    units: Float32[np.ndarray, " outputs"] | None

    @property
    def batches(self) -> int:
        """Batches, so updates, of an epoch."""
        return -(-self.order.samples // self.values.batch_size)

    def epochs_at_once(self, state: State) -> int:
        """Return how many epochs take about a second."""
        work = self.order.samples * count_weights(state.params)
        return max(1, min(MOST_EPOCHS, _WORK // work))

    def run(
        self, state: State, epoch: int, iteration: int, epochs: int
    ) -> tuple[State, Float32[np.ndarray, " epochs"]]:
        """Train for some epochs from ``epoch``; return the state and each epoch's loss."""
        values = self.values
        stretch = Stretch(
            self.order, values.batch_size, epoch, epochs, iteration, values.rate, values.decay, self.units
        )
        state, records = self.fit.run(state, self.table, stretch)
        if not records.are_exact(_every_sample(self.order.samples)):
            raise RuntimeError(
                f"one of {epochs} epochs did not use each of {self.order.samples} samples once: "
                "a bug in Epochal, please report it"
            )
        return state, records.losses


@lru_cache(maxsize=64)
def _every_sample(samples: int) -> Audit:
    """Return the audit of an epoch that uses each sample once."""
    return ExpectedAudit(Order(samples)).everything


def checked_weights(sample_weight: Any, samples: int) -> Weight | None:
    """Return weights as ``(n,)`` float64. Raises `ValueError` for negative, missing, infinite or only zero weights."""
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, np.float64)
    if weight.ndim == 0:
        weight = np.full(samples, weight)
    if weight.shape != (samples,):
        raise DataError(f"sample_weight has shape {weight.shape}; give one weight for each of the {samples} samples")

    good = np.isfinite(weight) & (weight >= 0)
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(f"sample_weight of row {row} (from 0) is {weight[row]}; weights are finite and at least 0")
    if not weight.any():
        raise DataError("all weights are zero; at least one sample must count")
    return weight
