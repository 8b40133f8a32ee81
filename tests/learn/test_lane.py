"""A lane goes to any iteration, forth and back, with the bits and the counts of a training that never stopped."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import epochal
from epochal.audit import Audit
from epochal.clock import Plan
from epochal.config.train_config import TrainConfig
from epochal.errors import OptionError
from epochal.learn.kept_points import KeptPoints
from epochal.learn.lane import Lane
from epochal.learn.problem import Problem, Wish
from epochal.learn.world import World
from epochal.run.setup import set_up
from small import three_clouds

SIZES = [(23, 5, "keep"), (23, 5, "drop"), (24, 6, "keep"), (23, 1, "keep"), (23, 23, "keep"), (1, 1, "keep")]


def lane_of(samples: int, batch_size: int, last: str = "keep", epochs: int = 6, **options: object) -> Lane:
    data = three_clouds()
    data = dataclasses.replace(data, train=data.train.take(np.arange(samples)))
    config = TrainConfig(
        model="linear", optimizer="sgd", lr=0.1, batch_size=batch_size, epochs=epochs, last=last, **options
    )  # type: ignore[arg-type]
    setup = set_up(config, data)
    return Lane(setup, setup.run_file(setup.engine.count_parameters()))


@pytest.mark.parametrize(("samples", "batch_size", "last"), SIZES)
def test_counters_are_the_plans_and_the_audit_is_the_engines(samples: int, batch_size: int, last: str) -> None:
    lane = lane_of(samples, batch_size, last)
    plan = Plan(samples, batch_size, epochs=6, last=last)
    order = lane.setup.engine.order
    for to in range(1, min(plan.iterations, 30) + 1):
        lane.go(to)
        assert lane.position == plan.position(iteration=to)
        assert lane.point.sums.audit == lane.audit_due()
        used = order.indices(lane.position.epoch, 0, lane.position.offset)
        assert lane.point.sums.audit == Audit.of_indices(used)

        # a sample too few is seen
        if len(used):
            assert lane.point.sums.audit != Audit.of_indices(used[1:])
    for row in lane.epochs:
        assert row.is_exact
        assert (row.samples, row.iterations) == (plan.samples_per_epoch, plan.batches_per_epoch)


@pytest.mark.parametrize(("samples", "batch_size", "last"), SIZES)
def test_forth_and_back_have_the_bits_of_straight_on(samples: int, batch_size: int, last: str) -> None:
    straight, wandering = lane_of(samples, batch_size, last), lane_of(samples, batch_size, last)
    end = min(straight.limit, 40)
    shas = [straight.weights_sha256]
    losses = []
    for to in range(1, end + 1):
        straight.go(to)
        shas.append(straight.weights_sha256)
        losses.append(straight.losses[-1])

    random = np.random.default_rng(0)
    for to in [end, 0, end - 1, *random.integers(0, end + 1, 25).tolist(), end]:
        wandering.go(to)
        assert wandering.position.iteration == to
        assert wandering.weights_sha256 == shas[to]
        assert wandering.losses.tolist() == losses[:to]
        assert len(wandering.epochs) == wandering.position.epoch
        assert (wandering.state_before is None) == (to == 0)
    assert len(set(shas)) > 1


def test_what_is_no_longer_kept_is_computed_again() -> None:
    lane, straight = lane_of(23, 1), lane_of(23, 1)
    lane.kept.most_bytes = 20 * 15 * 4  # 20 states of 15 numbers
    straight.go(5)
    for to in range(1, 120):
        lane.go(to)
    assert len(lane.kept) <= 21
    lane.go(5)
    assert lane.weights_sha256 == straight.weights_sha256


def test_another_state_is_seen() -> None:
    """The negative control: one iteration more has other bits."""
    lane = lane_of(23, 5)
    lane.go(3)
    third = lane.weights_sha256
    lane.go(4)
    assert lane.weights_sha256 != third


@pytest.mark.parametrize(("batch_size", "epochs"), [(10, 3), (1, 1), (60, 4), (7, 2)])
def test_it_is_the_training_of_the_product(batch_size: int, epochs: int) -> None:
    data = three_clouds()
    run = epochal.train(
        data, model="mlp", optimizer="sgd", lr=0.1, batch_size=batch_size, epochs=epochs, seed=5, run=False
    )
    world = World.start(Problem.take(data, None), Wish(problem="clouds", batch_size=batch_size, lr=0.1, seed=5))
    lane = world.main
    for to in range(0, epochs * lane.plan.batches_per_epoch + 1, 3):
        lane.go(to)
    lane.go(epochs * lane.plan.batches_per_epoch)
    assert lane.weights_sha256 == run.weights_sha256
    assert lane.losses.tolist() == run.record.history.losses.tolist()
    assert [row.train_loss for row in lane.epochs] == [row.train_loss for row in run.record.history.epochs]


@pytest.mark.parametrize("to", [-1, 10_000])
def test_a_place_that_is_none(to: int) -> None:
    lane = lane_of(23, 5)
    with pytest.raises(OptionError, match=r"iteration must be 0 to 30, got"):
        lane.go(to)
    assert lane.position.iteration == 0


def test_a_failing_iteration_leaves_the_lane_where_a_point_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    lane, straight = lane_of(23, 5), lane_of(23, 5)
    lane.go(3)
    with monkeypatch.context() as patched:
        patched.setattr(type(lane.setup.engine), "run", lambda *args, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            lane.go(5)
    assert lane.position.iteration == 3
    lane.go(5)
    straight.go(5)
    assert lane.weights_sha256 == straight.weights_sha256


def test_kept_points_are_within_their_limit_and_hold_the_first() -> None:
    lane = lane_of(23, 1)
    kept = KeptPoints(most_bytes=64 * 15 * 4)
    for to in range(100):
        lane.go(to)
        kept.keep(lane.point)
        assert kept.nbytes <= kept.most_bytes
    assert 0 in kept
    assert 99 in kept
    assert 98 in kept
    assert kept.nearest(97) <= 97
