"""The landscape of a study or of a single run, saved in its folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from epochal.errors import RunError
from epochal.landscape.compute import LandscapeOptions, Progress, compute_landscape
from epochal.record.landscape_record import LandscapeRecord
from epochal.record.study_record import LANDSCAPES, StudyRecord
from epochal.run.run import Run
from epochal.study.runner import Parts
from epochal.study.study import Study


def landscape_of(
    source: Study | Run | str | os.PathLike[str],
    options: LandscapeOptions | None = None,
    *,
    parts: Parts | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> LandscapeRecord:
    """Compute a landscape, save it in the folder of the study or run, and return it.

    Runs that diverged are left out, unless all did.

    Args:
        source: a study or a run, or its folder; its runs must have kept their weights (``snapshots=True``).
        options: what is computed.
        parts: data, models and loss where only Python can give them.
        progress: called with the number of losses that are done, and of all.
        should_stop: asked again and again; a true answer raises `epochal.landscape.Cancelled`.

    Raises what `epochal.landscape.compute_landscape` raises.
    """
    options = options or LandscapeOptions()
    if isinstance(source, (str, os.PathLike)):
        source = Study.open(source) if StudyRecord.is_at(Path(source)) else Run.open(source)
    runs = source.runs if isinstance(source, Study) else {source.path.name: source}
    if not runs:
        raise RunError(f"{source.path} holds no runs yet")

    # one that leapt away would stretch the plane until nothing is seen of the others
    diverged = [name for name, run in runs.items() if run.status == "diverged"]
    kept = {name: run for name, run in runs.items() if name not in diverged} or runs

    first = next(iter(kept.values()))
    setup = first.setup if parts is None else parts.set_up(first.config)
    record = compute_landscape(kept, setup, options, progress=progress, should_stop=should_stop)
    if len(kept) < len(runs):
        record = replace(record, left_out=(*record.left_out, *((name, "it diverged") for name in diverged)))
    record.write(source.path / LANDSCAPES[options.kind])
    return record
