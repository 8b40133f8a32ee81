"""The run folder: where a run's configuration, history and checkpoints lie."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from epochal.config.command_words import shell_word
from epochal.errors import RunError
from epochal.files import as_file_name, is_leftover, make_folder, sync_folder
from epochal.held_folder import HeldFolder

CHECKPOINTS, SNAPSHOTS, INITIAL = "checkpoints", "snapshots", "initial"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def run_toml(self) -> Path:
        """The configuration."""
        return self.path / "run.toml"

    @property
    def preprocessing(self) -> Path:
        """What prediction needs: how samples become model input, and what outputs mean."""
        return self.path / "preprocessing.json"

    @property
    def exported(self) -> Path:
        """The function of a model of the user's own, as StableHLO."""
        return self.path / "model.stablehlo"

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
        return self.path / SNAPSHOTS

    @property
    def initial(self) -> Path:
        """The folder of the weights that a model of the user's own began with."""
        return self.path / INITIAL

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's events, where nothing else was asked for."""
        return self.path / "tensorboard"

    @property
    def loggers(self) -> Path:
        """What loggers note of a run: how they find it again, and what they hold of it."""
        return self.path / "loggers.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / CHECKPOINTS


def no_longer_there(folder: HeldFolder) -> RunError:
    """Return the error that says where a run's folder is by now, which somebody moved or removed while it was held."""
    now = folder.place_now()
    if now is None:
        return RunError(f"the run folder {folder.path} was moved or removed while it was trained, so training stops")
    return RunError(
        f"the run folder {folder.path} was moved to {now} while it was trained, so training stops; continue there: "
        f"epochal resume {shell_word(now)}"
    )


def create_run_folder(path: Path | None, stem: str, root: Path = Path("runs")) -> RunFolder:
    """Make an empty folder: the given one, or the next free of ``runs/STEM-1``, ``runs/STEM-2`` and so on.

    Raises `RunError` where the given one already holds something, or nothing can be made there.
    """
    try:
        if path is None:
            path = _next_free(root, as_file_name(stem).strip("-.") or "run")
        make_folder(path)
        check_free(path)
        return RunFolder(path)
    except OSError as error:
        raise RunError(f"cannot make the run folder {path or root}: {error.strerror}") from error


def check_free(path: Path) -> None:
    """Raise `RunError` where a folder is there and holds something, so that no new run can be kept in it."""
    folder = RunFolder(path)
    if not path.is_dir() or all(_may_lie_in_new(folder, found) for found in path.iterdir()):
        return
    if folder.run_toml.exists():
        named = shell_word(path)
        raise RunError(f"{path} is not empty; choose another folder, or continue its run: epochal resume {named}")
    raise RunError(f"{path} is not empty, and holds no run; choose another folder")


def no_run_folder(path: Path) -> str:
    """Return what to say of a run folder that is not there: which one may be meant, or how to find it."""
    try:
        beside = [one.name for one in path.parent.iterdir() if RunFolder(one).run_toml.is_file()]
    except OSError:
        beside = []
    near = [Path("runs", path), *(path.with_name(one) for one in get_close_matches(path.name, beside, n=1))]
    for one in near:
        if RunFolder(one).run_toml.is_file():
            return f"there is no run folder {path!s:.300}; did you mean {shell_word(one)}?"
    return f"there is no run folder {path!s:.300}; `epochal runs` lists the runs here"


def _may_lie_in_new(folder: RunFolder, found: Path) -> bool:
    """Return whether a process that was killed before it wrote `run.toml` may have left this."""
    files = (folder.run_toml, folder.preprocessing, folder.exported)
    return found in (folder.lock, *files[1:], folder.initial) or any(is_leftover(found, file.name) for file in files)


def _next_free(root: Path, stem: str) -> Path:
    """Make the next free numbered folder."""
    make_folder(root)
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
