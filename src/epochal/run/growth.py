"""An adaptive batch: it doubles at the end of an epoch whose gradients are noisier than its size can average out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from epochal.clock import Plan
from epochal.engine import Engine, NoiseScale, measure_noise
from epochal.run.callbacks import Callback
from epochal.run.point import Point
from epochal.size_schedule import Adaptive

_SLICES = 16
_WORTH = 2.0  # times the batch: from there on, twice the batch needs about half of the updates


@dataclass(frozen=True, slots=True)
class Decision:
    """That the batch grows, where, to what, and what was measured."""

    point: Point
    batch_size: Adaptive
    measured: NoiseScale


class Growth(Callback):
    """Measures the noise scale at each epoch's end, and ends the training for a larger batch where one is worth it.

    Args:
        engine: whose model and data are measured; no state is changed.
        plan: the budget's end needs no decision.
        sizes: the present one, and the largest.
        decided: up to which iteration everything is decided, in `run.toml`.
        tell: told of a decision before anything later is saved.
    """

    def __init__(
        self, engine: Engine, plan: Plan, sizes: Adaptive, decided: int, tell: Callable[[Decision], object]
    ) -> None:
        self._engine, self._plan, self._sizes, self._decided, self._tell = engine, plan, sizes, decided, tell

    @property
    def is_change(self) -> bool:  # type: ignore[override]
        """Whether it ends the training for another batch size."""
        return self.should_stop

    def on_point(self, point: Point) -> None:
        """Decide at the end of an epoch."""
        position, sizes = point.position, self._sizes
        if position.offset or position.iteration <= self._decided or self._plan.is_spent(position, point.seconds):
            return
        slices = min(_SLICES, self._plan.samples // sizes.low)
        larger = sizes.doubled(self._plan.samples)
        if larger == sizes or slices < 2:
            return

        measured = measure_noise(self._engine, point.state, position, sizes.low, slices)
        if measured.value >= _WORTH * sizes.low:
            self._tell(Decision(point, larger, measured))
            self.should_stop = True
