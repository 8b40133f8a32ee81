"""`LandscapeRecord`: the loss on a plane through weight space and the runs' trajectories in it, as one JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from epochal.config.command_words import shell_word
from epochal.errors import RunError, brief
from epochal.files import atomic_write, read_own
from epochal.record.fields import optional, plain, real, several, table, text, whole, word

FORMAT = 1
_LONGEST = 64 << 20  # bytes
_NUMBERS = several(optional(real()), 1_000_000)
_PLACE = table({"run": text(1000), "epoch": real(least=0.0)}, {"iteration": whole()})
_POINT = table({"iteration": whole(), **dict.fromkeys(("epoch", "x", "y", "loss"), optional(real()))})
_LINE = table({"from": _PLACE, "to": _PLACE, "t": _NUMBERS, "loss": _NUMBERS})
_LANDSCAPE = table(
    {
        "kind": word("pca", "random"),
        "split": text(100),
        "samples": whole(),
        "of": whole(),
        "x": _NUMBERS,
        "y": _NUMBERS,
        "loss": several(_NUMBERS),
        "explained": optional(several(real(), 100)),
        "paths": table({}, others=several(_POINT)),
        "lines": several(_LINE),
        "left_out": several(table({"run": text(1000), "why": text()})),
    },
    {"format": whole(1, FORMAT), "center": optional(_PLACE), "seconds": real(least=0.0, most=1e12)},
    others=plain(),
)


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """A run's trajectory through the landscape: a point for each snapshot of its weights."""

    run: str
    iteration: Int64[np.ndarray, " points"]
    epoch: Float64[np.ndarray, " points"]
    x: Float64[np.ndarray, " points"]
    y: Float64[np.ndarray, " points"]
    loss: Float64[np.ndarray, " points"]

    @classmethod
    def from_dicts(cls, run: str, points: Iterable[Mapping[str, Any]]) -> Trajectory:
        """Read a list of points."""
        columns = {axis: _numbers(point[axis] for point in points) for axis in ("epoch", "x", "y", "loss")}
        return cls(run, np.array([point["iteration"] for point in points], np.int64), **columns)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return a list of points."""
        columns = {"iteration": self.iteration.tolist()}
        columns |= {axis: _plain(getattr(self, axis)) for axis in ("epoch", "x", "y", "loss")}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


@dataclass(frozen=True, slots=True)
class Place:
    """Weights that a run kept: after ``iteration`` updates, ``epoch`` epochs with the part of the last."""

    run: str
    iteration: int
    epoch: float

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Place:
        """Read the three values."""
        return cls(content["run"], int(content.get("iteration", 0)), float(content["epoch"]))

    def to_dict(self) -> dict[str, Any]:
        """Return the three values."""
        return {"run": self.run, "iteration": self.iteration, "epoch": self.epoch}


@dataclass(frozen=True, slots=True, eq=False)
class Interpolation:
    """The loss along the straight line from one set of weights to another.

    Attributes:
        t: places on it: 0 is the start, 1 the end.
    """

    start: Place
    end: Place
    t: Float64[np.ndarray, " places"]
    loss: Float64[np.ndarray, " places"]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Interpolation:
        """Read `to_dict`'s result."""
        start, end = (Place.from_dict(content[side]) for side in ("from", "to"))
        return cls(start, end, _numbers(content["t"]), _numbers(content["loss"]))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        ends = {"from": self.start.to_dict(), "to": self.end.to_dict()}
        return {**ends, "t": self.t.tolist(), "loss": _plain(self.loss)}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LandscapeRecord:
    """The loss on a plane through weight space, and the runs' trajectories in it.

    Attributes:
        kind: ``"pca"`` or ``"random"``.
        facts: what else is recorded: data, model, loss, the number of weights, the seed of the samples.
        split: whose loss it is.
        samples: how many samples each loss is the mean of.
        of: how many there are.
        x, y: coordinates of the grid, in units of weight distance.
        loss: ``loss[row, column]`` is the loss at ``(x[column], y[row])``; NaN where it is not finite.
        explained: shares of the trajectories' variance along x and y, 0 to 1; empty for random directions.
        center: around which weights random directions lie.
        left_out: the runs without a trajectory, and why.
        seconds: that it took.
    """

    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    split: str
    samples: int
    of: int
    x: Float64[np.ndarray, " columns"]
    y: Float64[np.ndarray, " rows"]
    loss: Float64[np.ndarray, "rows columns"]
    explained: tuple[float, ...]
    center: Place | None = None
    trajectories: tuple[Trajectory, ...]
    lines: tuple[Interpolation, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; what is not finite becomes null, since JSON has no infinities."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            **self.facts,
            # over which samples, and where
            "split": self.split,
            "samples": self.samples,
            "of": self.of,
            "x": self.x.tolist(),
            "y": self.y.tolist(),
            "loss": [_plain(row) for row in self.loss],
            # what lies in it
            "explained": list(self.explained),
            "center": self.center and self.center.to_dict(),
            "paths": {one.run: one.to_dicts() for one in self.trajectories},
            "lines": [line.to_dict() for line in self.lines],
            "left_out": [{"run": run, "why": why} for run, why in self.left_out],
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> LandscapeRecord:
        """Read `to_dict`'s result. Raises `ValueError`, `KeyError` or `TypeError` where it is damaged."""
        x, y = _numbers(content["x"]), _numbers(content["y"])
        loss = np.array([_numbers(row) for row in content["loss"]])
        if loss.shape != (y.size, x.size) or min(loss.shape) < 2:
            raise ValueError(f"a grid of {loss.shape} losses on {y.size} × {x.size} points")

        center = content.get("center")
        own = {"format", "kind", "split", "samples", "of", "x", "y", "loss", "explained", "center", "paths", "lines"}
        own |= {"left_out", "seconds"}
        return cls(
            kind=content["kind"],
            facts={name: value for name, value in content.items() if name not in own},
            split=content["split"],
            samples=content["samples"],
            of=content["of"],
            # over which samples, and where
            x=x,
            y=y,
            loss=loss,
            # an earlier version wrote null for none
            explained=tuple(map(float, content["explained"] or ())),
            center=center and Place.from_dict(center),
            trajectories=tuple(Trajectory.from_dicts(run, points) for run, points in content["paths"].items()),
            lines=tuple(map(Interpolation.from_dict, content["lines"])),
            left_out=tuple((one["run"], one["why"]) for one in content["left_out"]),
            seconds=float(content.get("seconds", 0.0)),
        )

    @classmethod
    def read(cls, path: Path) -> LandscapeRecord:
        """Read a landscape's file. Raises `RunError` where it is damaged."""
        try:
            content = json.loads(read_own(path, _LONGEST))
            _LANDSCAPE.require("", content)
            return cls.from_dict(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            what = f"{type(error).__name__}: {brief(error)}"
            study = shell_word(path.parent)
            again = f"`epochal compare --run {study} --landscape` makes it again"
            raise RunError(f"{path} is damaged: {what}; {again}") from error

    def write(self, path: Path) -> None:
        """Write the file as a whole or not at all."""
        try:
            atomic_write(path, json.dumps(self.to_dict(), separators=(",", ":")).encode())
        except OSError as error:
            raise RunError(f"cannot write in {path.parent}: {error.strerror}") from error


def _numbers(values: Iterable[float | int | None]) -> Float64[np.ndarray, " n"]:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _plain(values: Float64[np.ndarray, " n"]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
