"""The run folder: where a run's configuration, history and checkpoints lie, and its `run.toml`."""

from __future__ import annotations

import json
import platform
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from epochal.config import TrainConfig
from epochal.errors import EpochalError, RunError
from epochal.files import make_folder_durably, sync_folder, write_durably

FORMAT = 1
_HEADING = "# An Epochal run. `epochal rerun` repeats it from this file; `epochal resume` goes on with it.\n\n"


@dataclass(frozen=True, slots=True)
class Change:
    """Options that a run changed after ``iteration`` iterations."""

    iteration: int
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunFile:
    """What `run.toml` holds.

    Attributes:
        config: the resolved configuration, enough to run it again.
        data: the data set's name, sizes and fingerprint.
        model: the model's name and options, and how many parameters it has.
        versions: of everything that decides the bits of the result.
        device: platform, kind, count, and the processors of the machine that the process could use.
        changes: what later sessions changed, and when.
        custom: parts that were given as Python objects (data, model, optimizer, loss) and so cannot be rebuilt by name.
    """

    config: TrainConfig
    data: dict[str, Any]
    model: dict[str, Any]
    versions: dict[str, str]
    device: dict[str, Any]
    custom: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    def config_at(self, iteration: int) -> TrainConfig:
        """Return the configuration under which the iteration after so many runs."""
        config = self.config
        for change in self.changes:
            if change.iteration <= iteration:
                config = config.changed(change.options)
        return config

    @property
    def present_config(self) -> TrainConfig:
        """The configuration after all changes."""
        return self.config_at(self.changes[-1].iteration) if self.changes else self.config

    def next_change(self, iteration: int) -> int | None:
        """Return the iteration of the first change after ``iteration``."""
        return min((change.iteration for change in self.changes if change.iteration > iteration), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return the file's content."""
        return {
            "format": FORMAT,
            "custom": list(self.custom),
            "config": self.config.to_dict(),
            "data": self.data,
            "model": self.model,
            "versions": self.versions,
            "device": self.device,
            "changes": [{"iteration": change.iteration, **change.options} for change in self.changes],
        }

    def origin(self, iteration: int) -> dict[str, Any]:
        """Return everything that decided the state after ``iteration`` iterations, for a checkpoint to carry."""
        content = self.to_dict()
        return {**content, "changes": [change for change in content["changes"] if change["iteration"] < iteration]}

    def check_origin(self, origin: Mapping[str, Any], iteration: int) -> None:
        """Raise `RunError` where a checkpoint's origin is not this file's, so that its state belongs to another run.

        Versions and device may differ, and so may the place and name of the data, whose fingerprint may not.
        """
        found, wanted = _deciding(origin), _deciding(self.origin(iteration))
        for name in sorted(found.keys() | wanted.keys()):
            if found.get(name) != wanted.get(name):
                raise RunError(
                    f"the checkpoint of iteration {iteration:,} was made with {name} = {found.get(name)}, but run.toml "
                    f"says {wanted.get(name)}; put run.toml back as it was (`epochal resume` has options for changes)"
                )


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def run_toml(self) -> Path:
        """The configuration."""
        return self.path / "run.toml"

    @property
    def history_db(self) -> Path:
        """The history."""
        return self.path / "history.db"

    @property
    def lock(self) -> Path:
        """The lock of the process that works on the run."""
        return self.path / "run.lock"

    @property
    def snapshots(self) -> Path:
        """The folder of kept weights."""
        return self.path / "snapshots"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    def write(self, file: RunFile) -> None:
        """Write `run.toml` as a whole or not at all."""
        try:
            write_durably(self.run_toml, (_HEADING + tomli_w.dumps(file.to_dict())).encode())
        except OSError as error:
            raise RunError(f"cannot write {self.run_toml}: {error.strerror}") from error

    def read(self) -> RunFile:
        """Read `run.toml`. Raises `RunError` where it is missing, damaged, or of a later format."""
        if not self.path.is_dir():
            raise RunError(f"there is no run folder {self.path}; `epochal runs` lists the runs here")
        try:
            content = tomllib.loads(self.run_toml.read_text(encoding="utf-8"))
            if content["format"] > FORMAT:
                raise RunError(f"{self.run_toml} has format {content['format']}; this Epochal reads up to {FORMAT}")
            _check_types(content)
            config = TrainConfig.from_dict(content["config"])
            changes = tuple(Change(change.pop("iteration"), change) for change in content["changes"])
            return RunFile(
                config,
                content["data"],
                content["model"],
                content["versions"],
                content["device"],
                tuple(content["custom"]),
                changes,
            )
        except FileNotFoundError:
            raise RunError(f"{self.path} is no run folder: it has no run.toml") from None
        except RunError:
            raise
        except OSError as error:
            raise RunError(f"cannot read {self.run_toml}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, EpochalError) as error:
            raise RunError(f"{self.run_toml} is damaged: {' '.join(str(error).split())}") from error


_TYPES: dict[str, dict[str, type]] = {
    "data": {
        "name": str,
        "fingerprint": str,
        "train": int,
        "test": int,
        "sample_shape": list,
        "task": str,
        "outputs": int,
    },
    "model": {"name": str, "parameters": int, "options": dict},
    "device": {"platform": str, "kind": str, "count": int},
}


def _check_types(content: Mapping[str, Any]) -> None:
    """Raise `ValueError` where something that others rely on is missing or of another type."""
    for table, names in _TYPES.items():
        for name, kind in names.items():
            if not isinstance(content[table].get(name), kind):
                raise ValueError(f"[{table}] has no {name}, or one of another type")
    if not all(isinstance(version, str) for version in content["versions"].values()):
        raise ValueError("[versions] holds something else")


def _deciding(origin: Mapping[str, Any]) -> dict[str, str]:
    """Return all of an origin that may not differ, as comparable text: not where the data lie and what they are called.

    Versions and device are left out as well: they may change, with a warning.
    """
    values = {name: value for name, value in origin["config"].items() if name != "data"}
    values |= {f"data {name}": value for name, value in origin["data"].items() if name != "name"}
    values |= {f"model {name}": value for name, value in origin["model"].items()}
    values |= {"custom": origin["custom"], "changes": origin["changes"]}
    return {name: json.dumps(value, sort_keys=True) for name, value in values.items()}


def create_run_folder(path: Path | None, stem: str, root: Path = Path("runs")) -> RunFolder:
    """Make an empty folder: the given one, or the next free of ``runs/STEM-1``, ``runs/STEM-2`` and so on.

    Raises `RunError` where the given one already holds something, or nothing can be made there.
    """
    try:
        if path is None:
            path = _next_free(root, re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "run")
        make_folder_durably(path)
        folder = RunFolder(path)
        if any(found not in (folder.lock, folder.run_toml.with_name("run.toml.tmp")) for found in path.iterdir()):
            raise RunError(f"{path} is not empty; choose another folder, or go on with its run: epochal resume {path}")
        return folder
    except OSError as error:
        raise RunError(f"cannot make the run folder {path or root}: {error.strerror}") from error


def _next_free(root: Path, stem: str) -> Path:
    """Make the next free numbered folder."""
    make_folder_durably(root)
    number = 1
    while True:
        path = root / f"{stem}-{number}"
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
            continue
        sync_folder(root)
        return path


def present_versions() -> dict[str, str]:
    """Return the versions of everything that decides the bits of a result."""
    packages = ("epochal", "jax", "jaxlib", "numpy", "optax")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
