"""The learn page's questions and their answers: several worlds at once, for as many browsers."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from epochal.counts import parse_count
from epochal.data import Dataset
from epochal.errors import EpochalError, OptionError
from epochal.learn.atlas import features_of, images_of
from epochal.learn.lane import Lane
from epochal.learn.lane_view import labels, predictions, probabilities, view
from epochal.learn.micro import compare_micro_batches
from epochal.learn.numbers_as_json import number, pixels, short
from epochal.learn.problem import Problem, Wish, load_problem, problem_names
from epochal.learn.world import World
from epochal.plan_rows import plan_rows
from epochal.words.phrases import translate

Body: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class Lab:
    """Answers the page, in one process; threads may share it.

    Attributes:
        problem: the name or path of the data that the command named.
        new_id: names each world.
        most_worlds: that live at once; the one used longest ago is dropped.
        most_bytes: of memory that all of them take, likewise, and all data that were read; the newest always lives.
        shown: the most samples of a batch in hand that are shown one by one.
        most_labels: the largest training set whose labels and orders are sent as a whole.
    """

    problem: str = "digits"
    new_id: Iterator[str] = field(default_factory=lambda: (f"w{number}" for number in itertools.count()))
    most_worlds: int = 6
    most_bytes: int = 1 << 30
    shown: int = 200
    most_labels: int = 5_000
    _worlds: OrderedDict[str, World] = field(default_factory=OrderedDict, init=False, repr=False)
    _left: list[threading.Thread] = field(default_factory=list, init=False, repr=False)
    _is_closed: bool = field(default=False, init=False, repr=False)
    _data: dict[str, Dataset] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)
    _reading: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def paths(self) -> Mapping[str, Callable[[Body], Answer]]:
        """What can be asked."""
        return {
            "/api/start": self.start,
            "/api/go": self.go,
            "/api/view": self.view,
            "/api/landscape": self.landscape,
            "/api/sample": self.sample,
            "/api/order": self.order,
            "/api/micro": self.micro,
            "/api/leave": self.leave,
        }

    def answer(self, path: str, body: Body) -> Answer:
        """Answer a question of the page; what the user can fix is said in every language. Raises `KeyError`."""
        ask = self.paths[path]
        try:
            with np.errstate(all="ignore"):  # numbers that are none are shown as none, and no news for the terminal
                return {"ok": True, **ask(body)}
        except EpochalError as error:
            return {"ok": False, "error": {"en": str(error), "zh": translate(str(error), "zh")}}

    def start(self, body: Body) -> Answer:
        """Begin a world: `Wish` says which."""
        wish = Wish.of(body, self.problem)
        problem = Problem.take(self.load(wish.problem), wish.samples)
        world = World.start(problem, wish)
        with self._lock:
            if self._is_closed:
                raise _gone()
            name = next(self.new_id)
            self._worlds[name] = world
            while len(self._worlds) > 1 and self._is_too_much():
                self._leave(next(iter(self._worlds)))
            world.begin_background()
        return {"id": name, **_about(world, problem_names(self.problem), self.most_labels)}

    def go(self, body: Body) -> Answer:
        """Move a lane to just after an iteration."""
        started = time.perf_counter()
        with self._at_work(body) as world:
            name, to = body.get("lane", "mbgd"), _whole("to", body.get("to"))
            world.lane(name).go(to)
            if world.lane(name).position.iteration != to:
                raise _gone()
            return view(world, name, started, self.shown)

    def view(self, body: Body) -> Answer:
        """Show a lane where it stands."""
        started = time.perf_counter()
        with self._at_work(body) as world:
            return view(world, body.get("lane", "mbgd"), started, self.shown)

    def order(self, body: Body) -> Answer:
        """Show the order of an epoch, counted from 0."""
        epoch = _whole("epoch", body.get("epoch"))
        with self._at_work(body) as world:
            return {"epoch": epoch, "order": world.order(epoch)[: self.most_labels].tolist()}

    def landscape(self, body: Body) -> Answer:
        """Show the loss landscape, or how far its computation is."""
        return self._world(body).about_surface()

    def sample(self, body: Body) -> Answer:
        """Show one training sample at a lane's present weights."""
        with self._at_work(body) as world:
            lane = world.lane(body.get("lane", "mbgd"))
            _check_place(lane, body)
            data = world.problem.data
            index = _whole("index", body.get("index"))
            if index >= len(data.train):
                raise OptionError(f"index must be 0 to {len(data.train) - 1}, got {index}")

            surface = world.surface
            figures = world.look.of(lane.point.state, np.array([index]), surface and surface.directions)
            predicted, confidence = predictions(world, figures.outputs)
            outputs = figures.outputs if confidence is None else probabilities(figures.outputs)
            images = images_of(data, np.array([index]))
            return {
                "index": index,
                "label": labels(data.train.y[[index]])[0],
                "predicted": predicted[0],
                "outputs": short(outputs[0]),
                "loss": number(figures.losses[0]),
                "pull": None if surface is None else short(figures.pulls[0], 9),
                "image": None if images is None else pixels(images),
                "features": features_of(data, index),
            }

    def micro(self, body: Body) -> Answer:
        """Compute the main lane's next iteration whole and in micro-batches; neither is kept."""
        with self._at_work(body) as world:
            _check_place(world.main, body)
            return compare_micro_batches(world.main, _whole("micro_batch", body.get("micro_batch"), at_least=1))

    def leave(self, body: Body) -> Answer:
        """Forget a world that its page has left, so that nothing more is computed for it."""
        with self._lock:
            self._world(body)
            self._leave(str(body["id"]))
        return {}

    @property
    def worked_example(self) -> str:
        """The data of the article's worked example, 60,000 samples: MNIST where it is at hand, else what is made."""
        return "mnist" if "mnist" in problem_names(self.problem) else "digits-60k"

    def load(self, name: str) -> Dataset:
        """Return a problem's data, read once; who trains other data does not wait meanwhile."""
        with self._reading:
            if name not in self._data:
                self._data[name] = load_problem(name)
                while len(self._data) > 1 and sum(data.nbytes for data in self._data.values()) > self.most_bytes:
                    del self._data[next(iter(self._data))]
            return self._data[name]

    def close(self, seconds: float | None = None) -> None:
        """Forget all worlds, and wait for what is still computed for them; not longer than this."""
        with self._lock:
            self._is_closed = True
            for name in [*self._worlds]:
                self._leave(name)
        deadline = None if seconds is None else time.monotonic() + seconds
        for thread in self._left:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    @property
    def is_computing(self) -> bool:
        """Whether something is still computed for worlds that were left."""
        return any(thread.is_alive() for thread in self._left)

    def _leave(self, name: str) -> None:
        """Compute nothing more for a world; its thread, whose present piece goes on for a while, ends later."""
        world = self._worlds.pop(name)
        world.close()
        threads = [*self._left, world.background]
        self._left = [thread for thread in threads if thread is not None and thread.is_alive()]

    def _is_too_much(self) -> bool:
        taken = sum(world.nbytes for world in self._worlds.values())
        return len(self._worlds) > self.most_worlds or taken > self.most_bytes

    def finish_background(self, name: str) -> None:
        """Wait until a world's landscape is there."""
        self._world({"id": name}).finish_background()

    def _world(self, body: Body) -> World:
        with self._lock:
            world = self._worlds.get(str(body.get("id")))
            if world is None:
                raise _gone()
            self._worlds.move_to_end(str(body["id"]))
            return world

    def _at_work(self, body: Body) -> Any:
        return self._world(body).at_work()


def _check_place(lane: Lane, body: Body) -> None:
    """Refuse a question about another place than the present one, where it names the iteration."""
    if "iteration" in body and _whole("iteration", body["iteration"]) != lane.position.iteration:
        raise OptionError(f"the training stands at iteration {lane.position.iteration} by now; ask again")


def _gone() -> OptionError:
    return OptionError("this training is not in memory any more: others were used since; start it again")


def _whole(name: str, value: object, at_least: int = 0) -> int:
    return parse_count(name, value, at_least=at_least)


def _about(world: World, problems: list[str], most_labels: int) -> Answer:
    problem, setup = world.problem, world.setup
    data = problem.data
    images = images_of(data)
    toy = data.train.whole() if problem.kind in ("line", "points") else None

    return {
        "problem": {
            "name": data.name,
            "kind": problem.kind,
            "samples": len(data.train),
            "of": problem.of,
            "tests": len(data.test),
            "classes": None if data.class_names is None else list(data.class_names),
            "model": setup.model.name,
            "parameters": world.space.size,
            "loss": setup.task.loss,
            "lr": setup.config.lr,
            "seed": setup.config.seed,
            "last": setup.config.last,
            "optimizer": "sgd",
        },
        "choices": {"problems": problems, "models": list(problem.models), "max_samples": problem.of},
        "lanes": {name: _about_lane(lane) for name, lane in world.lanes.items()},
        "images": None if images is None else pixels(images),
        "labels": labels(data.train.whole().y) if len(data.train) <= most_labels else None,
        "points": None if toy is None else {"x": toy.x.tolist(), "y": toy.y.tolist()},
    }


def _about_lane(lane: Lane) -> Answer:
    plan, config = lane.plan, lane.setup.config
    rows = [
        {"key": row.key, "number": row.number, "formula": row.formula, "how": row.how, "values": dict(row.values)}
        for row in plan_rows(plan)
    ]
    return {
        "batch_size": plan.batch_size,
        "micro_batch": config.micro_batch,
        "lr": config.lr,
        "method": plan.method,
        "batches_per_epoch": plan.batches_per_epoch,
        "last_batch_size": plan.last_batch_size,
        "rows": rows,
        "limit": lane.limit,
    }
