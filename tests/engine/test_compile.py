"""Compiled programs are shared by trainings of equal shape: other rates, seeds and data compile nothing."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from workbench import drive, engine_for, labelled

from epochal.clock import Plan
from epochal.config.train_config import TrainConfig
from epochal.engine import Engine, build_optimizer, named_leaves
from epochal.engine.compile import PROGRAMS, Program, Programs
from epochal.engine.metrics import Mean
from epochal.models import build_model
from epochal.record.checkpoint_file import weights_sha256
from epochal.run.setup import set_up

PLAN = Plan(60, 7, epochs=2)


@pytest.fixture(scope="module")
def compiled() -> list[str]:
    """What JAX itself says that it compiles, from here on: also what no engine asks for."""
    names: list[str] = []

    def listen(event: str, seconds: float, **about: Any) -> None:
        if event.endswith("backend_compile_duration"):
            names.append(str(about.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    return names


def trained(engine: Engine) -> str:
    """Train over whole and ragged batches, evaluate, predict; return the weights' fingerprint."""
    state, _, _ = drive(engine, PLAN)
    engine.evaluate(state, engine.data.test)
    engine.predict(state, engine.data.test)
    return weights_sha256(named_leaves(state))


def engine_of(seed: int = 0, data_seed: int = 0, **options: Any) -> Engine:
    """What `set_up` makes of a configuration: a model with noise, an optimizer with a schedule and momentum."""
    config = {"hidden": (5,), "dropout": 0.2, "optimizer": "nesterov", "schedule": "cosine", "batch_size": 7}
    return set_up(TrainConfig(**{**config, "epochs": 2, "seed": seed, **options}), labelled(60, seed=data_seed)).engine


def test_another_rate_seed_and_data_set_of_equal_shape_compile_nothing(compiled: list[str]) -> None:
    first = trained(engine_of(hidden=(9,)))
    assert compiled, "the control: the first one compiles"
    before = PROGRAMS.compilations
    compiled.clear()
    again = trained(engine_of(hidden=(9,)))
    others = [
        trained(engine_of(hidden=(9,), **options))
        for options in ({"lr": 0.3}, {"seed": 9}, {"seed": 2**40}, {"data_seed": 5})
    ]
    assert (PROGRAMS.compilations, compiled) == (before, [])
    assert again == first, "what is shared has no memory"
    assert len({first, *others}) == 5, "each of them counts all the same"


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": (6,)},
        {"dropout": 0.3},
        {"optimizer": "momentum"},
        {"momentum": 0.8},
        {"schedule": "linear"},
        {"warmup": "3it"},
        {"epochs": 3},
        {"batch_size": 6},
        {"micro_batch": 2},
        {"loss": "mean-squared-error"},
    ],
    ids=str,
)
def test_whatever_else_differs_is_compiled(options: dict[str, Any]) -> None:
    """The control: a cache that did not look at one of these would train something else."""
    engine_of().prepare(engine_of().initial_state(), 7)
    before, engine = PROGRAMS.compilations, engine_of(**options)
    engine.prepare(engine.initial_state(), options.get("batch_size", 7))
    assert PROGRAMS.compilations == before + 1


def test_a_rate_that_is_changed_between_chunks_counts_from_there_on() -> None:
    def weights(*rates: float) -> Any:
        engine = engine_for(build_model("linear", (4,), 3), labelled(60), optimizer=build_optimizer("sgd"))
        state, plan = None, None
        for epoch, rate in enumerate(rates):
            engine.rate = rate
            start = None if plan is None else plan.position(iteration=plan.iterations)
            plan = Plan(60, 10, epochs=epoch + 1)
            state, _, _ = drive(engine, plan, state=state, position=start)
        return named_leaves(state)[".params['weights']"]

    assert not np.array_equal(weights(0.1, 0.1), weights(0.1, 0.2))
    np.testing.assert_array_equal(weights(0.1, 0.2), weights(0.1, 0.2))


def test_equal_arguments_build_one_model_and_others_another() -> None:
    model = build_model("mlp", (4,), 3, hidden=(5,))
    assert build_model("mlp", (4,), 3, hidden=(5,), dropout=0.0) is model
    assert build_model("mlp", (2, 2), 3, hidden=(5,)) is not model
    assert build_model("mlp", (4,), 3, hidden=(5,), dropout=0.5) is not model
    assert dataclasses.replace(model) != model, "a model equals itself alone"


class Unhashable(Mean):
    """A metric of the user's that Python cannot hash."""

    __hash__ = None  # type: ignore[assignment]


def test_ones_own_loss_and_metric_are_shared_as_long_as_they_are_the_same_objects() -> None:
    def loss(outputs: Any, targets: Any) -> Any:
        return jnp.square(outputs[:, 0] - targets)

    def compilations(*given: Any) -> int:
        programs = Programs()
        for loss, metric in given:
            trained(engine_for(build_model("linear", (4,), 3), data, loss=loss, metrics=[metric], programs=programs))
        return programs.compilations

    data = labelled(60)
    one, other = (Unhashable("mine", lambda outputs, targets: outputs[:, 0]) for _ in range(2))
    once = compilations((loss, one))
    assert compilations((loss, one), (loss, one)) == once
    assert compilations((loss, one), (loss, other)) == once + 1, "another metric: another evaluation"
    assert compilations((loss, one), (lambda *pair: loss(*pair), one)) == 2 * once - 1, "all but the prediction"


def test_the_program_used_longest_ago_is_dropped() -> None:
    programs = Programs(most=2)

    def get(number: int) -> float:
        return float(programs.get(number, lambda: lambda x: x + number, jnp.float32(1)).run(jnp.float32(1)))

    assert [get(1), get(2), get(1), get(3)] == [2, 3, 2, 4]
    assert programs.compilations == 3
    assert get(1) == 2
    assert programs.compilations == 3, "1 was used after 2, so 2 was dropped"
    assert get(2) == 3
    assert programs.compilations == 4


def test_shapes_and_types_of_arguments_count() -> None:
    programs = Programs()
    for argument in (jnp.ones(2), jnp.zeros(2), jnp.ones(3), jnp.ones(2, jnp.int32)):
        programs.get("double", lambda: lambda x: 2 * x, argument)
    assert programs.compilations == 3


def test_threads_compile_a_program_once() -> None:
    programs = Programs()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: programs.get("f", lambda: lambda x: jnp.sin(x) * 2, jnp.ones(3)), range(16)))
    assert programs.compilations == 1
    assert len({id(program) for program in results}) == 1


def test_who_needs_another_program_does_not_wait_for_one_that_is_compiled() -> None:
    programs, x = Programs(), jnp.ones(3)
    begun, let = threading.Event(), threading.Event()

    def slow(values: jax.Array) -> jax.Array:
        begun.set()
        assert let.wait(30)
        return values + 1

    got: list[Program] = []
    askers = [threading.Thread(target=lambda: got.append(programs.get("slow", lambda: slow, x))) for _ in range(2)]
    for asker in askers:
        asker.start()
    assert begun.wait(30)
    assert programs.get("quick", lambda: jnp.negative, x).run(x).tolist() == [-1, -1, -1]
    assert got == []

    # and one that two need is compiled once
    let.set()
    for asker in askers:
        asker.join(30)
    assert got[0] is got[1]
    assert programs.compilations == 2


def test_a_program_that_cannot_be_compiled_is_tried_again() -> None:
    programs, x = Programs(), jnp.ones(3)
    with pytest.raises(ZeroDivisionError):
        programs.get("one", lambda: lambda values: values / (1 // 0), x)
    assert programs.get("one", lambda: jnp.negative, x).run(x).tolist() == [-1, -1, -1]
