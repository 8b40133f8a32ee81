"""Two problems that need no picture: a line through points, and two classes of points in the plane."""

from __future__ import annotations

import dataclasses

import numpy as np

from epochal.data import Dataset, Preprocessing, from_arrays
from epochal.data.draws import signed_units

LINE, POINTS = "line", "points"
_SLOPE, _HEIGHT, _NOISE = 1.5, 0.5, 0.4
_RADIUS, _SPREAD = 0.9, 0.45

_PLAIN = Preprocessing.of(shift=0, scale=1)  # so that weights mean what the picture shows


def line(samples: int = 60, tests: int = 20) -> Dataset:
    """Return points around a line, the same on every machine: a regression with two weights, slope and height."""
    count = samples + tests
    x = signed_units(count, LINE, "x")
    noise = signed_units(3 * count, LINE, "noise").reshape(3, count).sum(axis=0)
    y = _SLOPE * x + _HEIGHT + _NOISE * noise
    x, y = x.astype(np.float32)[:, None], y.astype(np.float32)
    data = from_arrays(
        x[:samples],
        y[:samples],
        test=(x[samples:], y[samples:]),
        name=LINE,
        task="regression",
        preprocessing=_PLAIN,
    )
    return dataclasses.replace(data, target_scaling=None)


def points(samples: int = 120, tests: int = 60) -> Dataset:
    """Return two classes of points in the plane that a straight line parts almost, the same on every machine."""
    count = samples + tests
    y = np.arange(count, dtype=np.int32) % 2
    noise = signed_units(6 * count, POINTS, "noise").reshape(3, count, 2).sum(axis=0)
    middle = np.where(y == 0, -1, 1)[:, None] * np.array([_RADIUS / 2, _RADIUS / 2])
    x = (middle + _SPREAD * noise).astype(np.float32)
    return from_arrays(
        x[:samples], y[:samples], test=(x[samples:], y[samples:]), name=POINTS, preprocessing=_PLAIN,
        class_names=("A", "B"),
    )  # fmt: skip


TOYS = {LINE: line, POINTS: points}
