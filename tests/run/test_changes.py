"""Changes of the batch size or the budget on the way: the learning rate follows what is left, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epochal import Run, from_functions, rerun, resume, train
from epochal.clock import Lengths
from epochal.errors import OptionError, PlanError
from little import EachIteration, StopAfter, little_data

__all__ = ["little_data"]


def output_itself(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Its gradient is always 1, so that each update takes the learning rate off the weight."""
    return outputs[:, 0]


def one_weight(params: Any, x: jax.Array) -> jax.Array:
    return jnp.broadcast_to(params, (len(x), 1))


OWN: dict[str, Any] = {
    "data": (np.arange(80, dtype=np.float32).reshape(40, 2), np.arange(40, dtype=np.float32)),
    "model": from_functions(lambda key: jnp.float32(0), one_weight),
    "loss": output_itself,
}
SAMPLES = 32
"""What a fifth for the test set leaves of the 40."""


def begun(iterations: int, path: Path, **options: Any) -> Run:
    """A run with a rate of at most 1, stopped after so many iterations."""
    run = train(**OWN, optimizer="sgd", lr=1.0, run=path, callbacks=StopAfter(iterations), **options)
    assert (len(run.data.train), run.status) == (SAMPLES, "stopped")
    return run


def rates_of(run: Run) -> list[float]:
    """The rate of each update."""
    weights = [*run.history.losses.tolist(), float(run.params)]
    return [before - after for before, after in pairwise(weights)]


# --- schedules by what is left --------------------------------------------------------------------------------------


def test_linear_decay_reaches_its_end_with_the_budget(tmp_path: Path) -> None:
    """Ten epochs of 4 updates, of which two; then of 2 updates: 8 + 16 = 24 updates in all."""
    run = begun(8, tmp_path / "run", batch_size=8, epochs=10, schedule="linear")
    assert run.file.present_lengths == Lengths(40)

    resumed = resume(run.path, batch_size=16, **OWN)
    assert resumed.file.present_lengths == Lengths(24)
    expected = [1 - k / 40 for k in range(8)] + [1 - k / 24 for k in range(8, 24)]
    assert rates_of(resumed) == pytest.approx(expected, abs=1e-4)
    assert expected[8:] != pytest.approx([1 - k / 20 for k in range(8, 24)], abs=0.1), (
        "control: the plan's length alone"
    )


CHANGES: list[dict[str, Any]] = [{"batch_size": 1}, {"batch_size": "all"}, {"epochs": 3}, {"budget": "900sa"}]


@pytest.mark.parametrize(
    ("schedule", "change"),
    [
        *(("cosine", change) for change in CHANGES),
        ("linear", CHANGES[1]),
        ("one-cycle", CHANGES[2]),
        *(
            pytest.param(schedule, change, marks=pytest.mark.slow)
            for schedule, left in (("linear", 1), ("one-cycle", 2))
            for change in CHANGES
            if change is not CHANGES[left]
        ),
    ],
)
def test_no_rate_is_spent_before_the_budget_nor_left_after_it(
    schedule: str, change: dict[str, Any], tmp_path: Path
) -> None:
    run = begun(6, tmp_path / "run", batch_size=8, epochs=10, schedule=schedule)
    rates = rates_of(resume(run.path, **change, **OWN))
    assert all(rate > 0 for rate in rates)
    assert rates[-1] < 0.15
    assert max(rates[6:]) > 0.3, "the weights still move after the change"


def test_warm_up_through_a_change_ends_where_its_length_is_reached(tmp_path: Path) -> None:
    """Two epochs of warm-up: 3 updates of batches of 8, the 8 samples that are left, and 2 batches of 16."""
    run = begun(3, tmp_path / "run", batch_size=8, epochs=4, warmup="2ep")
    assert run.file.present_lengths == Lengths(16, 8)
    resumed = resume(run.path, batch_size=16, **OWN)
    assert resumed.file.present_lengths == Lengths(10, 6)
    expected = [1 / 8, 2 / 8, 3 / 8, 4 / 6, 5 / 6, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert rates_of(resumed) == pytest.approx(expected, abs=1e-4)


def test_a_warm_up_that_is_over_keeps_its_length(tmp_path: Path) -> None:
    run = begun(6, tmp_path / "run", batch_size=8, epochs=4, warmup="1ep", schedule="linear")
    resumed = resume(run.path, batch_size=32, **OWN)
    assert resumed.file.present_lengths == Lengths(9, 4), "6 updates, the rest of epoch 2, and 2 more"
    assert rates_of(resumed)[6:] == pytest.approx([1 - k / 5 for k in (2, 3, 4)], abs=1e-4)


@pytest.mark.parametrize(
    "schedule", ["cosine", *(pytest.param(one, marks=pytest.mark.slow) for one in ("linear", "one-cycle"))]
)
def test_interrupted_after_a_change_and_repeated_it_has_the_same_bits(
    schedule: str, little_data: Path, tmp_path: Path
) -> None:
    """Two changes, of which the second one brings the first configuration back, and a stop between all of them."""
    options: dict[str, Any] = {"model": "linear", "batch_size": 4, "epochs": 6, "schedule": schedule}

    def trained(name: str, *stops: int) -> Run:
        path = tmp_path / name
        train(little_data, run=path, callbacks=StopAfter(7), **options)
        resume(path, batch_size=9, callbacks=StopAfter(4))
        for stop in stops:
            resume(path, callbacks=StopAfter(stop))
        return resume(path, batch_size=4)

    whole = trained("whole")
    assert whole.config.batch_size == whole.file.config.batch_size
    assert whole.file.present_lengths != whole.file.lengths_at(0)
    again = rerun(whole.path, tmp_path / "again")
    assert again.is_same
    assert again.repeated.history.losses.tobytes() == whole.history.losses.tobytes()

    resume(whole.path, callbacks=EachIteration())  # finished, and returned as it is
    parts = tmp_path / "parts"
    train(little_data, run=parts, callbacks=StopAfter(7), **options)
    resume(parts, batch_size=9, callbacks=StopAfter(4))
    resume(parts, batch_size=4, callbacks=StopAfter(1))
    resume(parts, callbacks=StopAfter(5))
    assert resume(parts).weights_sha256 == whole.weights_sha256


# --- what is refused, before anything is written --------------------------------------------------------------------


def unchanged(path: Path, attempt: Callable[[], object], error: type[Exception], message: str) -> None:
    """Assert that an attempt is refused, and that the run stays as it was."""

    def content() -> object:
        files = [path / "run.toml", *path.glob("checkpoints/*")]
        return {file: file.read_bytes() for file in files}, Run.open(path).history.events

    before = content()
    with pytest.raises(error, match=message):
        attempt()
    assert content() == before


def test_a_batch_that_the_rest_of_an_epoch_does_not_hold_is_refused_where_it_would_be_dropped(
    little_data: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"model": "linear", "batch_size": 4, "epochs": 4, "last": "drop"}
    path = train(little_data, run=tmp_path / "run", callbacks=StopAfter(4), **options).path
    message = "epoch 1 has 7 samples left, which hold no batch of 9, and last is 'drop'; take at most 7"
    unchanged(path, lambda: resume(path, batch_size=9), PlanError, message)

    assert resume(path, batch_size=7).status == "finished"
    assert rerun(path, tmp_path / "again").is_same


def test_a_warm_up_beyond_a_new_budget_is_refused(little_data: Path, tmp_path: Path) -> None:
    path = train(
        little_data, model="linear", batch_size=4, epochs=4, warmup="3ep", run=tmp_path / "r", callbacks=StopAfter(7)
    ).path
    message = "a warm-up of 3ep is 18 updates, more than the plan's 12"
    unchanged(path, lambda: resume(path, epochs=2), OptionError, message)
    assert resume(path, iterations=7).status == "finished", "where it stands it may end"


def test_a_budget_of_time_that_ends_within_its_warm_up_can_be_repeated(little_data: Path, tmp_path: Path) -> None:
    path = train(
        little_data, model="linear", batch_size=4, budget="0.01s", warmup="900000it", run=tmp_path / "run"
    ).path
    again = rerun(path, tmp_path / "again")
    assert again.is_same
    assert again.repeated.status == "finished"
    assert again.repeated.evaluate().samples == 11, "what is set up for it later is not refused either"
    assert rerun(tmp_path / "again", tmp_path / "once-more").is_same
