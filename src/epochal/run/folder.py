"""The run folder: where a run's configuration, history and checkpoints lie, and its `run.toml`."""

from __future__ import annotations

import platform
import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from epochal.errors import EpochalError, RunError
from epochal.run.config import TrainConfig
from epochal.run.files import write_durably

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
        device: platform, kind and count.
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
        content = {
            "format": FORMAT,
            "custom": list(file.custom),
            "config": file.config.to_dict(),
            "data": file.data,
            "model": file.model,
            "versions": file.versions,
            "device": file.device,
            "changes": [{"iteration": change.iteration, **change.options} for change in file.changes],
        }
        try:
            write_durably(self.run_toml, (_HEADING + tomli_w.dumps(content)).encode())
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
        except (OSError, ValueError, KeyError, TypeError, EpochalError) as error:
            raise RunError(f"{self.run_toml} is damaged: {error}") from error


def create_run_folder(path: Path | None, stem: str, root: Path = Path("runs")) -> RunFolder:
    """Make an empty folder: the given one, or the next free of ``runs/STEM-1``, ``runs/STEM-2`` and so on.

    Raises `RunError` where the given one already holds something, or nothing can be made there.
    """
    try:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise RunError(
                    f"{path} is not empty; choose another folder, or go on with its run: epochal resume {path}"
                )
            return RunFolder(path)
        root.mkdir(parents=True, exist_ok=True)
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "run"
        number = 1
        while True:
            folder = root / f"{stem}-{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
                continue
            return RunFolder(folder)
    except OSError as error:
        raise RunError(f"cannot make the run folder {path or root}: {error.strerror}") from error


def present_versions() -> dict[str, str]:
    """Return the versions of everything that decides the bits of a result."""
    packages = ("epochal", "jax", "jaxlib", "numpy", "optax")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
