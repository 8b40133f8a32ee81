"""Command lines that repeat a run: its configuration as `epochal train`, and quoting for the shell."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from epochal.config import TrainConfig


def train_command(config: TrainConfig) -> str:
    """Return the command that trains this configuration, without what is the default anyway.

    >>> train_command(TrainConfig(data="mnist", batch_size=100, budget="30000it", hidden=(64, 32), lr=0.1))
    'epochal train mnist --hidden 64 32 --batch-size 100 --budget 30000it --lr 0.1'
    """
    words = ["epochal", "train", config.data]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "data" or value is None or value == field.default:
            continue
        words.extend(_option(field.name, value))
    return shlex.join(words)


def _option(name: str, value: Any) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    if isinstance(value, tuple):
        return [option, *map(str, value)]
    return [option, f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)]


def shell(*words: str) -> str:
    """Return a command as a shell reads it.

    >>> shell("epochal", "rerun", "my runs/1")
    "epochal rerun 'my runs/1'"
    """
    return shlex.join(words)
