"""`read`: run folders and study folders into a `Page`.

What cannot be read becomes a `Notice` beside the rest; only where nothing is left to show, an error.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from epochal.block_order import order_named
from epochal.errors import EpochalError, RunError
from epochal.files import real_path
from epochal.order import EpochOrder
from epochal.record.folder import no_run_folder
from epochal.record.landscape_record import LandscapeRecord
from epochal.record.outputs_record import OutputsDoor
from epochal.record.run_record import RunRecord
from epochal.record.study_record import Band, ComparedRun, StudyRecord, bands
from epochal.report.mistakes import predictions_of
from epochal.report.page_model import Notice, Page, PageRun, Predictions, TrainingSamples
from epochal.report.timeline import Timeline
from epochal.report.training_samples import IMAGE_LIMIT, training_samples
from epochal.version import __version__

_LATER = Notice("while_training", {})


@dataclass(frozen=True, slots=True)
class Found:
    """The run folders that paths mean, by the runs' names on the page, and the study that they belong to."""

    runs: tuple[tuple[str, Path], ...]
    title: str
    study: StudyRecord | None = None
    notices: tuple[Notice, ...] = ()


def read(
    paths: Sequence[str | os.PathLike[str]],
    *,
    outputs: OutputsDoor | None = None,
    now: Callable[[], datetime] | None = None,
) -> Page:
    """Read runs, or the runs of studies, for a page.

    Args:
        paths: run folders and study folders.
        outputs: computes the outputs of a run on its test set, and loads its training samples; without it the page
            has no predictions and no images, and no checkpoint is read.
        now: the clock for the page's date.

    Raises:
        RunError: where none of them can be shown.
    """
    found = find_runs(paths)
    runs: list[PageRun] = []
    notices = list(found.notices)
    for name, path in found.runs:
        try:
            runs.append(_page_run(RunRecord.read(path), name, outputs))
        except RunError as error:
            notices.append(Notice("unreadable", {"run": name, "reason": str(error)}))

    if not runs:
        reasons = "; ".join(str(notice.values["reason"]) for notice in notices if "reason" in notice.values)
        raise RunError(reasons or f"{found.title} holds no run yet")

    notices += [Notice("altered", {"run": run.name, "reason": why}) for run in runs for why in run.problems]
    landscapes, missing = _landscapes(found.study)
    made = (now or _utc_now)().isoformat(timespec="minutes")

    return Page(
        title=found.title,
        made=made.removesuffix("+00:00"),
        version=__version__,
        runs=tuple(runs),
        landscapes=landscapes,
        notices=(*notices, *missing, *_unfinished(runs), *_differences(runs)),
        study=None if found.study is None else str(found.study.path),
        target_accuracy=None if found.study is None else found.study.config.target_accuracy,
        bands=() if found.study is None else _bands(found.study, runs),
        samples={} if outputs is None else _samples(runs, outputs),
    )


def find_runs(paths: Sequence[str | os.PathLike[str]]) -> Found:
    """Return the run folders that these paths mean, and a notice for each that means none.

    Raises `RunError` where there is no path, or a study is damaged.
    """
    if not paths:
        raise RunError("give a run folder or a study folder; `epochal runs` lists the runs here")
    studies = [Path(path) for path in paths if StudyRecord.is_at(Path(path))]
    if len(paths) == 1 and studies:
        return _runs_of_study(studies[0])

    folders: dict[Path, Path] = {}
    notices: list[Notice] = []
    for path in map(Path, paths):
        if path in studies:
            inside = _runs_of_study(path)
            folders.update((real_path(folder), folder) for _, folder in inside.runs)
            notices.extend(inside.notices)
            continue
        if (path / "run.toml").is_file():
            folders.setdefault(real_path(path), path)
            continue

        reason = f"{path} is neither a run nor a study: it has no run.toml and no study.toml"
        if not path.is_dir():
            reason = no_run_folder(path)
        notices.append(Notice("unreadable", {"run": str(path), "reason": reason}))

    named = tuple(zip(_short_names(list(folders)), folders.values(), strict=True))
    return Found(named, " · ".join(name for name, _ in named), notices=tuple(notices))


def _runs_of_study(path: Path) -> Found:
    study = StudyRecord.read(path)
    named = tuple((member.name, study.folder_of(member)) for member in study.members)
    notices = [Notice("missing", {"run": name}) for name, folder in named if not folder.is_dir()]
    there = tuple((name, folder) for name, folder in named if folder.is_dir())
    return Found(there, real_path(path).name, study, tuple(notices))


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Name folders by their last part, or by as many parts as tell them apart."""
    for parts in range(1, max((len(path.parts) for path in paths), default=1) + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _page_run(record: RunRecord, name: str, outputs: OutputsDoor | None) -> PageRun:
    if outputs is None or record.status == "running" or record.path is None:
        return PageRun(record, name, _LATER, problems=record.problems)
    sha256, problems = None, record.problems
    try:
        standing = record.standing()
        sha256, problems = standing.checkpoint.weights_sha256, standing.problems
        return PageRun(record, name, _predictions(record, record.path, outputs), sha256, problems)
    except EpochalError as error:
        return PageRun(record, name, Notice("unpredicted", {"reason": str(error)}), sha256, problems)


def _predictions(record: RunRecord, path: Path, outputs: OutputsDoor) -> Predictions | Notice:
    if record.file.data.task != "classification":
        return Notice("regression", {})
    if not record.file.data.test:
        return Notice("no_test", {})
    if record.file.custom:
        return Notice("custom", {"parts": ", ".join(record.file.custom)})
    return predictions_of(outputs(path))


def _samples(runs: Sequence[PageRun], outputs: OutputsDoor) -> dict[str, TrainingSamples | Notice]:
    """Return what the page holds of each training set: loaded once, and with an even part of the page's images."""
    of_data: dict[str, list[RunRecord]] = {}
    for run in runs:
        if run.record.path is not None and run.record.status != "running":
            of_data.setdefault(run.record.file.data.fingerprint, []).append(run.record)

    # each is loaded by its first run
    found: dict[str, TrainingSamples | Notice] = {}
    for fingerprint, records in of_data.items():
        path, order = records[0].path, [(Timeline.of(record), _order(record)) for record in records]
        if path is None:
            continue
        try:
            found[fingerprint] = training_samples(outputs.samples(path), order, IMAGE_LIMIT // len(of_data))
        except EpochalError as error:
            found[fingerprint] = Notice("no_samples", {"reason": str(error)})
    return found


def _order(record: RunRecord) -> EpochOrder:
    return order_named(record.config.order, record.file.data.train, record.config.seed)


def _bands(study: StudyRecord, runs: Sequence[PageRun]) -> tuple[Band, ...]:
    """Return the study's bands from the records that were read already."""
    records = {run.name: run.record for run in runs}
    target = study.config.target_accuracy
    return bands([ComparedRun(member, records.get(member.name), None, target) for member in study.members])


def _landscapes(study: StudyRecord | None) -> tuple[tuple[LandscapeRecord, ...], tuple[Notice, ...]]:
    """Return the landscapes that a study holds, and a notice for each that cannot be read."""
    landscapes: list[LandscapeRecord] = []
    notices: list[Notice] = []
    for file in () if study is None else study.landscape_files.values():
        try:
            landscape = LandscapeRecord.read(file)
            landscapes.append(landscape)
            notices.extend(Notice("no_trajectory", {"run": run, "reason": why}) for run, why in landscape.left_out)
        except RunError as error:
            notices.append(Notice("landscape", {"reason": str(error)}))
    return tuple(landscapes), tuple(notices)


def _unfinished(runs: Sequence[PageRun]) -> list[Notice]:
    notices = []
    for run in runs:
        status, plan, done = run.record.status, run.record.plan, run.record.history.iterations
        values: dict[str, str | int] = {"run": run.name, "status": status, "iteration": done}
        if status != "finished" and plan.is_open:
            notices.append(Notice("unfinished_open", values))
        elif status != "finished":
            notices.append(Notice("unfinished", {**values, "iterations": plan.iterations}))
    return notices


def _differences(runs: Sequence[PageRun]) -> list[Notice]:
    """Return what keeps these runs from being compared in everything."""
    questions: dict[str, Callable[[RunRecord], tuple[Any, str]]] = {
        "other_data": lambda run: (run.file.data.fingerprint, run.file.data.name),
        "other_model": lambda run: (_model_of(run), run.file.model.name),
        "other_loss": lambda run: (run.file.config.loss, str(run.file.config.loss)),
        "other_device": lambda run: (dataclasses.replace(run.file.device, count=0), run.file.device.kind),
    }
    notices = []
    for key, question in questions.items():
        answers = dict(question(run.record) for run in runs)
        if len(answers) > 1:
            notices.append(Notice(key, {"names": ", ".join(dict.fromkeys(answers.values()))}))
    return notices


def _model_of(run: RunRecord) -> str:
    model = dataclasses.asdict(run.file.model)
    return json.dumps([model, run.file.data.sample_shape], sort_keys=True, default=str)


def _utc_now() -> datetime:
    return datetime.now(UTC)
