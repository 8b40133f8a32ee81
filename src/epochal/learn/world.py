"""A world: three lanes side by side, from the same weights and in the same order of samples."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from epochal.engine import Engine, State, named_leaves
from epochal.engine.sample_view import SampleView
from epochal.errors import OptionError
from epochal.landscape.trajectory import Vector, WeightSpace
from epochal.learn.lane import Lane
from epochal.learn.problem import LANES, Problem, Wish
from epochal.learn.surface import Surface, SurfaceWork
from epochal.run.setup import Setup, set_up

_PATIENCE, _MOMENT = 0.05, 0.02  # seconds
_LONGEST_NAME = 40


@dataclass(slots=True)
class World:
    """Three lanes of one problem: BGD, SGD and the main lane with the batch size that was chosen.

    Attributes:
        lock: held by whoever moves a lane or looks at one.
        lanes: by their names; ``mbgd`` is the main lane, whatever its batch size.
        look: shows single samples.
        space: of the weights, as vectors.
    """

    problem: Problem
    wish: Wish
    lanes: Mapping[str, Lane]
    look: SampleView = field(repr=False)
    space: WeightSpace = field(repr=False)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _work: SurfaceWork = field(init=False, repr=False)
    _asked: int = field(default=0, init=False, repr=False)
    _last_asked: float = field(default=0.0, init=False, repr=False)
    _orders: dict[int, Int[np.ndarray, " n"]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        # the first run needs no evaluations
        fresh = {name: Lane(lane.setup, lane.file, lane.plan.full_epochs) for name, lane in self.lanes.items()}
        self._work = SurfaceWork(
            self.problem.kind, fresh, self.space, self._compile_steps, self._until_idle, self._look_along
        )

    @classmethod
    def start(cls, problem: Problem, wish: Wish) -> World:
        """Return the world at the beginning. Raises `EpochalError` for what cannot be trained."""
        lanes = {name: cls._lane(problem, wish, name) for name in LANES}
        engine = lanes["mbgd"].setup.engine
        return cls(problem, wish, lanes, SampleView(engine), WeightSpace.of(engine))

    @staticmethod
    def _lane(problem: Problem, wish: Wish, name: str) -> Lane:
        setup = set_up(problem.config(wish, name), problem.data)
        return Lane(setup, setup.run_file(setup.engine.count_parameters()))

    @property
    def main(self) -> Lane:
        """The lane whose batch size was chosen."""
        return self.lanes["mbgd"]

    @property
    def engine(self) -> Engine:
        """The main lane's."""
        return self.main.setup.engine

    @property
    def setup(self) -> Setup:
        """The main lane's."""
        return self.main.setup

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes, data on the device for each lane included."""
        return 4 * self.problem.data.train.nbytes + sum(lane.kept.nbytes for lane in self.lanes.values())

    def lane(self, name: object) -> Lane:
        """Return a lane by its name. Raises `OptionError` for an unknown one."""
        if not isinstance(name, str) or name not in self.lanes:
            raise OptionError(f"lane must be one of {', '.join(self.lanes)}, got {str(name)[:_LONGEST_NAME]!r}")
        return self.lanes[name]

    def order(self, epoch: int) -> Int[np.ndarray, " n"]:
        """Return the order of an epoch, counted from 0: the same in all lanes."""
        if epoch not in self._orders:
            if len(self._orders) >= 4:
                self._orders.pop(next(iter(self._orders)))
            self._orders[epoch] = self.engine.order.indices(epoch, 0, len(self.problem.data.train))
        return self._orders[epoch]

    def vector(self, state: State) -> Vector:
        """Return a state's weights as one vector."""
        return self.space.vector(named_leaves(state))

    @contextmanager
    def at_work(self) -> Iterator[World]:
        """Hold the world's lock; the landscape waits meanwhile."""
        self._asked += 1
        try:
            with self.lock:
                yield self
        finally:
            self._last_asked = time.monotonic()
            self._asked -= 1

    @property
    def surface(self) -> Surface | None:
        """The loss landscape, once it is known."""
        return self._work.surface

    def about_surface(self) -> dict[str, Any]:
        """Return the landscape, or how far its computation is. Raises `EpochalError` where there is none."""
        return self._work.about()

    def begin_background(self) -> None:
        """Begin to compute the landscape."""
        self._work.begin()

    @property
    def background(self) -> threading.Thread | None:
        """Where the landscape is computed, once that has begun."""
        return self._work.thread

    def finish_background(self) -> None:
        """Wait until the landscape is there."""
        self._work.join()

    def close(self) -> None:
        """Compute nothing more: whoever asks now is the last one."""
        self._work.close()
        for lane in self.lanes.values():
            lane.left.set()

    def _compile_steps(self) -> None:
        """Compile each lane's iterations, its last batch's, and its epochs' ends, before they are asked for."""
        for lane in self.lanes.values():
            engine, state = lane.setup.engine, lane.setup.engine.initial_state()
            for size in (lane.plan.batch_size, lane.plan.last_batch_size):
                if lane.left.is_set():
                    return
                self.look.of(state, np.zeros(size, np.int32))
                engine.prepare(state, size)
            if len(engine.data.test):
                engine.evaluate(state, engine.data.test)

    def _look_along(self, surface: Surface) -> None:
        """Look at a batch of each lane along the directions of the plane, so that the first step does not compile."""
        for lane in self.lanes.values():
            for size in {lane.plan.batch_size, lane.plan.last_batch_size}:
                state = lane.setup.engine.initial_state()
                self.look.of(state, np.zeros(size, np.int32), surface.directions)

    def _until_idle(self) -> None:
        """Wait while somebody asks, and a moment longer; not forever, so that playing on does not starve the rest."""
        patience = time.monotonic() + _PATIENCE
        while time.monotonic() < patience and (self._asked or time.monotonic() < self._last_asked + _MOMENT):
            time.sleep(_MOMENT / 4)
