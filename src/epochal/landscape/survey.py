"""The landscape that runs walk through: the loss on a plane of weight space, the runs' ways, and straight lines.

Saved as `landscape.json` (`landscape-random.json` for random directions) in the folder of the study or the run, as
plain records that a report draws.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float64

from epochal.counts import parse_count
from epochal.data import Split
from epochal.engine.surface import LossSurface, Subspace
from epochal.errors import OptionError, RunError, unknown_name
from epochal.files import write_durably
from epochal.landscape.plane import Coordinates, Plane, principal_plane, random_plane
from epochal.landscape.trajectory import Dot, WeightSpace, read_way
from epochal.order import Order
from epochal.record.study_record import LANDSCAPES
from epochal.run.run import Run
from epochal.run.setup import Setup
from epochal.study.runner import Parts
from epochal.study.study import Study

Kind: TypeAlias = Literal["pca", "random"]
Progress: TypeAlias = Callable[[int, int], None]
Losses: TypeAlias = Float64[np.ndarray, " points"]

_FORMAT = 1
_MARGIN = 0.15
_CHOICE = 2**63 + 1  # the order of an epoch that no training reaches says which samples are taken
_ALONG_LINE = tuple(round(0.05 * i - 0.25, 2) for i in range(31))
_MOST_RUNS_WITH_ALL_LINES = 3


class Cancelled(Exception):  # noqa: N818 - no error: the user asked for it
    """A survey that was stopped before its end; nothing was saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyOptions:
    """What is surveyed.

    Attributes:
        kind: ``"pca"`` for the plane that explains the most of the runs' ways, ``"random"`` for two filter-normalised
            random directions around the end of the run with the lowest loss.
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


def survey(
    source: Study | Run | str | os.PathLike[str],
    options: SurveyOptions | None = None,
    *,
    parts: Parts | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Compute a landscape, save it in the folder of the study or run, and return it.

    Args:
        source: a study or a run, or its folder; its runs must have kept their weights (``snapshots=True``).
        options: what is surveyed.
        parts: data, models and loss where only Python can give them.
        progress: called with the number of losses that are done, and of all.
        should_stop: asked again and again; a true answer raises `Cancelled`.

    Raises:
        RunError: where no run has kept weights, or they span no plane.
        ModelError: for a model whose loss is no function of its weights alone.
    """
    options = options or SurveyOptions()
    folder, runs = _runs_of(source)
    setup = _setup_of(runs, parts)
    counter = _Counter(progress or (lambda done, of: None), should_stop or (lambda: False))
    field = _Field.of(setup, options, counter)
    ways, left_out = _read_ways(runs, field.space)
    record = _survey(field, ways, options)
    record = {"format": _FORMAT, **_facts(options, setup, field), **record, "left_out": left_out}
    try:
        write_durably(folder / LANDSCAPES[options.kind], json.dumps(record, separators=(",", ":")).encode())
    except OSError as error:
        raise RunError(f"cannot write in {folder}: {error.strerror}") from error
    return record


def straight_line(
    source: Study | Run | str | os.PathLike[str],
    start: tuple[str, int | float],
    end: tuple[str, int | float],
    options: SurveyOptions | None = None,
    *,
    parts: Parts | None = None,
) -> dict[str, Any]:
    """Return the loss along the straight line between two epochs, of one run or of two.

    >>> straight_line("runs/compare-mnist-1", ("batch-1", 1), ("batch-1", 5))  # doctest: +SKIP

    Args:
        source: as for `survey`.
        start: a run's name, and the epoch at whose end its weights were kept.
        end: the same, of this run or another with the same model.
        options: its samples and seed.
        parts: as for `survey`.

    Returns:
        ``from``, ``to``, ``t`` (0 at the start, 1 at the end, a quarter beyond both), and ``loss`` at each ``t``.

    Raises:
        RunError: where there is no such run, or it kept no weights at that epoch.
    """
    _, runs = _runs_of(source)
    chosen = {name: run for name, run in runs.items() if name in (start[0], end[0])}
    for name, _ in (start, end):
        if name not in chosen:
            raise RunError(unknown_name("run", name, runs))
    field = _Field.of(_setup_of(chosen, parts), options or SurveyOptions(), _Counter())
    return _line(field, *(_find_dot(name, chosen[name], epoch, field.space) for name, epoch in (start, end)))


def _find_dot(name: str, run: Run, epoch: int | float, space: WeightSpace) -> Dot:
    way = read_way(name, run, space)
    for dot in way:
        if dot.epoch == epoch:
            return dot
    kept = ", ".join(f"{dot.epoch:g}" for dot in way)
    raise RunError(f"{name} kept no weights at epoch {epoch:g}; it did at {kept}")


def take_samples(split: Split, samples: int, seed: int) -> Split:
    """Return so many samples of a split, chosen by the seed; the split itself where it has no more."""
    if samples >= len(split):
        return split
    indices = np.sort(Order(len(split), seed).indices(_CHOICE, 0, samples))
    return Split(split.x[indices], split.y[indices])


def _runs_of(source: Study | Run | str | os.PathLike[str]) -> tuple[Path, dict[str, Run]]:
    if isinstance(source, (str, os.PathLike)):
        source = Study.open(source) if Study.is_at(source) else Run.open(source)
    runs = source.runs if isinstance(source, Study) else {source.path.name: source}
    if not runs:
        raise RunError(f"{source.path} holds no runs yet")
    return source.path, runs


def _setup_of(runs: Mapping[str, Run], parts: Parts | None) -> Setup:
    """Return what the first run was trained with."""
    first = next(iter(runs.values()))
    return first.setup if parts is None else parts.set_up(first.config)


def _read_ways(runs: Mapping[str, Run], space: WeightSpace) -> tuple[dict[str, tuple[Dot, ...]], list[dict[str, str]]]:
    """Return the ways of all runs with this model, as far as their weights are finite, and why others are left out."""
    ways: dict[str, tuple[Dot, ...]] = {}
    left_out = []
    for name, run in runs.items():
        try:
            ways[name] = tuple(dot for dot in read_way(name, run, space) if np.isfinite(dot.weights).all())
        except RunError as error:
            left_out.append({"run": name, "why": str(error)})
    if not ways:
        raise RunError(f"there is no way to show for {left_out[0]['run']}: {left_out[0]['why']}")
    return ways, left_out


@dataclass(slots=True)
class _Counter:
    """Counts losses, and asks after each few whether to go on."""

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
    def of(cls, setup: Setup, options: SurveyOptions, counter: _Counter) -> _Field:
        """Return the loss over the samples that the options say."""
        samples = take_samples(setup.data.train, options.samples, options.seed)
        return cls(WeightSpace.of(setup.engine), LossSurface(setup.engine, samples), counter)

    def at(self, dots: Sequence[Dot]) -> Losses:
        """Return the losses at the dots' own weights."""
        losses = []
        for dot in dots:
            losses.append(self.loss_surface.loss(self.space.params(dot.weights)))
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


def _survey(field: _Field, ways: Mapping[str, tuple[Dot, ...]], options: SurveyOptions) -> dict[str, Any]:
    """Return plane, grid, paths and lines as plain values."""
    started = time.perf_counter()
    dots = [dot for way in ways.values() for dot in way]
    ends = _lines_of(ways)
    field.counter.total = len(dots) + options.grid**2 + len(ends) * len(_ALONG_LINE)
    losses = field.at(dots)
    points = np.stack([dot.weights for dot in dots])
    last = {id(way[-1]) for way in ways.values()}
    center = min((i for i, dot in enumerate(dots) if id(dot) in last), key=lambda i: losses[i])
    if options.kind == "pca":
        plane = principal_plane(points)
    else:
        plane = random_plane(dots[center].weights, field.space, options.seed)
    places = plane.project(points)
    x, y = _axes(places, options)
    grid = np.stack([axis.ravel() for axis in np.meshgrid(x, y)], axis=1)
    surface = field.on(plane, grid).reshape(options.grid, options.grid)
    paths: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for dot, place, loss in zip(dots, places.tolist(), losses.tolist(), strict=True):
        paths[dot.run].append({**_name(dot), "x": place[0], "y": place[1], "loss": _number(loss)})
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "loss": [[_number(loss) for loss in row] for row in surface.tolist()],
        "explained": list(plane.explained),
        "center": None if options.kind == "pca" else {"run": dots[center].run, **_name(dots[center])},
        "paths": paths,
        "lines": [_line(field, *pair) for pair in ends],
        "seconds": time.perf_counter() - started,
    }


def _axes(places: Coordinates, options: SurveyOptions) -> tuple[Float64[np.ndarray, " x"], Float64[np.ndarray, " y"]]:
    """Return the grid's coordinates: all ways and a margin; -1 to 1, as in the paper, for random directions."""
    if options.kind == "random":
        low, high = np.full(2, -1.0), np.full(2, 1.0)
    else:
        low, high = places.min(axis=0), places.max(axis=0)
        margin = _MARGIN * (high - low)
        low, high = low - margin, high + margin
    return np.linspace(low[0], high[0], options.grid), np.linspace(low[1], high[1], options.grid)


def _lines_of(ways: Mapping[str, tuple[Dot, ...]]) -> list[tuple[Dot, Dot]]:
    """Choose lines: from each run's beginning to its end, and between the ends of every two (neighbours, if many)."""
    own = [(way[0], way[-1]) for way in ways.values() if len(way) > 1]
    last = [way[-1] for way in ways.values()]
    between = itertools.combinations(last, 2) if len(last) <= _MOST_RUNS_WITH_ALL_LINES else itertools.pairwise(last)
    return own + list(between)


def _line(field: _Field, start: Dot, end: Dot) -> dict[str, Any]:
    """Return the loss along the straight line between two dots, and a quarter of its length beyond both.

    Source: Goodfellow, Vinyals and Saxe, "Qualitatively characterizing neural network optimization problems", 2015.
    """
    origin = start.weights.astype(np.float64)
    along = end.weights.astype(np.float64) - origin
    plane = Plane(origin, np.stack([along, np.zeros_like(along)]))
    losses = field.on(plane, np.array([[t, 0.0] for t in _ALONG_LINE]))
    return {
        "from": {"run": start.run, **_name(start)},
        "to": {"run": end.run, **_name(end)},
        "t": list(_ALONG_LINE),
        "loss": [_number(loss) for loss in losses.tolist()],
    }


def _name(dot: Dot) -> dict[str, Any]:
    return {"iteration": dot.iteration, "epoch": dot.epoch}


def _number(loss: float) -> float | None:
    """JSON has no infinities; what is not finite becomes null."""
    return loss if math.isfinite(loss) else None


def _facts(options: SurveyOptions, setup: Setup, field: _Field) -> dict[str, Any]:
    return {
        "kind": options.kind,
        "data": setup.data.name,
        "split": "train",
        "samples": len(field.loss_surface.split),
        "of": len(setup.data.train),
        "sample_seed": options.seed,
        "model": setup.model.name,
        "weights": field.space.size,
        "loss_name": setup.task.loss,
    }
