"""Trainings whose programs come from the disk have the bits of those that compile, whatever was trained before.

Each child process trains by the real command line, one training after another, and forgets its programs between them:
so each start finds on the disk what it is to find there, or nothing.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ahead_grid import BASE, LONG, SHORT, data_named

from epochal.config.train_config import TrainConfig

QUARTERS = 4

TRAIN_ALL = """
import contextlib, io, json, sys
from epochal.cli.main import main
from epochal.engine import ahead, described
from epochal.engine.compile import PROGRAMS

{damage}
found, load = [], ahead.Kept.load
ahead.Kept.load = lambda self: found.append(load(self)) or found[-1]
for number, words in enumerate(json.load(sys.stdin)):
    PROGRAMS._known.clear()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = main([*words, "--json", "--run", f"{{sys.argv[1]}}/{{number}}"])
    weights = json.loads(said.getvalue())["weights_sha256"] if status == 0 else f"ended with {{status}}"
    print(json.dumps([weights, sum(one is not None for one in found), len(found)]))
    found.clear()
"""

FORGETFUL = """
from types import SimpleNamespace
import dataclasses
fields = lambda part: [one for one in dataclasses.fields(part) if one.name != "smoothing"]
described.dataclasses = SimpleNamespace(is_dataclass=dataclasses.is_dataclass, fields=fields)
"""
"""The control: names that leave out how much a loss is smoothed."""


@dataclass(frozen=True)
class Ended:
    """What a training had: its weights, and how many of its programs came from the disk."""

    weights: str
    found: int
    asked: int


def train_all(commands: list[list[str]], folder: Path, cache: Path | None, damage: str = "") -> list[Ended]:
    """Train one after another in a process that has just begun; without a cache for ``None``."""
    places = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    places |= {"EPOCHAL_COMPILE_CACHE": "0"} if cache is None else {"XDG_CACHE_HOME": str(cache)}
    child = subprocess.run(
        [sys.executable, "-c", TRAIN_ALL.format(damage=damage), str(folder)],
        input=json.dumps(commands), env=places, capture_output=True, text=True,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    return [Ended(*json.loads(line)) for line in child.stdout.splitlines()]


def command_of(options: dict[str, Any], folder: Path) -> list[str]:
    """Return the command of a training of the grid, whose data are written to a file."""
    some = {**BASE, **options}
    name = some.get("data", "classes")
    file = folder / f"{name.replace(' ', '-')}.npz"
    if not file.exists():
        train: Any = data_named(name).train
        np.savez(file, x=train.x, y=train.y)
    return shlex.split(TrainConfig(**{**some, "data": str(file)}).command())[1:]


def check_found(again: list[Ended]) -> None:
    """Refuse starts that compiled; but the first weights of rnn are made by LAPACK, and compiled each time."""
    assert all(one.found >= one.asked - 1 > 0 for one in again)
    assert sum(one.found for one in again) > 0.8 * sum(one.asked for one in again)


def test_trainings_from_the_disk_have_the_bits_of_those_that_compiled(tmp_path: Path) -> None:
    """The last is the first that starts from the disk: a process has to be told of LAPACK, which makes its weights."""
    commands = [command_of(options, tmp_path) for options in ({}, {"model": "rnn:5", "data": "pictures"})]
    first = train_all(commands, tmp_path / "first", tmp_path / "cache")
    again = train_all(commands[::-1], tmp_path / "again", tmp_path / "cache")[::-1]
    assert [one.weights for one in first] == [one.weights for one in again]
    assert first[0].weights != first[1].weights, "the control"
    check_found(again)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(QUARTERS))
def test_all_kinds_of_trainings_from_the_disk_have_the_bits_of_those_that_compile(part: int, tmp_path: Path) -> None:
    """They fill a cache, train again with it in another order, and without one."""
    left_out = {"on weighted", "sizes 60"}  # a file of arrays has no weights, and gives some samples to the test set
    all_kinds = {name: options for name, options in {**SHORT, **LONG}.items() if name not in left_out}
    grid = dict([*all_kinds.items()][part::QUARTERS])
    commands = [command_of(options, tmp_path) for options in grid.values()]
    first = train_all(commands, tmp_path / "first", tmp_path / "cache")
    again = train_all(commands[::-1], tmp_path / "again", tmp_path / "cache")[::-1]
    never = train_all(commands, tmp_path / "never", None)

    weights = [{name: one.weights for name, one in zip(grid, each, strict=True)} for each in (never, again, first)]
    assert {name: one for name, one in weights[0].items() if len(one) != 64} == {}, "all have ended well"
    assert weights[0] == weights[1] == weights[2]
    assert {one.asked for one in never} == {0}
    check_found(again)


@pytest.mark.slow
def test_names_that_forget_something_give_other_bits(tmp_path: Path) -> None:
    """The control: the second training executes the first one's program."""
    commands = [command_of(SHORT[name], tmp_path) for name in ("smoothed", "smoothed more")]
    never = train_all(commands, tmp_path / "never", None)
    wrong = train_all(commands, tmp_path / "wrong", tmp_path / "cache", FORGETFUL)
    assert never[0].weights == wrong[0].weights
    assert never[1].weights != wrong[1].weights
