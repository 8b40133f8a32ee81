"""The loss landscape of a world: a plane through weight space, fixed by a fast first run of all lanes; computed apart.

It is computed in small pieces, and each piece waits until nobody asks for a step. Nothing in it depends on how long
something took, so that the same world has the same plane on every machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from epochal.engine import named_leaves
from epochal.engine.loss_surface import LossSurface, Subspace
from epochal.errors import EpochalError
from epochal.landscape.compute import take_samples
from epochal.landscape.plane import Plane, principal_plane
from epochal.landscape.trajectory import Vector, WeightSpace
from epochal.learn.lane import Lane
from epochal.learn.numbers_as_json import short, short_rows
from epochal.learn.toys import LINE

_FULL_BATCHES = 60
_STOPS = 40
_LEAST_BATCH = 8  # smaller batches take as long
_GRID_WORK = 2e10  # multiplications: seconds of one core
_GRIDS = (41, 31, 25, 21)
_MOST_SAMPLES, _FEWEST_SAMPLES = 1_000, 100
_MARGIN = 0.3
_KEPT_BYTES = 1 << 20  # the first run never goes back
_CONVOLUTIONS = 30  # multiplications that one weight of a convolution makes for a sample, roughly


class _Reach(NamedTuple):
    """How far a lane's first run goes at most: epochs, iterations, and multiplications."""

    epochs: int
    iterations: int
    work: float


_BESIDE = _Reach(10, 6_000, 1.5e10)
_MAIN = _Reach(50, 30_000, 1.5e11)  # as far as the article's worked example goes, if the model is small

Track: TypeAlias = list[tuple[int, Vector]]
"""Weights by iteration."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Losses on a plane.

    Attributes:
        plane: through the weight space; its directions have length 1 and are at right angles.
        directions: the same, in the structure of the parameters.
        answer: what the page is told of it.
    """

    plane: Plane
    directions: Any = field(repr=False)
    answer: Mapping[str, Any] = field(repr=False)


class _Stopped(Exception):  # noqa: N818 - no error: nobody wants the surface any more
    """The world was closed."""


@dataclass(slots=True)
class SurfaceWork:
    """Computes a world's landscape in a thread of its own.

    Attributes:
        kind: of the problem.
        lanes: at their beginning; they are used up.
        space: of their weights.
        first: called before anything: compiles what the first steps need.
        wait: returns when no step is asked for.
        ready: called with the result just before it is to be used: compiles what looks along its directions.
        surface: the result, once it is there.
        thread: in which that is done, once it has begun.
        done: losses computed so far, and ``total`` of them; a total of 0 while the first run still runs.
    """

    kind: str
    lanes: Mapping[str, Lane]
    space: WeightSpace
    first: Callable[[], None]
    wait: Callable[[], None]
    ready: Callable[[Surface], None]
    surface: Surface | None = field(default=None, init=False)
    done: int = field(default=0, init=False)
    total: int = field(default=0, init=False)
    error: EpochalError | None = field(default=None, init=False)
    thread: threading.Thread | None = field(default=None, init=False, repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def begin(self) -> None:
        """Start the thread."""
        self.thread = threading.Thread(target=self._work, name="landscape", daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Stop after the present piece."""
        self._stop.set()
        for lane in self.lanes.values():
            lane.left.set()

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self.thread is not None:
            self.thread.join()

    def about(self) -> dict[str, Any]:
        """Return the answer for the page. Raises the `EpochalError` that ended the computation, if one did."""
        if self.error is not None:
            raise self.error
        if self.surface is None:
            return {"ready": False, "done": self.done, "total": self.total}
        return {"ready": True, **self.surface.answer}

    def _work(self) -> None:
        try:
            with np.errstate(all="ignore"):  # a training that diverges has numbers that are none, shown as none
                self.first()
                self.surface = self._compute()
        except _Stopped:
            pass
        except EpochalError as error:
            self.error = error
        except BaseException as error:
            self.error = EpochalError(f"the landscape could not be computed: {error}")
            raise

    def _pause(self) -> None:
        self.wait()
        if self._stop.is_set():
            raise _Stopped

    def _compute(self) -> Surface:
        tracks = {
            name: list(self._run(lane, _MAIN if name == "mbgd" else _BESIDE)) for name, lane in self.lanes.items()
        }
        finite = {name: [point for point in track if np.isfinite(point[1]).all()] for name, track in tracks.items()}
        points = np.stack([weights for track in finite.values() for _, weights in track])
        exact = self.kind == LINE
        plane = _weights_themselves(self.space) if exact else principal_plane(points)
        places = {name: plane.project(np.stack([weights for _, weights in track])) for name, track in finite.items()}

        # how fine the grid is, and of how many samples, is a matter of how much there is to compute
        engine = next(iter(self.lanes.values())).setup.engine
        each = 2 * self.space.size * (_CONVOLUTIONS if engine.model.name == "cnn" else 1)
        grid, samples = _fineness(each, len(engine.data.train))
        split = take_samples(engine.data.train, samples, 0)
        x, y = _axes(np.concatenate(list(places.values())), grid, square=exact)
        losses = self._losses(LossSurface(engine, split), plane, x, y)

        answer = {
            "kind": "exact" if exact else "pca",
            "x": short(x),
            "y": short(y),
            "loss": short_rows(losses),
            "explained": None if exact else list(plane.explained),
            "axes": ["w", "b"] if exact else ["PC 1", "PC 2"],
            "samples": len(split),
            "trajectories": {
                name: [
                    [*short(place), iteration]
                    for (iteration, _), place in zip(finite[name], of_lane.tolist(), strict=True)
                ]
                for name, of_lane in places.items()
            },
        }
        surface = Surface(plane, self.space.params(plane.directions), answer)
        self.ready(surface)
        return surface

    def _run(self, lane: Lane, reach: _Reach) -> Iterator[tuple[int, Vector]]:
        """Yield the weights of a lane's first run, densely at first."""
        lane.kept.most_bytes = _KEPT_BYTES
        for stop in _stops(lane, self.space.size, reach):
            self._pause()
            lane.go(stop)
            yield stop, self.space.vector(named_leaves(lane.point.state))

    def _losses(self, surface: LossSurface, plane: Plane, x: Any, y: Any) -> Float[np.ndarray, "y x"]:
        coordinates = np.stack([axis.ravel() for axis in np.meshgrid(x, y)], axis=1)
        subspace = Subspace(self.space.params(plane.origin), self.space.params(plane.directions))
        self.total = len(coordinates)
        parts = []
        self._pause()
        for part in surface.losses(subspace, coordinates):
            parts.append(part)
            self.done += len(part)
            self._pause()
        return np.concatenate(parts).reshape(len(y), len(x))


def _stops(lane: Lane, weights: int, reach: _Reach) -> list[int]:
    """Return the iterations at which the first run's weights are taken."""
    plan = lane.plan
    affordable = int(reach.work / (6 * weights * max(plan.batch_size, _LEAST_BATCH)))
    few = _FULL_BATCHES if plan.method == "bgd" else reach.epochs * plan.batches_per_epoch
    end = max(2, min(few, affordable, reach.iterations, lane.limit))
    return sorted({round(end * (part / _STOPS) ** 2) for part in range(_STOPS + 1)})


def _fineness(each: int, samples: int) -> tuple[int, int]:
    """Return the points along an axis and the samples of a loss; ``each`` multiplications a sample."""
    for grid in _GRIDS:
        affordable = int(_GRID_WORK / (each * grid**2))
        if affordable >= min(samples, _MOST_SAMPLES) // 2:
            break
    return grid, max(min(samples, _FEWEST_SAMPLES), min(samples, _MOST_SAMPLES, affordable))


def _axes(places: Float[np.ndarray, "n 2"], grid: int, *, square: bool) -> tuple[Any, Any]:
    """Return the coordinates of a grid that holds all places and a margin."""
    low, high = places.min(axis=0), places.max(axis=0)
    if square:
        # the valley floor in the middle, so that it is seen from all sides
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        low, high = low - 0.1 * (high - low), high + 0.7 * (high - low)
    margin = _MARGIN * np.maximum(high - low, 1e-6)
    low, high = low - margin, high + margin
    return np.linspace(low[0], high[0], grid), np.linspace(low[1], high[1], grid)


def _weights_themselves(space: WeightSpace) -> Plane:
    """Return the plane whose axes are the two weights of a line: its slope, and its height (the bias)."""
    names = [name for name, shape in space.shapes.items() for _ in range(int(np.prod(shape)))]
    order = sorted(range(len(names)), key=lambda place: "bias" in names[place])
    return Plane(np.zeros(len(names)), np.eye(len(names))[order])
