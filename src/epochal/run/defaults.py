"""What is trained where the user leaves it open, for tables and pictures; measured by `python bench/tables.py`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from epochal.clock import Plan, Position
from epochal.config import BUDGETS, TrainConfig, default_batch_size
from epochal.data import Dataset
from epochal.data.encodings import PictureEncoding
from epochal.engine import default_learning_rate
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
_OF_MODEL: Mapping[str | None, float] = {"mlp": 1.0, "cnn": 0.5, "lenet": 0.5, "rnn": 0.5}
_OF_OTHERS = 0.25
_LOOKED_AT = 1_000
_PLAIN_ON_SQUARED_ERROR = {
    "sgd": DefaultRate(0.015, 7.0, 1.0),
    "momentum": DefaultRate(0.012, 100.0, 1.0),
    "nesterov": DefaultRate(0.012, 100.0, 1.0),
}
_LINEAR = {  # on cross-entropy, times the squared length of a sample
    "sgd": DefaultRate(32.0, 75.0, 1.0),
    "momentum": DefaultRate(5.5, 70.0, 1.0),
    "nesterov": DefaultRate(5.5, 70.0, 1.0),
    "adam": DefaultRate(1.35, 48.0, 0.6),
    "adamw": DefaultRate(1.35, 48.0, 0.6),
}
_LINEAR_ON_SQUARED_ERROR = {
    "sgd": DefaultRate(0.917, 9.0, 1.0),
    "momentum": DefaultRate(0.32, 40.0, 1.0),
    "nesterov": DefaultRate(0.32, 40.0, 1.0),
    "adam": DefaultRate(0.5, 25.0, 0.5),
    "adamw": DefaultRate(0.5, 25.0, 0.5),
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


def usual_rate(optimizer: str, plan: Plan, data: Dataset, model: Model, loss: str) -> float:
    """Return the learning rate where none is given, for the first batch size."""
    batch_size = plan.first_batch_size
    if model.is_built_in and model.name == "linear":
        outputs = {"cross-entropy": None, "mean-squared-error": data.outputs}.get(loss, 1)
        return rate_for_linear(optimizer, batch_size, squared_length=squared_length(data), outputs=outputs)

    squared_error = data.class_names is None and data.is_table
    name = model.name if model.is_built_in else None
    return rate_for(optimizer, batch_size, model=name, squared_error=squared_error)


def rate_for(optimizer: str, batch_size: int, *, model: str | None, squared_error: bool) -> float:
    """Return the default rate of an optimizer for a model: less for deeper ones, and for a squared error.

    The optimizer's own (`default_learning_rate`) is that of mlp. Half of it trains cnn and rnn, whose first gradients
    are larger, and a quarter a model of the user's own (``None``), of which nothing is known. On a squared error, plain
    descent has rates of its own: the curvature grows with the width of the layer below, which a cross-entropy's does
    not, and what is stable ends sharply. Linear has `rate_for_linear`. Measured by `python bench/default_rates.py`.
    """
    rates = _PLAIN_ON_SQUARED_ERROR.get(optimizer) if squared_error else None
    rate = default_learning_rate(optimizer, batch_size) if rates is None else rates.of(batch_size)
    return float(f"{rate * _OF_MODEL.get(model, _OF_OTHERS):.3g}")


def rate_for_linear(optimizer: str, batch_size: int, *, squared_length: float, outputs: int | None) -> float:
    """Return the default rate of an optimizer for linear, which follows from its inputs' `squared_length`.

    Both losses curve along a sample by at most a multiple of its squared length, whatever the weights are. A rate that
    is divided by it suits pictures of 64 and of 784 pixels, and standardised columns. On a squared error, plain descent
    with whole batches is stable then on any data: it is below 1 / λ, where λ is the largest eigenvalue of the inputs'
    second moment, which is at most the squared length. An optimizer that was added elsewhere keeps its own rate.

    Args:
        optimizer: its name.
        batch_size: B.
        squared_length: of the inputs.
        outputs: over how many a squared error is averaged, which makes its gradient as many times smaller; ``None``
            for cross-entropy. For a loss of the user's own, a squared error of 1.
    """
    rates = (_LINEAR if outputs is None else _LINEAR_ON_SQUARED_ERROR).get(optimizer)
    if rates is None:
        return default_learning_rate(optimizer, batch_size)

    is_plain = optimizer in _PLAIN_ON_SQUARED_ERROR
    shares = outputs if is_plain and outputs is not None else 1
    return float(f"{rates.of(batch_size) * shares / squared_length:.3g}")


def squared_length(data: Dataset) -> float:
    """Return the mean of ``1 + |x|²`` over training samples as a model sees them; the 1 is the bias' input.

    About a thousand samples are looked at, evenly spaced.
    """
    samples = len(data.train)
    seen = data.train.take(np.arange(0, samples, -(-samples // _LOOKED_AT)))
    x = data.preprocessing(seen.x).reshape(len(seen), -1).astype(np.float64)
    return 1 + float(np.mean(np.sum(x * x, axis=1)))
