"""Points of a training that are kept on the host, so that it can go back with the same bits."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from epochal.run.point import Point

_NEAREST = 16


@dataclass(slots=True)
class KeptPoints:
    """Copies of points by their iteration, within a limit of memory; the first one always stays.

    Attributes:
        most_bytes: what all copies may take; where it is reached, every second one is dropped but for the latest.
    """

    most_bytes: int = 48 << 20
    _points: dict[int, Point] = field(default_factory=dict, init=False, repr=False)
    _each: int = field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._points)

    def __contains__(self, iteration: int) -> bool:
        return iteration in self._points

    @property
    def nbytes(self) -> int:
        """Bytes that the copies take."""
        return self._each * len(self._points)

    def keep(self, point: Point) -> None:
        """Copy a point, unless its iteration is kept already: the bits would be the same."""
        iteration = point.position.iteration
        if iteration in self._points:
            self._points[iteration] = self._points.pop(iteration)  # the latest again
            return
        # a copy: the device's own memory is overwritten by the next iteration
        state = jax.tree.map(lambda leaf: np.array(leaf, order="C"), point.state)
        self._points[iteration] = Point(state, point.position, point.sums, point.seconds)
        self._each = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        if self.nbytes > self.most_bytes:
            self._thin()

    def nearest(self, iteration: int) -> int:
        """Return the latest kept iteration that is not after this one."""
        known = sorted(self._points)
        return known[bisect_right(known, iteration) - 1]

    def restore(self, iteration: int) -> Point:
        """Return a kept point on the device, in arrays of its own."""
        kept = self._points[iteration]
        state = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), kept.state)
        return Point(state, kept.position, kept.sums, kept.seconds)

    def state(self, iteration: int) -> Any:
        """Return a kept state as it lies on the host; not to be changed."""
        return self._points[iteration].state

    def _thin(self) -> None:
        """Drop every second point, but for the first one and the latest few."""
        older = sorted([*self._points][:-_NEAREST])
        for iteration in older[1::2]:
            if iteration:
                del self._points[iteration]
