"""Lanes: trainings side by side have the bits that each has alone, from one compiled program."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epochal.clock import Position
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset, load_data
from epochal.engine import lanes as lanes_module
from epochal.engine import named_leaves
from epochal.engine.chunk import build_chunk, chunk_arguments
from epochal.engine.feed import put_on_device
from epochal.engine.lanes import Lanes, lanes_for
from epochal.engine.step import StepConfig
from epochal.record.checkpoint_file import weights_sha256
from epochal.run.api import train_in_memory
from epochal.run.custom import Custom
from epochal.run.setup import Setup, set_up

SEEDS = (0, 1, 2**40)
TRAININGS: dict[str, dict[str, Any]] = {
    "mlp B=1": {"model": "mlp", "hidden": (16,), "batch_size": 1, "iterations": 300},
    "mlp B=10, dropout": {"model": "mlp", "hidden": (16,), "batch_size": 10, "dropout": 0.3, "iterations": 60},
    "mlp B=100, adam, schedule, ragged": {
        "model": "mlp", "hidden": (16,), "batch_size": 100, "optimizer": "adam", "schedule": "cosine", "epochs": 2,
    },
    "cnn B=100": {"model": "cnn", "batch_size": 100, "iterations": 2},
    "rnn B=100, shards": {"model": "rnn", "hidden": (16,), "batch_size": 100, "shards": 2, "iterations": 10},
}  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits")


def setup_of(options: dict[str, Any], data: Dataset, seed: int, at_once: int = 1) -> Setup:
    config = TrainConfig(data="digits", seed=seed, evaluate_every=10**6, **options)
    return set_up(config, data, Custom(at_once=at_once))


def trained(options: dict[str, Any], data: Dataset, seed: int, at_once: int = 1) -> str:
    return train_in_memory(setup_of(options, data, seed, at_once)).weights_sha256


def side_by_side(options: dict[str, Any], data: Dataset, at_once: int, seeds: Sequence[int] = SEEDS) -> list[str]:
    return Lanes(at_once).run([partial(trained, options, data, seed, at_once) for seed in seeds])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if "cnn" in name else name for name in TRAININGS]
)
def test_each_lane_has_the_bits_of_the_training_alone(name: str, digits: Dataset) -> None:
    alone = [trained(TRAININGS[name], digits, seed) for seed in SEEDS]
    assert side_by_side(TRAININGS[name], digits, 2) == alone
    assert len(set(alone)) == len(SEEDS), "the control: lanes that exchanged their seeds would be found out"


def test_more_lanes_than_processors_change_nothing(digits: Dataset) -> None:
    options, seeds = TRAININGS["mlp B=10, dropout"], range(6)
    assert side_by_side(options, digits, 6, seeds) == [trained(options, digits, seed) for seed in seeds]


def test_one_device_computes_all_shards_of_a_lane(digits: Dataset) -> None:
    options = TRAININGS["rnn B=100, shards"]
    alone, lane = (setup_of(options, digits, 0, at_once).engine.cut(100) for at_once in (1, 2))
    assert (lane.count, len(lane.devices)) == (2, 1)
    assert len(alone.devices) == min(2, len(jax.local_devices()))


def test_one_program_over_all_trainings_has_other_bits(digits: Dataset) -> None:
    """The negative control, and the reason for lanes: `vmap` over the very same chunk."""
    setups = [setup_of({"model": "mlp", "batch_size": 10, "iterations": 50}, digits, seed) for seed in range(8)]
    engine = setups[0].engine
    shards, feed = engine.cut(10), put_on_device(digits.train.whole(), engine.data)
    order = dataclasses.replace(engine.order, seed=0)
    chunk = build_chunk(StepConfig(engine.model, engine.task.training_losses, engine.optimizer, order, 10, 10, shards))
    key = np.zeros(2, np.uint32)
    arguments = chunk_arguments(engine.order.keys(0), Position(), 50, 0.1, key, shards)

    def states() -> list[Any]:
        return [setup.engine.initial_state() for setup in setups]

    single = jax.jit(chunk)
    alone = [weights_sha256(named_leaves(single(state, feed, arguments)[0])) for state in states()]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states())
    together, _ = jax.jit(jax.vmap(chunk, in_axes=(0, None, None)))(stacked, feed, arguments)
    ones = [jax.tree.map(lambda leaf, lane=lane: leaf[lane], together) for lane in range(8)]
    assert [weights_sha256(named_leaves(one)) for one in ones] != alone


def test_lanes_compile_a_chunk_once(digits: Dataset) -> None:
    names: list[str] = []

    def listen(event: str, seconds: float, **about: Any) -> None:
        if event.endswith("backend_compile_duration"):
            names.append(str(about.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    options = {"model": "mlp", "hidden": (23,), "batch_size": 40, "iterations": 20}
    side_by_side(options, digits, 3, range(6))
    assert sum("chunk" in name for name in names) == 1, names
    names.clear()
    side_by_side(options, digits, 3, range(6, 9))
    assert names == [], "nor does anything else compile for other seeds"


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_tasks_run_at_once_and_their_results_keep_the_order() -> None:
    both = threading.Barrier(2)

    def task(number: int) -> int:
        both.wait(30)
        return number

    assert Lanes(2).run([partial(task, number) for number in range(6)]) == list(range(6))
    with pytest.raises(threading.BrokenBarrierError):  # the control: one lane waits for another in vain
        Lanes(1).run([partial(both.wait, 0.01), partial(both.wait, 0.01)])


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_error_ends_the_others_and_is_raised(at_once: int) -> None:
    lanes = Lanes(at_once)
    begun: list[int] = []

    def task(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise ZeroDivisionError
        while at_once == 2 and not lanes.is_stopping:  # as a training that asks between its chunks
            pass

    with pytest.raises(ZeroDivisionError):
        lanes.run([partial(task, number) for number in range(9)])
    assert sorted(begun) == [0, 1]


@pytest.mark.parametrize("at_once", [1, 3])
def test_nothing_begins_after_a_stop(at_once: int) -> None:
    stop = threading.Event()

    def task(number: int) -> int:
        stop.set()
        return number

    done = Lanes(at_once, stop.is_set).run([partial(task, number) for number in range(20)])
    assert done == list(range(len(done)))
    assert 1 <= len(done) <= at_once


def test_an_interrupt_of_who_waits_ends_the_lanes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes, ended = Lanes(2), threading.Event()
    join, calls = lanes_module._join, []

    def interrupted(threads: Sequence[threading.Thread]) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        join(threads)

    def task() -> None:
        while not lanes.is_stopping:
            pass
        ended.set()

    monkeypatch.setattr(lanes_module, "_join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lanes.run([task, task])
    assert ended.is_set()


# --- how many ---------------------------------------------------------------------------------------------------------


def test_as_many_lanes_as_trainings_and_processors(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "available_cores", lambda: 4)
    assert [lanes_for(None, trainings, digits, 100) for trainings in (1, 3, 9)] == [1, 3, 4]
    assert [lanes_for(wanted, 9, digits, 100) for wanted in (1, 6, 12)] == [1, 6, 9]
    monkeypatch.setattr(lanes_module, "available_cores", lambda: 64)
    assert lanes_for(None, 50, digits, 100) == 8


def test_as_many_lanes_as_half_of_the_memory_holds(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "device_memory", lambda: 8 << 20)
    assert lanes_for(6, 6, digits, 1000) == 6
    assert lanes_for(6, 6, digits, 50_000) == 2, "1.6 MB of states and 0.1 MB of samples each"
    assert lanes_for(6, 6, digits, 10**9) == 1


def test_a_setting_that_other_threads_do_not_see_trains_in_turn(digits: Dataset) -> None:
    with jax.default_matmul_precision("highest"):
        assert lanes_for(2, 4, digits, 100) == 1
    assert lanes_for(2, 4, digits, 100) == 2
