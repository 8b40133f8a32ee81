"""A lane as JSON: where it stands, the batch in hand with its samples, what was recorded, and the audit so far."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from jaxtyping import Float

from epochal.data import Split
from epochal.engine import named_leaves
from epochal.learn.atlas import images_of
from epochal.learn.lane import Lane
from epochal.learn.numbers_as_json import bitmap, number, pixels, short, short_rows
from epochal.learn.surface import Surface
from epochal.learn.toys import POINTS
from epochal.learn.world import World
from epochal.record.rows import EpochRow

_MOST_SHOWN = 200
MOST_LOSSES = 2_000
GRID = 41
_FEW_WEIGHTS = 20
_MARGIN = 0.1


def view(world: World, name: str, started: float, most_shown: int = _MOST_SHOWN) -> dict[str, Any]:
    """Return what the page shows of a lane.

    Args:
        world: of the lane.
        name: the lane's.
        started: when the question came, by `time.perf_counter`.
        most_shown: of the batch in hand, the most samples that are shown one by one.
    """
    lane = world.lane(name)
    position, plan = lane.position, lane.plan
    seen = _Seen(world, lane, world.surface, most_shown)
    thinned, losses = _losses(lane.losses)

    return {
        "lane": name,
        "position": {
            "iteration": position.iteration,
            "epoch": position.epoch,
            "batch": -(-position.offset // plan.batch_size),
            "offset": position.offset,
            "samples_used": plan.samples_after(iterations=position.iteration),
        },
        **seen.batch(),
        "last": _last(lane),
        "losses": losses,
        "thinned": thinned,
        "epochs": [_epoch(row) for row in lane.epochs],
        **_present_epoch(world, lane),
        "weights_sha256": lane.weights_sha256,
        "weights": _weights(world, lane),
        **_decision(world, lane),
        "milliseconds": round(1000 * (time.perf_counter() - started), 1),
    }


class _Seen:
    """What the samples of a lane's next batch say."""

    def __init__(self, world: World, lane: Lane, surface: Surface | None, most_shown: int) -> None:
        self.world, self.lane, self.surface, self.most_shown = world, lane, surface, most_shown

    def batch(self) -> dict[str, Any]:
        """Return the batch in hand, and the lane's place in the plane."""
        world, lane, surface = self.world, self.lane, self.surface
        position, plan = lane.position, lane.plan
        start = position.offset
        size = plan.next_batch_size(position)
        indices = world.order(position.epoch)[start : start + size]

        data = world.problem.data
        figures = world.look.of(lane.point.state, indices, None if surface is None else surface.directions)
        images_apart = images_of(data) is None
        shown = min(size, self.most_shown if images_apart else _MOST_SHOWN)
        chosen = indices[:shown]
        predicted, confidence = predictions(world, figures.outputs[:shown])
        images = images_of(data, chosen) if images_apart else None
        step = lane.setup.engine.prepare(lane.point.state, size)

        in_hand = {
            "epoch": position.epoch + 1,
            "batch": start // plan.batch_size + 1,
            "start": start,
            "stop": start + size,
            "indices": chosen.tolist(),
            "losses": short(figures.losses[:shown]),
            "labels": labels(data.train.take(chosen).y),
            "predicted": predicted,
            "confidence": confidence,
            "pulls": None if surface is None else short_rows(figures.pulls[:shown]),
            "images": None if images is None else pixels(images),
            "mean_loss": number(figures.losses.mean(dtype=np.float64)),
            "micro_batches": [[at, min(at + step, size)] for at in range(0, size, step)],
            "shown": shown,
        }
        return {"in_hand": in_hand, **self._places(figures.pulls)}

    def _places(self, pulls: Float[np.ndarray, "n axes"]) -> dict[str, Any]:
        surface = self.surface
        if surface is None:
            return {"place": None, "previous": None, "mean_pull": None}
        before = self.lane.state_before
        return {
            "place": _place(surface, self.world.vector(self.lane.point.state)),
            "previous": None if before is None else _place(surface, self.world.vector(before)),
            "mean_pull": short(pulls.mean(axis=0, dtype=np.float64), 9),
        }


def _place(surface: Surface, weights: Float[np.ndarray, " weights"]) -> dict[str, float | None]:
    if not np.isfinite(weights).all():
        return {"x": None, "y": None}
    x, y = surface.plane.project(weights[None])[0]
    return {"x": number(x), "y": number(y)}


def labels(targets: Any) -> list[Any]:
    """Return targets as JSON: class numbers, or values; rows of them where a sample has several."""
    if targets.dtype.kind in "iu":
        return list(targets.tolist())
    return short(targets) if targets.ndim == 1 else short_rows(targets)


def probabilities(outputs: Float[np.ndarray, "n outputs"]) -> Float[np.ndarray, "n outputs"]:
    """Return the softmax of each row."""
    wide = outputs.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
    result: Float[np.ndarray, "n outputs"] = powers / powers.sum(axis=-1, keepdims=True)
    return result


def predictions(world: World, outputs: Float[np.ndarray, "n outputs"]) -> tuple[list[Any], list[Any] | None]:
    """Return what is predicted, and with which confidence; a regression has no confidence."""
    if world.problem.data.class_names is None:
        return labels(outputs[:, 0] if outputs.shape[1] == 1 else outputs), None
    with np.errstate(invalid="ignore"):
        return outputs.argmax(axis=1).tolist(), short(probabilities(outputs).max(axis=1))


def _last(lane: Lane) -> dict[str, Any] | None:
    position, plan = lane.position, lane.plan
    if not position.iteration:
        return None
    before = plan.position(iteration=position.iteration - 1)
    return {
        "epoch": before.epoch + 1,
        "batch": before.offset // plan.batch_size + 1,
        "size": plan.next_batch_size(before),
        "loss": number(lane.losses[-1]),
    }


def _losses(losses: Float[np.ndarray, " iterations"]) -> tuple[int, list[list[Any]]]:
    """Return how many iterations a bucket has, and pairs of iteration and loss: each bucket's lowest and highest."""
    if len(losses) <= MOST_LOSSES:
        return 1, [[i + 1, *short([loss])] for i, loss in enumerate(losses.tolist())]

    each = -(-2 * len(losses) // MOST_LOSSES)
    full = len(losses) // each
    buckets = np.nan_to_num(losses[: full * each].reshape(full, each), nan=np.inf)
    first = np.arange(full) * each
    ends = np.stack([first + buckets.argmin(axis=1), first + buckets.argmax(axis=1)])
    chosen = sorted({*ends.ravel().tolist(), *range(full * each, len(losses))})
    return each, [[i + 1, *short([losses[i]])] for i in chosen]


def _epoch(row: EpochRow) -> dict[str, Any]:
    return {
        "epoch": row.epoch,
        "iterations": row.iterations,
        "train_loss": number(row.train_loss),
        "test_loss": None if row.test_loss is None else number(row.test_loss),
        "test_accuracy": row.test_accuracy,
        "samples": row.samples,
        "audit": row.audit_hash,
        "expected": row.expected_hash,
        "exact": row.is_exact,
    }


def _present_epoch(world: World, lane: Lane) -> dict[str, Any]:
    """Return which samples the present epoch used so far, and its audit; at its end still those of the whole epoch.

    The audit is what the compiled loop really gathered, beside what the order alone says.
    """
    position = lane.position
    if position.iteration and not position.offset:
        row = lane.epochs[-1]
        used, expected = lane.plan.samples_per_epoch, row.expected_samples
        epoch, samples, real, due = row.epoch, row.samples, row.audit_hash, row.expected_hash
    else:
        sums, audit = lane.point.sums.audit, lane.audit_due()
        epoch, used = position.epoch + 1, position.offset
        samples, real, expected, due = sums.samples, sums.hash, audit.samples, audit.hash

    marks = np.zeros(len(world.problem.data.train), bool)
    marks[world.order(epoch - 1)[:used]] = True

    return {
        "used": bitmap(marks),
        "audit": {
            "epoch": epoch,
            "samples": samples,
            "hash": real,
            "expected_samples": expected,
            "expected_hash": due,
            "exact": (samples, real) == (expected, due),
        },
    }


def _weights(world: World, lane: Lane) -> list[float | None] | None:
    """Return the weights of a small model: for the line its slope and its height."""
    if world.space.size > _FEW_WEIGHTS:
        return None
    return [number(value) for value in toy_vector(world, lane.point.state)]


def toy_vector(world: World, state: Any) -> Float[np.ndarray, " n"]:
    """Return the weights in a fixed order, biases last."""
    arrays = named_leaves(state.params)
    names = sorted(arrays, key=lambda name: "bias" in name)
    return np.concatenate([arrays[name].ravel() for name in names])


def _decision(world: World, lane: Lane) -> dict[str, Any]:
    """Return the probability of class 1 all over the plane, row by row from the lowest y, for points in it."""
    if world.problem.kind != POINTS:
        return {"grid": None, "grid_x": None, "grid_y": None}
    x, y = grid_axes(world)
    places = np.stack([axis.ravel() for axis in np.meshgrid(x, y)], axis=1).astype(np.float32)
    split = Split(places, np.zeros(len(places), np.int32))
    outputs = np.asarray(lane.setup.engine.predict(lane.point.state, split))
    values = probabilities(outputs)[:, 1].reshape(GRID, GRID)
    return {"grid": short_rows(values, 4), "grid_x": short(x), "grid_y": short(y)}


def grid_axes(world: World) -> tuple[Float[np.ndarray, " x"], Float[np.ndarray, " y"]]:
    """Return the coordinates of the decision's grid: all points and a margin."""
    x = world.problem.data.train.whole().x
    low, high = x.min(axis=0), x.max(axis=0)
    margin = _MARGIN * (high - low)
    low, high = low - margin, high + margin
    return np.linspace(low[0], high[0], GRID), np.linspace(low[1], high[1], GRID)
