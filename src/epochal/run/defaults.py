"""What is trained where the user leaves it open, for tables and pictures; measured by `python bench/tables.py`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from epochal.clock import Plan, Position
from epochal.config.train_config import BUDGETS, TrainConfig, default_batch_size
from epochal.data import Dataset
from epochal.data.encodings import PictureEncoding
from epochal.engine import OPTIMIZERS, default_learning_rate
from epochal.engine.optimizer import DefaultRate
from epochal.model_names import read_model_name
from epochal.models import Model

_SMALL = 10_000
_BATCH = 32
_LARGEST_SCALE = 4.0  # of the rate, which grows with the square root of a batch of more than 32


class Usual(NamedTuple):
    """What is usual for a kind of data: updates of AdamW, within limits of epochs, its rate and weight decay."""

    updates: int
    fewest_epochs: int
    most_epochs: int
    rate: float
    weight_decay: float

    def batch_size(self, samples: int) -> int:
        """Return the batch size for N samples: 32 where they are few."""
        return _BATCH if samples <= _SMALL else default_batch_size(samples)

    def epochs(self, batches: int) -> int:
        """Return the epochs of so many batches that make about the usual number of updates."""
        return max(self.fewest_epochs, min(self.most_epochs, self.updates // batches))

    def rate_of(self, batch_size: int) -> float:
        """Return AdamW's learning rate."""
        scale = max(1.0, min(_LARGEST_SCALE, math.sqrt(batch_size / _BATCH)))
        return float(f"{self.rate * scale:.3g}")


OF_TABLES = Usual(4_000, 10, 500, 0.002, 0.2)  # more updates would fit the noise of small tables
_OF_PICTURES = Usual(1_000, 10, 50, 0.001, 0.1)
_OF_DEEPER: Mapping[str | None, float] = {"cnn": 0.5, "lenet": 0.5, "rnn": 0.5}
_OF_OTHERS = 0.25
_LOOKED_AT = 2_000

# of mlp on cross-entropy, beside the optimizers' own, which suit samples of this squared length (MNIST's)
_USUAL_LENGTH = 89.0
_BY_LENGTH = 0.75  # the power of the squared length by which small batches' rates fall
_HIGHER_ON_TABLES = {"sgd": 2.0, "momentum": 1.0, "nesterov": 1.0, "adam": 2.0, "adamw": 2.0, "rmsprop": 2.0}
_PLAIN_ON_SQUARED_ERROR = {
    "sgd": DefaultRate(0.01605, 7.0, 1.0),
    "momentum": DefaultRate(0.024, 100.0, 1.0),
    "nesterov": DefaultRate(0.024, 100.0, 1.0),
}

# of linear, times the squared length of a sample
_LINEAR = {
    "sgd": DefaultRate(56.0, 75.0, 1.0),
    "momentum": DefaultRate(9.4, 70.0, 1.0),
    "nesterov": DefaultRate(9.4, 70.0, 1.0),
    "adam": DefaultRate(1.7, 48.0, 0.6),
    "adamw": DefaultRate(1.7, 48.0, 0.6),
    "rmsprop": DefaultRate(1.1, 48.0, 0.6),
    "adagrad": DefaultRate(148.0),
    "lion": DefaultRate(0.75),
}
_LINEAR_ON_SQUARED_ERROR = {
    "sgd": DefaultRate(1.0, 9.0, 1.0),
    "momentum": DefaultRate(0.45, 40.0, 1.0),
    "nesterov": DefaultRate(0.45, 40.0, 1.0),
    "adam": DefaultRate(0.56, 25.0, 0.5),
    "adamw": DefaultRate(0.56, 25.0, 0.5),
    "rmsprop": DefaultRate(0.36, 25.0, 0.5),
}


def with_defaults(config: TrainConfig, data: Dataset, *, own_optimizer: bool = False) -> TrainConfig:
    """Return the configuration with what is usual for a table or pictures filled in; for other data as it is.

    They are trained by AdamW with a weight decay that few samples need, in batches of 32 (of 100 above 10,000 samples),
    a table for about 4,000 updates, which are 10 to 500 epochs. What the user gives is not touched, nor what an
    optimizer of the user's own (``own_optimizer``) knows.
    """
    usual = _usual(config, data)
    if usual is None:
        return config
    filled: dict[str, Any] = {}
    samples = len(data.train)
    if config.batch_size is None and samples <= _SMALL:
        filled["batch_size"] = min(usual.batch_size(samples), samples)
    if all(getattr(config, name) is None for name in BUDGETS):
        plan = dataclasses.replace(config, **filled, epochs=1).plan(samples)
        filled["epochs"] = usual.epochs(plan.batches_at(Position()).per_epoch)

    # a rate without an optimizer is one of plain descent, and so is momentum, to be refused there
    is_open = all(one is None for one in (config.optimizer, config.lr, config.momentum))
    if is_open and not own_optimizer:
        filled["optimizer"] = "adamw"
        if config.weight_decay is None:
            filled["weight_decay"] = usual.weight_decay
        batch_size = dataclasses.replace(config, **filled).plan(samples).first_batch_size
        filled["lr"] = usual.rate_of(batch_size)
    return dataclasses.replace(config, **filled)


def _usual(config: TrainConfig, data: Dataset) -> Usual | None:
    model = read_model_name(config.model).base
    if isinstance(data.encoding, PictureEncoding):
        return _OF_PICTURES if model != "rnn" else None
    return OF_TABLES if data.is_table and model in ("linear", "mlp") else None


@dataclass(frozen=True, slots=True)
class Facts:
    """What default rates follow from, beside optimizer, batch size and model.

    Attributes:
        squared_length: the mean of ``1 + |x|²`` over samples as a model sees them; the 1 is the bias' input.
        is_table: whether samples are rows of numbers, whose columns have mean 0.
        outputs: over how many a squared error is averaged; ``None`` for cross-entropy. A loss of the user's own is
            taken as cross-entropy on classes, and as a squared error of 1 on numbers.
    """

    squared_length: float
    is_table: bool
    outputs: int | None

    @classmethod
    def of(cls, data: Dataset, loss: str) -> Facts:
        """Look at some of a data set's training samples, the same ones each time."""
        x = data.preprocessing(data.train.take(looked_at(len(data.train))).x)
        own = 1 if data.class_names is None else None
        outputs = {"cross-entropy": None, "mean-squared-error": data.outputs}.get(loss, own)
        return cls(squared_length(x), data.is_table, outputs)


def looked_at(samples: int) -> np.ndarray:
    """Return which of N samples are looked at: all of few, and of many some by chance, as files may have a rhythm."""
    if samples <= _LOOKED_AT:
        return np.arange(samples)
    return np.sort(np.random.default_rng(0).integers(0, samples, _LOOKED_AT))


def squared_length(x: np.ndarray) -> float:
    """Return the mean of ``1 + |x|²`` over samples of any shape."""
    rows = x.reshape(len(x), -1).astype(np.float64)
    return 1 + float(np.mean(np.sum(rows * rows, axis=1)))


def usual_rate(optimizer: str, plan: Plan, data: Dataset, model: Model, loss: str) -> float:
    """Return the learning rate where none is given, for the first batch size."""
    name = model.name if model.is_built_in else None
    facts = Facts.of(data, loss) if name in ("linear", "mlp") else None
    return rate_for(optimizer, plan.first_batch_size, name, facts)


def rate_for(optimizer: str, batch_size: int, model: str | None, facts: Facts | None) -> float:
    """Return the default rate of an optimizer for a model. Measured by `python bench/default_rates.py`.

    An optimizer's own rate (`default_learning_rate`) is that of mlp on MNIST. Half of it trains cnn and rnn, whose
    first gradients are larger, and a quarter a model of the user's own (``None``), of which nothing is known. Those of
    linear and mlp follow from their inputs.

    Args:
        optimizer: its name.
        batch_size: B.
        model: the name of one of Epochal's; ``None`` for the user's.
        facts: of the data, for linear and mlp.
    """
    if model == "linear" and facts is not None:
        rate = _of_linear(optimizer, batch_size, facts)
    elif model == "mlp" and facts is not None:
        rate = _of_mlp(optimizer, batch_size, facts)
    else:
        rate = default_learning_rate(optimizer, batch_size) * _OF_DEEPER.get(model, _OF_OTHERS)
    return float(f"{rate:.3g}")


def _of_linear(optimizer: str, batch_size: int, facts: Facts) -> float:
    """Return linear's rate, which is as many times smaller as its samples' squared length is larger.

    Both losses curve along a sample by at most a multiple of that, whatever the weights are. On a squared error, plain
    descent with whole batches is stable then on any data: it is below 1 / λ, where λ is the largest eigenvalue of the
    inputs' second moment, which is at most the squared length. The error's mean over several outputs makes gradients
    smaller, which plain descent has to make up for.
    """
    rates = (_LINEAR if facts.outputs is None else _LINEAR_ON_SQUARED_ERROR).get(optimizer)
    if rates is None:
        return default_learning_rate(optimizer, batch_size)
    outputs = facts.outputs if optimizer in _PLAIN_ON_SQUARED_ERROR and facts.outputs is not None else 1
    return rates.of(batch_size) * outputs / facts.squared_length


def _of_mlp(optimizer: str, batch_size: int, facts: Facts) -> float:
    """Return the rate of mlp.

    Short samples have larger rates where batches are small and noise limits them. Where batches are large, curvature
    does, which hardly depends on the length, as the layers behind the first see values of one size; but the pixels of
    pictures, none of which is negative, have one direction in common, and columns around 0 have none.

    On a squared error, plain descent has rates of its own: the curvature grows with the width of the layer below, which
    a cross-entropy's does not, and what is stable ends sharply. Of its mean over several outputs, each has a share.
    """
    if facts.outputs is not None and optimizer in _PLAIN_ON_SQUARED_ERROR:
        return _PLAIN_ON_SQUARED_ERROR[optimizer].of(batch_size) * facts.outputs

    own = OPTIMIZERS[optimizer].rate
    if optimizer not in _HIGHER_ON_TABLES:
        return own.of(batch_size)
    rates = own.steeper((_USUAL_LENGTH / facts.squared_length) ** _BY_LENGTH)
    return (rates.higher(_HIGHER_ON_TABLES[optimizer]) if facts.is_table else rates).of(batch_size)
