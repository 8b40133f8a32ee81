"""The time of an iteration: that of the machine, whatever else runs there now and then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from epochal.study.batch_size.speeds import measure_speeds
from epochal.study.to_target import Stopped, ToTarget

EACH = {1: 3e-6, 64: 4e-5, 4_096: 0.5}


class Machine(ToTarget):
    """Stands for trials whose engines take a known time, and four of five times eight times as long."""

    def __init__(self, *, is_stopping: bool = False) -> None:
        self.iterations, self.runs = dict.fromkeys(EACH, 0), 0
        self.stop_when(lambda: is_stopping)

    def set_up(self, batch_size: int, *given: Any, **more: Any) -> Any:
        engine = SimpleNamespace(initial_state=lambda: 0.0, run=self.run)
        return SimpleNamespace(engine=engine, plan=SimpleNamespace(iterations_per_epoch=100_000))

    def run(self, state: Any, position: Any, size: int, count: int) -> tuple[Any, Any]:
        self.runs += 1
        self.iterations[size] += count
        is_busy = self.runs % 5 != 0
        return state, SimpleNamespace(seconds=5e-5 + count * EACH[size] * (8 if is_busy else 1))


def test_other_work_does_not_move_it() -> None:
    machine = Machine()
    found = measure_speeds(machine, dict.fromkeys(EACH, 0.1))
    assert found == {size: pytest.approx(1e6 * each, rel=0.05) for size, each in EACH.items()}
    assert machine.iterations[4_096] == 7  # a size that takes long is measured no oftener than it must be


def test_a_stop_ends_it() -> None:
    with pytest.raises(Stopped):
        measure_speeds(Machine(is_stopping=True), {1: 0.1})
