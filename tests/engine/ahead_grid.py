"""Trainings that differ in one thing each from one another, in all that a training can differ in."""

from __future__ import annotations

from typing import Any

import numpy as np

from epochal.data import Dataset, from_arrays
from epochal.engine import OPTIMIZERS

BASE: dict[str, Any] = {"model": "mlp:5", "optimizer": "sgd", "batch_size": 7, "iterations": 3}

SHORT: dict[str, dict[str, Any]] = {
    "base": {},
    "dropout": {"dropout": 0.5},
    "bfloat16": {"precision": "bfloat16"},
    "momentum": {"optimizer": "momentum"},
    "longer cosine": {"schedule": "cosine", "iterations": 4},
    "smoothed": {"label_smoothing": 0.1},
    "smoothed more": {"label_smoothing": 0.2},
    "noise": {"measure": "noise"},
    "noise in micro-batches": {"measure": "noise", "micro_batch": 3},
    "metrics": {"metrics": ("f1", "log-loss")},
}
"""What a short test compares."""

_OF_CNN: dict[str, dict[str, Any]] = {
    "kernel": {"settings": {"kernel": 3}},
    "channels": {"settings": {"channels": [4]}},
    "hidden": {"hidden": (5,)},
    "dropout": {"dropout": 0.5},
    "bfloat16": {"precision": "bfloat16"},
}

LONG: dict[str, dict[str, Any]] = {
    "another size": {"model": "mlp:6"},
    "linear": {"model": "linear"},
    "batch": {"batch_size": 8},
    "another momentum": {"optimizer": "momentum", "momentum": 0.5},
    "clipped": {"clip_norm": 1.0},
    "cosine": {"schedule": "cosine"},
    "squared": {"loss": "mean-squared-error"},
    "numbers": {"data": "numbers"},
    **{f"sizes {size}": {"batch_size": size} for size in (1, 9, 20, 60, "all")},
    **{f"{name}": {"optimizer": name} for name in OPTIMIZERS},
    **{
        f"{name} with {option}": {"optimizer": name, "settings": {option: 0.25}}
        for name, one in OPTIMIZERS.items()
        for option in one.defaults
        if option not in ("momentum", "weight_decay")
    },
    **{f"{name} that decays": {"optimizer": name, "weight_decay": 0.01} for name in ("sgd", "adam", "lion", "adamw")},
    **{
        f"{name}{warmup or ''}": {"schedule": name, "warmup": warmup}
        for name in ("constant", "linear", "cosine")
        for warmup in (None, "1it", "2it")
    },
    "one-cycle": {"schedule": "one-cycle"},
    "no sharper clip": {"clip_norm": 0.5},
    "less dropout": {"dropout": 0.25},
    "two layers": {"model": "mlp:5-5"},
    "hidden": {"model": "mlp", "hidden": (5,)},
    "in micro-batches": {"micro_batch": 3},
    "in others": {"micro_batch": 4},
    "in shards": {"batch_size": 64, "shards": 2, "data": "many"},
    "in one shard": {"batch_size": 64, "shards": 1, "data": "many"},
    "blocks": {"order": "blocks"},
    "balanced": {"class_weight": "balanced"},
    "dropped": {"last": "drop", "batch_size": 25},
    "every metric": {"metrics": ("accuracy", "top-5-accuracy", "balanced-accuracy", "precision", "recall", "roc-auc")},
    "every metric of numbers": {"data": "numbers", "metrics": ("mae", "mse", "rmse", "r2")},
    "another seed": {"seed": 5},
    "another rate": {"lr": 0.01},
    "noise of another rate": {"measure": "noise", "optimizer": "adam"},
    **{f"on {data}": {"data": data} for data in ("many", "weighted", "two numbers", "bytes", "pairs")},
    **{
        f"{model} on {data}": {"model": model, "data": data}
        for model in ("linear", "mlp:5", "cnn", "lenet", "rnn:5")
        for data in ("pictures", "larger pictures")
    },
    **{f"cnn with {name}": {"model": "cnn", "data": "pictures", **options} for name, options in _OF_CNN.items()},
    "rnn in one shard": {"model": "rnn:5", "data": "pictures", "shards": 1},
}
"""What a long test compares beside."""

WITHOUT_A_PROGRAM = {
    **dict.fromkeys(
        ("target", "features", "drop", "categorical", "no_header", "encoding", "image_size", "grey", "test",
         "validation", "fold", "task"),
        "the data that come of it have shapes and types, which a program's arguments show",
    ),
    **dict.fromkeys(("epochs", "budget"), "how often a chunk is called; a schedule's length is varied by iterations"),
    **dict.fromkeys(
        ("patience", "evaluate_every", "checkpoint_every", "snapshots", "on_nan"), "what happens between two chunks"
    ),
}  # fmt: skip
"""Options that are not varied, and why no program can depend on them."""


def data_named(name: str) -> Dataset:
    """Small data of a kind."""
    dice = np.random.default_rng(7)
    x = dice.normal(0, 2, (200, 8, 8)).astype(np.float32)
    classes, number = np.arange(200) % 3, dice.normal(5, 3, 200)
    sides = {"pictures": 8, "larger pictures": 7}
    if name in sides:
        pictures = np.pad(x, ((0, 0), (0, 8), (0, 8)))[:80, : 2 * sides[name], : 2 * sides[name]]
        return from_arrays(pictures, classes[:80], test=(pictures[:9], classes[:9]))

    x, few = x.reshape(200, -1)[:, :4], 200 if name == "many" else 60
    targets = {"numbers": number, "two numbers": np.stack([number, -number], 1), "pairs": classes % 2}
    y = targets.get(name, classes)
    x = (np.abs(x) * 20).astype(np.uint8) if name == "bytes" else x
    weights = number[:few] ** 2 if name == "weighted" else None
    return from_arrays(x[:few], y[:few], test=(x[:23], y[:23]), weights=weights)
