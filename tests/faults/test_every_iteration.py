"""A run stopped and resumed at every iteration, one after another and all in a row: the bits of the whole one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from outcome import Outcome
from sabotage import sabotaged

from epochal import resume, train
from little import LITTLE, StopAfter

_ALWAYS = ("ragged B, adam, dropout", "a growing batch")


def problems_after_stops(data: Path, options: dict[str, object], folder: Path) -> Iterator[str]:
    """Stop and resume at each iteration of a run, then at all of them; yield what differs from the whole run."""
    whole = Outcome.of(train(data, run=folder / "whole", **options).path)
    iterations = len(whole.losses) // 4
    for iteration in range(iterations + 1):
        path = folder / f"stopped-{iteration}"
        train(data, run=path, callbacks=StopAfter(iteration), **options)
        resume(path)
        yield from Outcome.of(path).differences(whole)
    path = folder / "stopped-at-all"
    train(data, run=path, callbacks=StopAfter(0), **options)
    for _ in range(iterations):
        assert resume(path, callbacks=StopAfter(1)).path == path
    yield from Outcome.of(resume(path).path).differences(whole)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in _ALWAYS else pytest.mark.slow) for name in LITTLE]
)
def test_stopped_and_resumed_at_every_iteration(name: str, little_data: Path, quick_path: Path) -> None:
    assert list(problems_after_stops(little_data, LITTLE[name], quick_path)) == []


@pytest.mark.parametrize(
    "broken",
    ["offset_is_lost", "sums_of_the_epoch_are_lost", "optimizer_state_is_lost", "iteration_is_off_by_one"],
)
def test_that_a_broken_resume_is_caught(broken: str, little_data: Path, quick_path: Path) -> None:
    with sabotaged(broken):
        try:
            problem = next(problems_after_stops(little_data, LITTLE["ragged B, adam, dropout"], quick_path), None)
        except Exception as error:
            problem = str(error)
    assert problem
