"""The first state of a built-in model comes from one program, with the bits of its operations one by one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epochal.config.train_config import TrainConfig
from epochal.data import Dataset, from_arrays
from epochal.engine import Engine, named_leaves
from epochal.engine.beginning import one_by_one
from epochal.engine.compile import Programs
from epochal.run.setup import set_up


def images() -> Dataset:
    rng = np.random.default_rng(0)
    return from_arrays(rng.normal(size=(20, 8, 8)).astype(np.float32), np.arange(20) % 3, test=0.2, name="images")


def engine_of(model: str, optimizer: str = "momentum", seed: int = 2**40 + 7, **options: Any) -> Engine:
    config = TrainConfig(model=model, optimizer=optimizer, seed=seed, iterations=1, **options)
    return set_up(config, images()).engine


def same_bits(one: Any, other: Any) -> bool:
    first, second = named_leaves(one), named_leaves(other)
    return first.keys() == second.keys() and all(first[name].tobytes() == second[name].tobytes() for name in first)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("model", ["mlp:37-12", *(pytest.param(one, marks=SLOW) for one in ("linear", "cnn", "rnn"))])
def test_it_has_the_bits_of_operations_one_by_one(model: str) -> None:
    engine = engine_of(model)
    assert same_bits(engine.begin(), engine.initial_state())


@pytest.mark.parametrize("optimizer", ["adam", "adafactor"])
def test_an_optimizers_state_is_the_same(optimizer: str) -> None:
    engine = engine_of("mlp", optimizer)
    begun, one_by_one = engine.begin(), engine.initial_state()
    assert jax.tree.structure(begun) == jax.tree.structure(one_by_one)
    assert same_bits(begun, one_by_one)


def test_it_is_one_program_for_every_seed() -> None:
    programs = Programs()
    for seed in (0, 1, 2**63):
        engine = engine_of("mlp:9", seed=seed)
        engine.programs = programs
        engine.begin()
    assert programs.compilations == 1


def test_its_arrays_are_its_own() -> None:
    leaves = jax.tree.leaves(engine_of("mlp").begin())
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


def test_without_barriers_the_bits_would_be_others() -> None:
    """The control: the compiler multiplies the two factors first."""

    def scaled(x: jax.Array) -> jax.Array:
        return jax.jit(lambda x: x * jnp.float32(1.4142135))(x) * 0.9876543

    x = np.linspace(0.1, 3, 1000, dtype=np.float32)
    apart = jax.jit(one_by_one(scaled))(x)
    assert np.asarray(apart).tobytes() == np.asarray(scaled(x)).tobytes()
    assert np.asarray(jax.jit(scaled)(x)).tobytes() != np.asarray(apart).tobytes()
