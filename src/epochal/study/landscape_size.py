"""How large a landscape may be that takes seconds, by how fast the study's own runs were; and whether one is there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from epochal.errors import RunError
from epochal.landscape.compute import LandscapeOptions, count_losses
from epochal.record.checkpoint_file import checkpoint_files, iteration_of
from epochal.record.landscape_record import LandscapeRecord
from epochal.record.study_record import ComparedRun, StudyRecord

_FEW_SECONDS: Final = 5.0
"""How long it may take: the largest size that is quicker is taken, or else the smallest."""
MOST_SECONDS: Final = 30.0
"""How long the smallest size may take."""
MOST_MEMORY: Final = 10**9
"""Bytes that the trajectories' weights may fill."""

_SHARE_OF_TRAINING: Final = 2 / 3
"""How long a sample's loss takes, as a share of training with it: measured, see the page on performance."""
_SMALL: Final = 5 * 10**10
"""Losses × samples × weights that any machine computes in seconds: such runs are too short to measure their speed."""
_COPIES_OF_WEIGHTS, _BYTES_OF_WEIGHT = 2, 4
_SIZES: Final = (
    (41, 10_000), (41, 5_000), (41, 2_000), (41, 1_000), (25, 1_000), (25, 500), (25, 200), (17, 200),
)  # fmt: skip
"""Points along each axis, and samples that each loss is the mean of: the usual ones, then what is quicker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedLandscape:
    """A landscape that a comparison is to end with.

    Attributes:
        in_full: whether it is computed in full, however long that takes, and again where it is there.
        grid, samples: as those of `LandscapeOptions`, where they are given.
    """

    kind: Literal["pca", "random"] = "pca"
    in_full: bool = False
    grid: int | None = None
    samples: int | None = None

    @property
    def options(self) -> LandscapeOptions:
        """What is given, and for the rest what is usual."""
        given = {"grid": self.grid, "samples": self.samples}
        return LandscapeOptions(kind=self.kind, **{name: one for name, one in given.items() if one is not None})


@dataclass(frozen=True, slots=True)
class Size:
    """What a landscape is computed with, and what that takes.

    Attributes:
        seconds: that it should take, 0 for what is small; ``seconds_in_full`` is that of the usual options.
        memory: bytes of the trajectories' weights.
    """

    options: LandscapeOptions
    seconds: float
    seconds_in_full: float
    memory: int


def quick_size(study: StudyRecord, wanted: WantedLandscape) -> Size:
    """Return the largest size that should take a few seconds; what is given of it remains as it is.

    The losses' samples are the first to become fewer, from 10,000 to 1,000; then the grid's points, 25 × 25, and
    samples again, down to 200 on 17 × 17 points.
    """
    rows = _comparable(study)
    points = [len(checkpoint_files(row.record.folder.snapshots)) for row in rows if row.record is not None]
    weights = _weights(rows)
    per_sample = _SHARE_OF_TRAINING * _seconds_a_sample(rows)

    def seconds(options: LandscapeOptions) -> float:
        samples = count_losses(points, options.grid) * min(options.samples, study.data.train)
        return 0.0 if samples * weights <= _SMALL else samples * per_sample

    sizes = _sizes(wanted)
    options = next((one for one in sizes if seconds(one) <= _FEW_SECONDS), sizes[-1])
    memory = _COPIES_OF_WEIGHTS * _BYTES_OF_WEIGHT * weights * sum(points)
    return Size(options, seconds(options), seconds(wanted.options), memory)


def _comparable(study: StudyRecord) -> list[ComparedRun]:
    """Return the runs that did not diverge and have the first one's model, so that one plane holds them all."""
    rows = [row for row in study.compared_runs() if row.record is not None and row.status != "diverged"]
    return [row for row in rows if row.member.config.model == rows[0].member.config.model]


def _weights(rows: list[ComparedRun]) -> int:
    return max((row.record.file.model.parameters for row in rows if row.record is not None), default=0)


def _seconds_a_sample(rows: list[ComparedRun]) -> float:
    """Return the training time of the fastest run for each sample that it used; 0 where none was measured."""
    rates = [
        row.training_seconds / row.record.plan.samples_after(iterations=row.record.history.iterations)
        for row in rows
        if row.record is not None and row.training_seconds and row.record.history.iterations
    ]
    return min(rates, default=0.0)


def _sizes(wanted: WantedLandscape) -> list[LandscapeOptions]:
    """Return the sizes from the usual one down, with what is given."""
    full = wanted.options
    return [replace(full, grid=wanted.grid or grid, samples=wanted.samples or samples) for grid, samples in _SIZES]


def has_current(study: StudyRecord, wanted: WantedLandscape) -> bool:
    """Return whether this landscape is there, with what is given of its size, and shows all runs as they stand."""
    file = study.landscape_files.get(wanted.kind)
    if file is None:
        return False
    try:
        record = LandscapeRecord.read(file)
    except RunError:
        return False

    # what is given of its size
    if wanted.grid not in (None, record.x.size):
        return False
    if wanted.samples is not None and min(wanted.samples, record.of) != record.samples:
        return False
    shown = {one.run: int(one.iteration[-1]) for one in record.trajectories if one.iteration.size}
    left_out = {run for run, _ in record.left_out}
    return all(row.name in left_out or _stands_at(row, shown.get(row.name)) for row in study.compared_runs())


def _stands_at(row: ComparedRun, iteration: int | None) -> bool:
    """Return whether the weights that a run kept last are those after this iteration."""
    if row.record is None or iteration is None:
        return False
    kept = checkpoint_files(row.record.folder.snapshots)
    return bool(kept) and iteration_of(kept[0]) == iteration
