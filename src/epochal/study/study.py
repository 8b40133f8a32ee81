"""`Study`: a folder of runs that answer one question, and its `study.toml`."""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from epochal.config import BatchSize, Member, StudyConfig
from epochal.errors import EpochalError, RunError
from epochal.files import write_durably

if TYPE_CHECKING:
    from epochal.run.run import Run

FORMAT = 1
LANDSCAPES = {"pca": "landscape.json", "random": "landscape-random.json"}
"""The file of each kind of landscape."""

_HEADING = (
    "# An Epochal study: runs that differ in what the lists vary, each in a folder of its own. The same\n"
    "# `epochal compare --run FOLDER` finishes what is unfinished; `epochal report FOLDER` shows it.\n\n"
)


@dataclass(frozen=True, slots=True)
class Tried:
    """A learning rate and the held-out loss that it led to: infinite where training diverged."""

    lr: float
    loss: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """The learning rate that a search found for one model, optimizer and batch size, and how.

    Attributes:
        lr: the rate with the lowest held-out loss.
        tried: every rate with its held-out loss, by rate.
        updates: updates that each rate was trained for.
        train, held_out: samples of the training set that the search trained on, and that it judged by.
        seed: decides the held-out samples, the initial weights and the order.
    """

    model: str
    optimizer: str
    batch_size: BatchSize
    lr: float
    tried: tuple[Tried, ...]
    updates: int
    train: int
    held_out: int
    seed: int

    @property
    def group(self) -> tuple[str, str, BatchSize]:
        """What it was searched for."""
        return (self.model, self.optimizer, self.batch_size)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Tuned:
        """Read what `dataclasses.asdict` gave."""
        return cls(**{**values, "tried": tuple(Tried(**tried) for tried in values["tried"])})


@dataclass(frozen=True, slots=True)
class Study:
    """A study folder and what it holds.

    >>> study = Study.open("runs/compare-mnist-1")  # doctest: +SKIP
    >>> {name: run.status for name, run in study.runs.items()}  # doctest: +SKIP
    {'batch-1': 'finished', 'batch-100': 'finished', 'batch-all': 'finished'}

    Attributes:
        data: name, fingerprint and sizes of the data that all runs use.
        tuned: the learning rates that a search found.
    """

    path: Path
    config: StudyConfig
    data: dict[str, Any]
    tuned: tuple[Tuned, ...] = ()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Study:
        """Open a study folder. Raises `RunError` where it is none or is damaged."""
        path = Path(path)
        file = path / "study.toml"
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
            if content["format"] > FORMAT:
                raise RunError(f"{file} has format {content['format']}; this Epochal reads up to {FORMAT}: update it")
            tuned = tuple(Tuned.from_dict(values) for values in content.get("tuned", ()))
            return cls(path, StudyConfig.from_dict(content["compare"]), content["data"], tuned)
        except FileNotFoundError:
            raise RunError(f"{path} is no study: it has no study.toml; `epochal compare` makes one") from None
        except RunError:
            raise
        except (OSError, ValueError, KeyError, TypeError, EpochalError) as error:
            raise RunError(f"{file} is damaged: {error}") from error

    @staticmethod
    def is_at(path: str | os.PathLike[str]) -> bool:
        """Return whether the folder is a study's."""
        return (Path(path) / "study.toml").is_file()

    @property
    def members(self) -> tuple[Member, ...]:
        """The runs that the study is made of, made or not yet, in their order."""
        return self.config.members({tuned.group: tuned.lr for tuned in self.tuned})

    @property
    def runs(self) -> dict[str, Run]:
        """The runs that exist already, by name, in the members' order. Raises `RunError` for a damaged one."""
        from epochal.run.run import Run

        folders = {member.name: self.path / member.name for member in self.members}
        return {name: Run.open(folder) for name, folder in folders.items() if (folder / "run.toml").exists()}

    @property
    def is_finished(self) -> bool:
        """Whether every run came to its end, or diverged, which is an end too."""
        runs = self.runs
        return len(runs) == len(self.members) and all(run.status in ("finished", "diverged") for run in runs.values())

    @property
    def landscape_files(self) -> dict[str, Path]:
        """The landscapes that were surveyed, by kind: ``pca``, ``random``."""
        return {kind: self.path / name for kind, name in LANDSCAPES.items() if (self.path / name).is_file()}

    @property
    def landscapes(self) -> dict[str, dict[str, Any]]:
        """The same as plain records. Raises `RunError` for a damaged one."""
        return {kind: _read_json(file) for kind, file in self.landscape_files.items()}

    def write(self) -> None:
        """Write `study.toml` as a whole or not at all."""
        content: dict[str, Any] = {"format": FORMAT, "data": self.data, "compare": self.config.to_dict()}
        if self.tuned:
            content["tuned"] = [
                {**dataclasses.asdict(one), "tried": list(map(dataclasses.asdict, one.tried))} for one in self.tuned
            ]
        try:
            write_durably(self.path / "study.toml", (_HEADING + tomli_w.dumps(content)).encode())
        except OSError as error:
            raise RunError(f"cannot write {self.path / 'study.toml'}: {error.strerror}") from error


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{file} is damaged: {error}; `epochal compare --run {file.parent} --landscape` makes it again"
        ) from error
    return content
