"""The search for a learning rate: what it holds out, what it tries, and what it takes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from epochal.clock import Position
from epochal.config.train_config import TrainConfig
from epochal.data import from_arrays
from epochal.errors import DataError, OptionError
from epochal.run.custom import Custom
from epochal.run.setup import set_up
from epochal.study import Study
from epochal.study.held_out import validation_split
from epochal.study.to_target import Stopped
from epochal.study.tuning import _search, _search_plan, tune
from small import Log, small_study, three_clouds


def search(config: TrainConfig) -> Any:
    return tune(config, three_clouds(), Custom(), lambda: False)


def test_a_sixth_of_the_training_set_is_held_out_and_the_test_set_has_no_part_in_it() -> None:
    data = three_clouds()
    held = validation_split(data, seed=0)
    assert (len(held.train), len(held.test)) == (50, 10)
    together = np.concatenate([held.train.x, held.test.x])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(data.train.x, axis=0))
    assert not {tuple(row) for row in together.tolist()} & {tuple(row) for row in data.test.x.tolist()}


def test_the_seed_chooses_what_is_held_out() -> None:
    data = three_clouds()
    zero, again, one = (validation_split(data, seed).test.x for seed in (0, 0, 1))
    np.testing.assert_array_equal(zero, again)
    assert not np.array_equal(zero, one)


def test_at_most_ten_thousand_are_held_out() -> None:
    many = from_arrays(np.zeros((70_000, 1), np.float32), np.arange(70_000) % 2, test=0.01)
    assert len(validation_split(many, 0).test) == 10_000


@pytest.mark.parametrize("batch_size", [7, "all"])  # 50 = 7 × 7 + 1
def test_it_finds_the_rate_whose_validation_loss_is_lowest(batch_size: Any) -> None:
    found = search(TrainConfig(hidden=(5,), batch_size=batch_size, epochs=20))
    losses = [one.loss for one in found.tried]
    assert found.lr == found.tried[int(np.argmin(losses))].lr
    assert len(found.tried) in (5, 6, 7)
    ratios = [b.lr / a.lr for a, b in zip(found.tried, found.tried[1:], strict=False)]
    np.testing.assert_allclose(ratios, 3, rtol=0.02)
    assert (found.train, found.held_out, found.updates) == (50, 10, 20)
    assert (found.model, found.optimizer, found.batch_size) == ("mlp", "sgd", batch_size)


def test_each_rate_is_trained_as_an_ordinary_training_would_be() -> None:
    """The held-out loss of a rate against a training with that rate compiled in."""
    config = TrainConfig(hidden=(5,), batch_size=50, iterations=20, optimizer="adam")
    found = search(config)
    for one in found.tried[2:3]:
        setup = set_up(
            TrainConfig(hidden=(5,), batch_size=50, iterations=20, optimizer="adam", lr=one.lr),
            validation_split(three_clouds(), 0),
        )
        state = setup.engine.initial_state()
        for iteration in range(20):
            state, _ = setup.engine.run(state, Position(iteration, iteration, 0), 50, 1)
        assert setup.engine.evaluate(state, setup.data.test).loss == pytest.approx(one.loss, rel=1e-4)


def test_the_row_of_rates_grows_beyond_its_ends_at_most_twice() -> None:
    def tried(best: float) -> list[float]:
        return sorted(_search(1.0, lambda rates: [abs(math.log(rate / best)) for rate in rates]))

    assert tried(1.0) == [0.111, 0.333, 1.0, 3.0, 9.0]
    assert tried(27.0) == [0.111, 0.333, 1.0, 3.0, 9.0, 27.0, 81.0]
    assert tried(1e-9) == [0.0123, 0.037, 0.111, 0.333, 1.0, 3.0, 9.0]


def test_how_long_a_rate_is_tried_follows_from_the_budget() -> None:
    def updates(**budget: Any) -> int:
        return _search_plan(TrainConfig(batch_size=7, **budget), 60, 50).updates

    assert updates(iterations=1000) == 100
    assert updates(iterations=1001) == 101
    assert updates(iterations=60) == 20
    assert updates(iterations=3) == 3
    assert updates(budget="2s") == 20
    assert _search_plan(TrainConfig(batch_size=1, budget="2s"), 6000, 5000).updates == 5000
    assert _search_plan(TrainConfig(batch_size=60), 60, 50).batch_size == 50


def test_a_study_takes_the_found_rates_and_remembers_them(tmp_path: Path) -> None:
    options: dict[str, Any] = {"batch_sizes": [10, "all"], "tune_lr": True, "seeds": [0, 1]}
    study = small_study(tmp_path / "s", **options)
    assert [tuned.batch_size for tuned in study.tuned] == [10, "all"]
    for tuned in study.tuned:
        rates = {run.config.lr for name, run in study.runs.items() if name.startswith(f"batch-{tuned.batch_size}-")}
        assert rates == {tuned.lr}
    assert Study.open(study.path).tuned == study.tuned
    assert small_study(study.path, **options).tuned == study.tuned


def test_a_search_that_is_stopped_is_done_again_and_finds_the_same(tmp_path: Path) -> None:
    options: dict[str, Any] = {"tune_lr": True}
    answers = iter([False] * 3 + [True] * 9)
    stopped = small_study(tmp_path / "s", should_stop=lambda: next(answers), **options)
    assert (stopped.tuned, stopped.runs) == ((), {})
    log = Log()
    finished = small_study(tmp_path / "s", callback=log, **options)
    assert finished.tuned == small_study(tmp_path / "t", **options).tuned
    assert log.names == ["batch-10"]
    with pytest.raises(Stopped):
        tune(TrainConfig(batch_size=10), three_clouds(), Custom(), lambda: True)


def test_what_cannot_be_searched_is_refused() -> None:
    tiny = from_arrays(
        np.eye(5, dtype=np.float32), np.arange(5) % 2, test=(np.eye(5, dtype=np.float32), np.arange(5) % 2)
    )
    with pytest.raises(DataError, match="5 training samples are too few"):
        tune(TrainConfig(batch_size=1), tiny, Custom(), lambda: False)

    def never(outputs: Any, targets: Any) -> Any:
        return jnp.where(targets == 2, jnp.nan, outputs[:, 0])

    with pytest.raises(OptionError, match=r"no learning rate from .* trains batch size 10 to a finite loss"):
        tune(TrainConfig(batch_size=10, epochs=1), three_clouds(), Custom(loss=never), lambda: False)
