"""The parameters of an estimator, checked, and what is chosen where they say "auto"."""

from __future__ import annotations

import math
import textwrap
import warnings
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from sklearn.utils import check_random_state

from epochal.config.options import BATCH_SIZE, SEED, SIZES, SWITCH, Kind, choice, count, number
from epochal.engine import OPTIMIZERS, Optimizer, build_optimizer
from epochal.errors import ModelError, OptionError
from epochal.models import MODELS, Model, build_model
from epochal.run.defaults import OF_TABLES, Facts, rate_for
from epochal.words.phrases import translate

T = TypeVar("T")

_UNLIMITED = 2**31 - 1
_ABOVE_0 = number("RATE", "above 0", lambda value: value > 0)
_AT_LEAST_0 = number("NUMBER", "of at least 0", lambda value: value >= 0)


def _or_auto(kind: Kind) -> Kind:
    """Return the kind that knows the word ``"auto"`` too, which is kept as ``None``."""
    return Kind(lambda name, value: None if _is_auto(value) else kind.read(name, value), "auto")


def _read_one_size(name: str, value: Any) -> int | str:
    size: int | str = BATCH_SIZE.read(name, value)
    if not (isinstance(size, int) or size == "all"):
        raise OptionError(f"{name} takes one batch size for all of a fit, not {size}; epochal.train has schedules")
    return size


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


class Parameter(NamedTuple):
    """A constructor's parameter: its kind, and its help."""

    kind: Kind
    help: str


_SHARE = number("SHARE", "of at least 0 and below 1", lambda share: 0 <= share < 1)
_FRACTION = number("SHARE", "above 0 and below 1", lambda share: 0 < share < 1)
_SHAPE = Kind(lambda name, value: None if value is None else SIZES.read(name, value), "N …")
_LOUDNESS = Kind(lambda name, value: bool(value) if isinstance(value, Real) else SWITCH.read(name, value), "")

PARAMETERS = {
    "hidden_layer_sizes": Parameter(SIZES, "the sizes of the layers between, for ``mlp``; a number is one layer."),
    "model": Parameter(choice(*MODELS), f"one of {', '.join(MODELS)}."),
    "dropout": Parameter(_SHARE, "the share of hidden values set to 0 while training, at least 0 and below 1."),
    "sample_shape": Parameter(
        _SHAPE, "how the features of a row are laid out for ``cnn`` and ``rnn``, such as (8, 8); ``None``: in a row."
    ),
    "epochs": Parameter(
        _or_auto(count()),
        'passes over the training set, each sample once in each. ``"auto"``: as many as make about 4,000 updates, from '
        "10 to 500.",
    ),
    "batch_size": Parameter(
        _or_auto(Kind(_read_one_size)),
        'samples of an update; ``"all"``: full-batch descent. ``"auto"``: 32 up to 10,000 samples and 100 above. More '
        "than there are samples gives a warning, and is all of them.",
    ),
    "optimizer": Parameter(choice(*OPTIMIZERS), f"one of {', '.join(OPTIMIZERS)}."),
    "learning_rate": Parameter(
        _or_auto(_ABOVE_0),
        'above 0. ``"auto"``: 0.002 · √(B/32) for ``adamw``, from 1 to 4 times 0.002; for others what `epochal.train` '
        "takes.",
    ),
    "weight_decay": Parameter(
        _or_auto(_AT_LEAST_0),
        "by how much weights and biases shrink in each update, times the learning rate; at least 0; apart from the "
        'gradient, unlike an L2 penalty. ``"auto"``: 0.2 for ``adamw``, else 0.',
    ),
    "momentum": Parameter(_SHARE, "for ``momentum`` and ``nesterov``: at least 0 and below 1."),
    "standardize": Parameter(
        SWITCH,
        "whether each feature is shifted and scaled to mean 0 and deviation 1 over the training samples, weighted as "
        "they are. The first `partial_fit` decides it for all later ones.",
    ),
    "early_stopping": Parameter(
        SWITCH,
        "whether a part of the samples is held out, and training ends when its score is no longer better; then the "
        "weights with the best score are restored.",
    ),
    "validation_fraction": Parameter(_FRACTION, "of the samples, held out for that; for classes, the share of each."),
    "n_iter_no_change": Parameter(count(), "epochs to wait for a score that is better by ``tol``; at least 1."),
    "tol": Parameter(_AT_LEAST_0, "how much better; at least 0."),
    "warm_start": Parameter(SWITCH, "whether `fit` goes on from the earlier fit's weights, optimizer and order."),
    "verbose": Parameter(_LOUDNESS, "whether each epoch prints its loss."),
}
"""The parameters that both estimators have and check, but for ``random_state``."""

_RANDOM_STATE = (
    "a seed from 0 to 2⁶⁴ - 1, which decides the first weights, the order, dropout and what is held out as "
    "``seed`` does in `epochal.train`; or a ``RandomState`` that draws one, or ``None`` for another one each time."
)


def documented(estimator: type[T]) -> type[T]:
    """Put the parameters into an estimator's docstring, in place of its line ``{parameters}``."""
    lines = [f"    {name}: {one.help}" for name, one in PARAMETERS.items()] + [f"    random_state: {_RANDOM_STATE}"]
    wrapped = [textwrap.fill(f"    {line}", 120, subsequent_indent=" " * 12) for line in lines]
    estimator.__doc__ = (estimator.__doc__ or "").replace("        {parameters}", "\n".join(wrapped))
    return estimator


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a training is made with, once N is known.

    Attributes:
        batch_size: B, at most N.
        most_rows: the batch size as it was given, of which N is no part: fits of other N share what it compiles.
        epochs: at least 1.
        rate: the learning rate.
        decay: the weight decay.
    """

    batch_size: int
    most_rows: int
    epochs: int
    rate: float
    decay: float


class Architecture(NamedTuple):
    """What a model is built from: plain values, which an estimator keeps in place of the model."""

    name: str
    sample_shape: tuple[int, ...]
    outputs: int
    options: dict[str, Any]

    def build(self) -> Model:
        """Return the model. Raises `ModelError` for a sample that does not fit it, `OptionError` for its options."""
        return build_model(self.name, self.sample_shape, self.outputs, **self.options)


@dataclass(frozen=True, slots=True)
class Settings:
    """An estimator's parameters, each of its kind; ``None`` for ``"auto"``."""

    model: str
    hidden_layer_sizes: tuple[int, ...]
    dropout: float
    sample_shape: tuple[int, ...] | None
    epochs: int | None
    batch_size: int | Literal["all"] | None
    optimizer: str
    learning_rate: float | None
    weight_decay: float | None
    momentum: float
    standardize: bool
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    warm_start: bool
    verbose: bool

    @classmethod
    def of(cls, estimator: Any) -> Settings:
        """Read an estimator's parameters. Raises `OptionError` or `PlanError`, which are ``ValueError``."""
        return cls(**{name: one.kind.read(name, getattr(estimator, name)) for name, one in PARAMETERS.items()})

    def architecture(self, features: int, outputs: int) -> Architecture:
        """Return what the model is. Raises `ModelError` where a sample's shape does not hold all features."""
        shape = (features,) if self.sample_shape is None else self.sample_shape
        if math.prod(shape) != features:
            raise ModelError(f"sample_shape {shape} has {math.prod(shape):,} values, but X has {features:,} features")

        options: dict[str, Any] = {"hidden": self.hidden_layer_sizes} if self.model == "mlp" else {}
        if self.dropout:
            options["dropout"] = self.dropout
        return Architecture(self.model, shape, outputs, options)

    def build_optimizer(self) -> Optimizer:
        """Return the optimizer, without a weight decay, which is an argument of the compiled fit."""
        options: dict[str, Any] = {"weight_decay": None}
        if "momentum" in OPTIMIZERS[self.optimizer].defaults:
            options["momentum"] = self.momentum
        return build_optimizer(self.optimizer, options)

    def numbers(self, samples: int, facts: Facts) -> Numbers:
        """Return what is trained with, for N samples: what `epochal.train` takes for a table, where it is "auto"."""
        given = OF_TABLES.batch_size(samples) if self.batch_size is None else self.batch_size
        if isinstance(given, int) and self.batch_size is not None and given > samples:
            message = f"batch_size={given} is more than the {samples} samples: it is {samples}"
            warnings.warn(translate(message), stacklevel=2)
        batch_size = samples if given == "all" else min(given, samples)

        usual = OF_TABLES.rate_of(batch_size)
        if self.optimizer != "adamw":
            usual = rate_for(self.optimizer, batch_size, self.model, facts)
        decay = OF_TABLES.weight_decay if self.optimizer == "adamw" else 0.0
        return Numbers(
            batch_size,
            _UNLIMITED if given == "all" else given,
            self.epochs or OF_TABLES.epochs(-(-samples // batch_size)),
            self.learning_rate or usual,
            decay if self.weight_decay is None else self.weight_decay,
        )


def seed_of(random_state: Any) -> int:
    """Return a seed: a whole number itself, as `epochal.train` takes it, or what a random state draws.

    Raises `ValueError` for anything else.
    """
    if isinstance(random_state, Integral):
        seed: int = SEED.read("random_state", int(random_state))
        return seed
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
