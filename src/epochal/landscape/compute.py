"""The loss landscape of runs: the loss on a plane of weight space, the runs' trajectories in it, and lines between."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float64

from epochal.counts import parse_count
from epochal.data import Split
from epochal.data.row_source import AnySplit
from epochal.engine.loss_surface import LossSurface, Subspace
from epochal.errors import OptionError, RunError, unknown_name
from epochal.landscape.plane import Coordinates, Plane, principal_plane, random_plane
from epochal.landscape.trajectory import Point, WeightSpace, read_trajectory
from epochal.order import Order
from epochal.record.landscape_record import Interpolation, LandscapeRecord, Trajectory
from epochal.record.study_record import LANDSCAPES
from epochal.run.run import Run
from epochal.run.setup import Setup

Kind: TypeAlias = Literal["pca", "random"]
Progress: TypeAlias = Callable[[int, int], None]
Losses: TypeAlias = Float64[np.ndarray, " points"]

_MARGIN = 0.15
_CHOICE = 2**63 + 1  # the order of an epoch that no training reaches says which samples are taken
_ALONG_LINE = tuple(round(0.05 * i - 0.25, 2) for i in range(31))
_MOST_RUNS_WITH_ALL_LINES = 3


class Cancelled(Exception):  # noqa: N818 - no error: the user asked for it
    """A computation that was stopped before its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LandscapeOptions:
    """What is computed.

    Attributes:
        kind: ``"pca"`` for the plane that explains the most of the runs' trajectories, ``"random"`` for two
            filter-normalised random directions around the end of the run with the lowest loss.
        grid: points along each axis, at least 2.
        samples: how many training samples each loss is the mean of; all where there are no more.
        seed: chooses the samples, and the random directions.
    """

    kind: Kind = "pca"
    grid: int = 41
    samples: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in LANDSCAPES:
            raise OptionError(unknown_name("landscape", self.kind, LANDSCAPES))
        parse_count("grid", self.grid, at_least=2)
        parse_count("samples", self.samples)
        parse_count("seed", self.seed, at_least=0)


def compute_landscape(
    runs: Mapping[str, Run],
    setup: Setup,
    options: LandscapeOptions | None = None,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> LandscapeRecord:
    """Compute the landscape of runs by their names, which must have kept their weights (``snapshots=True``).

    Args:
        runs: at least one; those whose model is another than the first one's are left out.
        setup: what the first run was trained with.
        options: what is computed.
        progress: called with the number of losses that are done, and of all.
        should_stop: asked again and again; a true answer raises `Cancelled`.

    Raises:
        RunError: where no run has kept weights, or they span no plane.
        ModelError: for a model whose loss is no function of its weights alone.
    """
    options = options or LandscapeOptions()
    started = time.perf_counter()
    field = _Field.of(setup, options, _Counter(progress or (lambda done, of: None), should_stop or (lambda: False)))
    trajectories, left_out = _read_trajectories(runs, field.space)
    points = [point for trajectory in trajectories.values() for point in trajectory]
    ends = _lines_of(trajectories)
    field.counter.total = count_losses([len(one) for one in trajectories.values()], options.grid)

    # the losses along the trajectories say where random directions lie
    losses = field.at(points)
    weights = np.stack([point.weights for point in points])
    last = {id(trajectory[-1]) for trajectory in trajectories.values()}
    center = min((i for i, point in enumerate(points) if id(point) in last), key=lambda i: losses[i])
    is_pca = options.kind == "pca"
    plane = principal_plane(weights) if is_pca else random_plane(points[center].weights, field.space, options.seed)

    # the grid holds all trajectories, in the plane's coordinates
    places = plane.project(weights)
    x, y = _axes(places, options)
    grid = np.stack([axis.ravel() for axis in np.meshgrid(x, y)], axis=1)
    surface = field.on(plane, grid).reshape(options.grid, options.grid)

    return LandscapeRecord(
        kind=options.kind,
        facts={
            "data": setup.data.name,
            "sample_seed": options.seed,
            "model": setup.model.name,
            "weights": field.space.size,
            "loss_name": setup.task.loss,
        },
        split="train",
        samples=len(field.loss_surface.split),
        of=len(setup.data.train),
        x=x,
        y=y,
        loss=surface,
        explained=plane.explained,
        center=None if is_pca else points[center].place,
        trajectories=_placed(points, places, losses),
        lines=tuple(_line(field, *pair) for pair in ends),
        left_out=left_out,
        seconds=time.perf_counter() - started,
    )


def count_losses(points: Sequence[int], grid: int) -> int:
    """Return how many losses a landscape takes: of trajectories of so many points each, on a grid, and along lines."""
    return sum(points) + grid**2 + len(_pairs(points)) * len(_ALONG_LINE)


def interpolate(
    runs: Mapping[str, Run],
    setup: Setup,
    start: tuple[str, int | float],
    end: tuple[str, int | float],
    options: LandscapeOptions | None = None,
) -> Interpolation:
    """Return the loss along the straight line between the weights of two epochs, of one run or of two.

    Args:
        runs: by their names.
        setup: what they were trained with.
        start: a run's name, and the epoch at whose end its weights were kept.
        end: the same, of this run or another with the same model.
        options: its samples and seed.

    Raises:
        RunError: where there is no such run, or it kept no weights at that epoch.
    """
    for name, _ in (start, end):
        if name not in runs:
            raise RunError(unknown_name("run", name, runs))
    field = _Field.of(setup, options or LandscapeOptions(), _Counter())
    return _line(field, *(_find_point(name, runs[name], epoch, field.space) for name, epoch in (start, end)))


def _find_point(name: str, run: Run, epoch: int | float, space: WeightSpace) -> Point:
    trajectory = read_trajectory(name, run, space)
    for point in trajectory:
        if point.place.epoch == epoch:
            return point
    kept = ", ".join(f"{point.place.epoch:g}" for point in trajectory)
    raise RunError(f"{name} kept no weights at epoch {epoch:g}; it did at {kept}")


def take_samples(split: AnySplit, samples: int, seed: int) -> Split:
    """Return this many samples of a split, chosen by the seed; the split itself where it has no more."""
    if samples >= len(split):
        return split.whole()
    indices = np.sort(Order(len(split), seed).indices(_CHOICE, 0, samples))
    return split.take(indices)


def _read_trajectories(
    runs: Mapping[str, Run], space: WeightSpace
) -> tuple[dict[str, tuple[Point, ...]], tuple[tuple[str, str], ...]]:
    """Return the trajectories of all runs with this model, as far as their weights are finite; and the others' why."""
    trajectories: dict[str, tuple[Point, ...]] = {}
    left_out = []
    for name, run in runs.items():
        try:
            points = read_trajectory(name, run, space)
            trajectories[name] = tuple(point for point in points if np.isfinite(point.weights).all())
        except RunError as error:
            left_out.append((name, str(error)))
    if not trajectories:
        raise RunError(f"there is no trajectory to show for {left_out[0][0]}: {left_out[0][1]}")
    return trajectories, tuple(left_out)


def _placed(points: Sequence[Point], places: Coordinates, losses: Losses) -> tuple[Trajectory, ...]:
    """Return the trajectories of points with their places in the plane and their losses."""
    names = [point.place.run for point in points]
    trajectories = []
    for name in dict.fromkeys(names):
        mine = [i for i, of in enumerate(names) if of == name]
        iterations = np.array([points[i].place.iteration for i in mine], np.int64)
        epochs = np.array([points[i].place.epoch for i in mine], np.float64)
        trajectories.append(Trajectory(name, iterations, epochs, places[mine, 0], places[mine, 1], losses[mine]))
    return tuple(trajectories)


@dataclass(slots=True)
class _Counter:
    """Counts losses, and asks after each few whether to continue."""

    progress: Progress = lambda done, of: None
    should_stop: Callable[[], bool] = lambda: False
    total: int = 0
    done: int = 0

    def add(self, count: int) -> None:
        self.done += count
        self.progress(self.done, self.total)
        if self.should_stop():
            raise Cancelled


@dataclass(frozen=True, slots=True)
class _Field:
    """The loss as a function of vectors of weights."""

    space: WeightSpace
    loss_surface: LossSurface
    counter: _Counter

    @classmethod
    def of(cls, setup: Setup, options: LandscapeOptions, counter: _Counter) -> _Field:
        """Return the loss over the samples that the options say."""
        samples = take_samples(setup.data.train, options.samples, options.seed)
        return cls(WeightSpace.of(setup.engine), LossSurface(setup.engine, samples), counter)

    def at(self, points: Sequence[Point]) -> Losses:
        """Return the losses at the points' weights."""
        losses = []
        for point in points:
            losses.append(self.loss_surface.loss(self.space.params(point.weights)))
            self.counter.add(1)
        return np.array(losses)

    def on(self, plane: Plane, coordinates: Coordinates) -> Losses:
        """Return the losses at these coordinates of the plane."""
        subspace = Subspace(self.space.params(plane.origin), self.space.params(plane.directions))
        parts = []
        for some in self.loss_surface.losses(subspace, coordinates):
            parts.append(some)
            self.counter.add(some.size)
        return np.concatenate(parts)


def _axes(
    places: Coordinates, options: LandscapeOptions
) -> tuple[Float64[np.ndarray, " x"], Float64[np.ndarray, " y"]]:
    """Return the grid's coordinates: all trajectories and a margin; -1 to 1, as in the paper, for random directions."""
    if options.kind == "random":
        low, high = np.full(2, -1.0), np.full(2, 1.0)
    else:
        low, high = places.min(axis=0), places.max(axis=0)
        margin = _MARGIN * (high - low)
        low, high = low - margin, high + margin
    return np.linspace(low[0], high[0], options.grid), np.linspace(low[1], high[1], options.grid)


def _lines_of(trajectories: Mapping[str, tuple[Point, ...]]) -> list[tuple[Point, Point]]:
    """Return the lines' ends: from each run's beginning to its end, and between the ends of two."""
    each = list(trajectories.values())
    pairs = _pairs([len(one) for one in each])
    return [(each[one][0] if one == other else each[one][-1], each[other][-1]) for one, other in pairs]


def _pairs(points: Sequence[int]) -> list[tuple[int, int]]:
    """Choose lines by the runs' numbers: within each, and between every two (neighbours, if many)."""
    numbers = range(len(points))
    own = [(number, number) for number in numbers if points[number] > 1]
    few = len(points) <= _MOST_RUNS_WITH_ALL_LINES
    return own + list(itertools.combinations(numbers, 2) if few else itertools.pairwise(numbers))


def _line(field: _Field, start: Point, end: Point) -> Interpolation:
    """Return the loss along the straight line between two points, and a quarter of its length beyond both.

    Source: Goodfellow, Vinyals and Saxe, "Qualitatively characterizing neural network optimization problems", 2015.
    """
    origin = start.weights.astype(np.float64)
    along = end.weights.astype(np.float64) - origin
    plane = Plane(origin, np.stack([along, np.zeros_like(along)]))
    losses = field.on(plane, np.array([[t, 0.0] for t in _ALONG_LINE]))
    return Interpolation(start.place, end.place, np.array(_ALONG_LINE), losses)
