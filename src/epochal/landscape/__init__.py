"""The loss landscape: planes through weight space, losses on them, and the trajectories of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from epochal.lazy import lazy_names

if TYPE_CHECKING:
    from epochal.landscape.compute import Cancelled, LandscapeOptions, compute_landscape, interpolate

__all__ = ["Cancelled", "LandscapeOptions", "compute_landscape", "interpolate"]

_HOMES = dict.fromkeys(__all__, "compute")

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
