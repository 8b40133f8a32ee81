"""Weights as vectors: one fixed order of numbers, there and back; and the weights that a run kept while training."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from epochal.config.train_config import TrainConfig
from epochal.engine import named_leaves
from epochal.errors import RunError
from epochal.landscape.trajectory import WeightSpace, read_trajectory
from epochal.run.setup import Setup, set_up
from epochal.study import Study
from small import small_study, three_clouds


@pytest.fixture
def setup() -> Setup:
    return set_up(TrainConfig(hidden=(5,), batch_size=10), three_clouds())


def test_vectors_hold_the_weights_in_the_models_own_order(setup: Setup) -> None:
    space = WeightSpace.of(setup.engine)
    state = setup.engine.initial_state()
    vector = space.vector(named_leaves(state))
    assert vector.shape == (space.size,) == (setup.engine.count_parameters(),)
    for found, original in zip(jax.tree.leaves(space.params(vector)), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_array_equal(found, original)
    assert jax.tree.structure(space.params(vector)) == jax.tree.structure(state.params)


def test_several_vectors_become_arrays_with_an_axis_in_front(setup: Setup) -> None:
    space = WeightSpace.of(setup.engine)
    vector = space.vector(named_leaves(setup.engine.initial_state()))
    for pair, array in zip(space.arrays(np.stack([vector, -vector])), space.arrays(vector), strict=True):
        np.testing.assert_array_equal(pair, np.stack([array, -array]))


def test_a_trajectory_has_a_point_for_each_time_that_weights_were_kept(setup: Setup, finished: Study) -> None:
    run = finished.runs["batch-7"]
    space = WeightSpace.of(setup.engine)
    way = read_trajectory("seven", run, space)
    assert [point.place.iteration for point in way] == [0, 1, 2, 4, 8, 9, 18, 27, 36]
    assert [point.place.epoch for point in way] == [0, 7 / 60, 14 / 60, 28 / 60, 56 / 60, 1, 2, 3, 4]
    assert {point.place.run for point in way} == {"seven"}
    np.testing.assert_array_equal(way[0].weights, space.vector(named_leaves(setup.engine.initial_state())))
    np.testing.assert_array_equal(way[-1].weights, space.vector(run.record.checkpoint().arrays))


def test_a_run_without_kept_weights_or_of_another_model_has_no_trajectory(finished: Study, tmp_path: Path) -> None:
    other = set_up(TrainConfig(hidden=(6,), batch_size=10), three_clouds())
    with pytest.raises(RunError, match="other weights"):
        read_trajectory("other", finished.runs["batch-all"], WeightSpace.of(other.engine))
    without = small_study(tmp_path / "s", snapshots=False).runs["batch-10"]
    with pytest.raises(RunError, match="kept no weights"):
        read_trajectory("without", without, WeightSpace.of(other.engine))
