"""Reads run folders and study folders into the plain records that a report shows.

What cannot be read becomes a `Notice` beside the rest; only where nothing is left to show, an error.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from epochal.errors import DataError, EpochalError, RunError
from epochal.lock import is_locked
from epochal.record.folder import RunFolder
from epochal.record.history import History
from epochal.record.summary import planned_beside_counted
from epochal.study.records import Landscape, Notice, Predictions, Records, RunRecord, Straight, Way, position_of
from epochal.study.study import Study
from epochal.study.summary import bands, compared_runs
from epochal.version import __version__

if TYPE_CHECKING:
    from epochal.data import Dataset
    from epochal.run.run import Run

_LATER = Notice("while_training", {})


@dataclass(frozen=True, slots=True)
class _Found:
    """Where the runs of a report lie, and the study that they belong to."""

    runs: tuple[tuple[str, Path], ...]
    title: str
    study: Study | None = None
    notices: tuple[Notice, ...] = ()


@dataclass(slots=True)
class _DataShelf:
    """Data sets by their fingerprint, so that the runs of a study load theirs once."""

    sets: dict[str, Dataset] = field(default_factory=dict)

    def with_data(self, run: Run) -> Run:
        """Return the run with its data loaded, from here where an earlier run had the same."""
        from epochal.run.run import Run

        fingerprint = run.file.data["fingerprint"]
        if fingerprint not in self.sets:
            _refuse_download(run.config.data)
        loaded = Run(run.folder, run.file, run.rebuild(data=self.sets.get(fingerprint)))
        self.sets[fingerprint] = loaded.data
        return loaded


def gather(
    paths: Sequence[str | os.PathLike[str]], *, predict: bool = True, now: Callable[[], datetime] | None = None
) -> Records:
    """Read runs, or the runs of studies, for a report.

    Args:
        paths: run folders and study folders.
        predict: also compute each model's answers on its test set, where data and model are at hand; without it,
            neither data nor JAX is loaded.
        now: the clock for the page's date.

    Raises:
        RunError: where none of them can be shown.
    """
    found = find_runs(paths)
    shelf = _DataShelf()
    runs: list[RunRecord] = []
    notices = list(found.notices)
    for name, path in found.runs:
        try:
            runs.append(gather_run(path, name, predict=predict, shelf=shelf))
        except RunError as error:
            notices.append(Notice("unreadable", {"run": name, "reason": str(error)}))
    if not runs:
        reasons = "; ".join(str(notice.values["reason"]) for notice in notices if "reason" in notice.values)
        raise RunError(reasons or f"{found.title} holds no run yet")
    landscapes, missing = _landscapes(found.study)
    made = (now or _utc_now)().isoformat(timespec="minutes")
    return Records(
        title=found.title,
        made=made.removesuffix("+00:00"),
        version=__version__,
        runs=tuple(runs),
        landscapes=landscapes,
        notices=(*notices, *missing, *_unfinished(runs), *_differences(runs)),
        study=None if found.study is None else str(found.study.path),
        target_accuracy=None if found.study is None else found.study.config.target_accuracy,
        bands=() if found.study is None else bands(compared_runs(found.study)),
    )


def find_runs(paths: Sequence[str | os.PathLike[str]]) -> _Found:
    """Return the run folders that these paths mean, and a notice for each that means none.

    Raises `RunError` where there is no path, or a study is damaged.
    """
    if not paths:
        raise RunError("give a run folder or a study folder; `epochal runs` lists the runs here")
    studies = [Path(path) for path in paths if Study.is_at(path)]
    if len(paths) == 1 and studies:
        return _runs_of_study(studies[0])
    folders: dict[Path, Path] = {}
    notices: list[Notice] = []
    for path in map(Path, paths):
        if path in studies:
            inside = _runs_of_study(path)
            folders.update((folder.resolve(), folder) for _, folder in inside.runs)
            notices.extend(inside.notices)
            continue
        if (path / "run.toml").is_file():
            folders.setdefault(path.resolve(), path)
            continue
        reason = f"{path} is neither a run nor a study: it has no run.toml and no study.toml"
        if not path.is_dir():
            reason = f"there is no run folder {path}; `epochal runs` lists the runs here"
        notices.append(Notice("unreadable", {"run": str(path), "reason": reason}))
    named = tuple(zip(_short_names(list(folders)), folders.values(), strict=True))
    return _Found(named, " · ".join(name for name, _ in named), notices=tuple(notices))


def _runs_of_study(path: Path) -> _Found:
    study = Study.open(path)
    named = tuple((member.name, path / member.name) for member in study.members)
    notices = [Notice("missing", {"run": name}) for name, folder in named if not folder.is_dir()]
    there = tuple((name, folder) for name, folder in named if folder.is_dir())
    return _Found(there, path.resolve().name, study, tuple(notices))


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Name folders by their last part, or by as many parts as tell them apart."""
    for parts in range(1, max((len(path.parts) for path in paths), default=1) + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def gather_run(path: Path, name: str, *, predict: bool = False, shelf: _DataShelf | None = None) -> RunRecord:
    """Read one run. Raises `RunError` where it is damaged."""
    folder = RunFolder(path)
    file = folder.read()
    history = History(folder.history_db)
    plan = file.present_config.plan(file.data["train"])
    losses, sessions, status = history.losses, history.sessions, status_of(folder, history)
    sha256, predictions = _weights_and_predictions(path, status, shelf or _DataShelf()) if predict else (None, _LATER)
    return RunRecord(
        name=name,
        path=str(path),
        status=status,
        file=file,
        plan=plan,
        position=position_of(file, losses.size),
        losses=losses,
        epochs=history.epochs,
        evaluations=history.evaluations,
        sessions=sessions,
        events=history.events,
        facts=tuple(planned_beside_counted(plan, history)) if status == "finished" else (),
        weights_sha256=sha256,
        predictions=predictions,
    )


def status_of(folder: RunFolder, history: History) -> str:
    """Return how the run stands: new, running, interrupted, finished, stopped, diverged or failed."""
    last = history.last_status or "new"
    return "interrupted" if last == "running" and not is_locked(folder.lock) else last


def _weights_and_predictions(path: Path, status: str, shelf: _DataShelf) -> tuple[str | None, Predictions | Notice]:
    """Return the newest checkpoint's hash, and the model's answers with it or why there are none."""
    if status == "running":
        return None, _LATER
    from epochal.run.run import Run

    run = Run.open(path)
    sha256 = None
    try:
        sha256 = run.weights_sha256
        return sha256, _predictions(run, shelf)
    except EpochalError as error:
        return sha256, Notice("unpredicted", {"reason": str(error)})


def _predictions(run: Run, shelf: _DataShelf) -> Predictions | Notice:
    from epochal.study.mistakes import judge

    about = run.file.data
    if about["task"] != "classification":
        return Notice("regression", {})
    if not about["test"]:
        return Notice("no_test", {})
    if run.file.custom:
        return Notice("custom", {"parts": ", ".join(run.file.custom)})
    run = shelf.with_data(run)
    test = run.data.test
    return judge(run.predict(test.x), test, run.data.class_names or (), run.position.iteration)


def _refuse_download(name: str) -> None:
    """Raise `DataError` for a data set that would have to be fetched: a report is no reason to."""
    from epochal.data.registry import available

    if any(one.description.name == name and one.state == "needs download" for one in available()):
        raise DataError(f"the data set '{name}' is not on this machine; fetch it: epochal data {name}")


def _landscapes(study: Study | None) -> tuple[tuple[Landscape, ...], tuple[Notice, ...]]:
    """Return the landscapes that a study holds, and a notice for each that cannot be read."""
    read: list[Landscape] = []
    notices: list[Notice] = []
    for file in () if study is None else study.landscape_files.values():
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            read.append(_landscape(content))
            notices.extend(Notice("no_way", {"run": one["run"], "reason": one["why"]}) for one in content["left_out"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            notices.append(Notice("landscape", {"reason": f"{file} is damaged: {type(error).__name__}: {error}"}))
    return tuple(read), tuple(notices)


def _landscape(content: dict[str, Any]) -> Landscape:
    x, y = (np.asarray(content[axis], np.float64) for axis in ("x", "y"))
    loss = np.array([[math.nan if value is None else value for value in row] for row in content["loss"]], np.float64)
    if loss.shape != (y.size, x.size) or min(loss.shape) < 2:
        raise ValueError(f"a grid of {loss.shape} losses on {y.size} × {x.size} points")
    ways = tuple(
        Way(
            name,
            np.array([dot["iteration"] for dot in dots], np.int64),
            *(np.array([dot[axis] for dot in dots], np.float64) for axis in ("epoch", "x", "y", "loss")),
        )
        for name, dots in content["paths"].items()
    )
    return Landscape(
        kind=content["kind"],
        split=content["split"],
        samples=content["samples"],
        of=content["of"],
        x=x,
        y=y,
        loss=loss,
        explained=tuple(map(float, content["explained"] or ())),
        ways=ways,
        lines=tuple(map(_straight, content["lines"])),
    )


def _straight(content: dict[str, Any]) -> Straight:
    start, end = ((content[side]["run"], float(content[side]["epoch"])) for side in ("from", "to"))
    losses = [math.nan if loss is None else loss for loss in content["loss"]]
    return Straight(start, end, np.array(content["t"], np.float64), np.array(losses, np.float64))


def _unfinished(runs: Iterable[RunRecord]) -> list[Notice]:
    return [
        Notice(
            "unfinished",
            {
                "run": run.name,
                "status": run.status,
                "iteration": run.losses.size,
                "iterations": run.plan.iterations,
            },
        )
        for run in runs
        if run.status != "finished"
    ]


def _differences(runs: Sequence[RunRecord]) -> list[Notice]:
    """Return what keeps these runs from being compared in everything."""
    questions: dict[str, Callable[[RunRecord], tuple[Any, str]]] = {
        "other_data": lambda run: (run.file.data["fingerprint"], run.file.data["name"]),
        "other_model": lambda run: (_model_of(run), run.file.model["name"]),
        "other_loss": lambda run: (run.file.config.loss, str(run.file.config.loss)),
        "other_device": lambda run: (_machine_of(run), str(run.file.device["kind"])),
    }
    notices = []
    for key, question in questions.items():
        answers = dict(question(run) for run in runs)
        if len(answers) > 1:
            notices.append(Notice(key, {"names": ", ".join(dict.fromkeys(answers.values()))}))
    return notices


def _model_of(run: RunRecord) -> str:
    return json.dumps([run.file.model, run.file.data["sample_shape"]], sort_keys=True, default=str)


def _machine_of(run: RunRecord) -> str:
    """Return what decides how fast a run was; how many of the devices it used follows from its batch size."""
    return json.dumps({name: value for name, value in run.file.device.items() if name != "count"}, default=str)


def _utc_now() -> datetime:
    return datetime.now(UTC)
