"""The engine: what fits, what is compiled when, and what it refuses."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from workbench import constant, drive, engine_for, labelled, linear, noisy, numbered, output_itself

from epochal.clock import Plan, Position
from epochal.data import Split, from_arrays
from epochal.engine import CAPACITY, Engine, named_leaves
from epochal.engine.compile import Programs
from epochal.engine.feed import put_on_device
from epochal.errors import DataError, EpochalError, ModelError
from epochal.models import Model


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_for(constant(), numbered(20), loss=output_itself)


# --- chunks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [-1, 0, CAPACITY + 1])
def test_chunks_have_one_to_capacity_iterations(engine: Engine, count: int) -> None:
    with pytest.raises(ValueError, match=f"a chunk has 1 to {CAPACITY} iterations, not {count}"):
        engine.run(engine.initial_state(), Position(), 5, count)


@pytest.mark.parametrize(("offset", "count"), [(0, 5), (15, 2), (16, 1)])
def test_chunks_stay_in_their_epoch(engine: Engine, offset: int, count: int) -> None:
    with pytest.raises(ValueError, match="leave the epoch"):
        engine.run(engine.initial_state(), Position(0, 0, offset), 5, count)


def test_one_compilation_serves_every_chunk_of_a_batch_size() -> None:
    programs = Programs()
    engine = engine_for(constant(), numbered(23), loss=output_itself, programs=programs)
    assert engine.prepare(engine.initial_state(), 5) == 5
    before = engine.compile_seconds
    assert before > 0
    drive(engine, Plan(23, 5, epochs=3), longest=2)
    drive(engine, Plan(23, 5, epochs=3))
    assert programs.compilations == 2, "whole batches, and the last one of three samples"
    assert engine.compile_seconds > before


def test_state_goes_in_and_comes_out_whole(engine: Engine) -> None:
    first = engine.initial_state()
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), first)
    state, chunked = engine.run(first, Position(), 5, 2)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == shapes
    assert chunked.losses.dtype == np.float32
    assert chunked.seconds > 0


def test_equal_seeds_start_from_equal_weights_and_others_from_others() -> None:
    def start(seed: int) -> Any:
        return named_leaves(engine_for(linear(), labelled(), seed=seed).initial_state())[".params['matrix']"].tolist()

    assert start(3) == start(3)
    assert start(3) != start(4)
    assert start(3) != start(3 + 2**32), "the seed's upper half counts as well"


# --- micro-batches --------------------------------------------------------------------------------------------------


def centred() -> Model:
    """Subtracts the batch's mean, as batch normalization does, and remembers it: its samples are coupled."""

    def apply(params: Any, state: Any, x: jax.Array, key: Any, training: bool) -> tuple[jax.Array, Any]:
        mean = x.mean(axis=0) if training else state
        return (x - mean) * params, (0.5 * state + 0.5 * mean if training else state)

    return Model("centred", lambda key: (jnp.ones(1), jnp.zeros(1)), apply, uses_batch_statistics=True)


def test_a_model_with_batch_statistics_is_not_split() -> None:
    engine = engine_for(centred(), numbered(10), micro_batch=4)
    with pytest.raises(
        ModelError, match=r"model 'centred' uses batch stat.* batch of 10 .* micro-batches of 4 .* leave micro_b"
    ):
        engine.prepare(engine.initial_state(), 10)


def test_a_model_with_batch_statistics_trains_on_whole_batches_and_keeps_its_state() -> None:
    engine = engine_for(centred(), numbered(10), loss=output_itself)
    state, losses, _ = drive(engine, Plan(10, 10, epochs=3))
    assert losses.tolist() == pytest.approx([0, 0, 0], abs=1e-6), "the mean of centred samples"
    assert np.asarray(state.model_state).tolist() == pytest.approx([4.5 * (1 - 0.5**3)])
    outputs = engine.predict(state, engine.data.train)
    weight = float(np.asarray(state.params)[0])
    assert outputs[:, 0] == pytest.approx((np.arange(10) - 4.5 * (1 - 0.5**3)) * weight), "evaluation uses its state"


def test_a_batch_that_fits_a_coupled_model_may_name_a_larger_micro_batch() -> None:
    engine = engine_for(centred(), numbered(10), micro_batch=64)
    assert engine.prepare(engine.initial_state(), 10) == 10


# --- models that do not fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (linear(5, 3), r"model 'test-linear' does not fit samples of shape \(4,\): "),
        (linear(4, 2), r"returns shape \(2, 2\) for two samples of 'labelled'; \(2, 3\) is needed"),
        (constant(), r"returns shape \(2, 1\) for two samples of 'labelled'; \(2, 3\) is needed"),
    ],
)
def test_models_that_do_not_fit_the_data_are_refused_in_a_line(model: Model, message: str) -> None:
    engine = engine_for(model, labelled())
    with pytest.raises(ModelError, match=message) as caught:
        engine.initial_state()
    assert isinstance(caught.value, EpochalError)
    assert "\n" not in str(caught.value)


def test_a_model_with_noise_trains_and_evaluates_without_a_key() -> None:
    engine = engine_for(noisy(), numbered(10, test=3), loss=output_itself)
    state, losses, _ = drive(engine, Plan(10, 5, epochs=1))
    assert (losses > 0).all()
    assert engine.evaluate(state, engine.data.test).loss == 0


# --- data -----------------------------------------------------------------------------------------------------------


def test_samples_stay_in_their_storage_type_on_the_device() -> None:
    x = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
    data = from_arrays(x, np.arange(6) % 2, test=(x[:2], np.arange(2)))

    def apply(params: Any, state: Any, x: jax.Array, key: Any, training: bool) -> tuple[jax.Array, Any]:
        return jnp.stack([x.sum(axis=(1, 2)), 0 * x[:, 0, 0]], axis=1) * params, state

    engine = engine_for(Model("sums", lambda key: (jnp.float32(1), ()), apply), data)
    outputs = engine.predict(engine.initial_state(), data.train)
    assert outputs[:, 0] == pytest.approx(data.preprocessing(data.train.x).sum(axis=(1, 2)), rel=1e-6)
    assert {samples.x.dtype for samples in engine._residence._held.values()} == {np.dtype(np.uint8)}


def test_more_samples_than_the_device_can_index_are_refused() -> None:
    """Indices beyond 2³¹ would be negative there. The arrays are views of one number and take no memory."""
    x, y = np.broadcast_to(np.uint8(0), (2**31, 1)), np.broadcast_to(np.int32(0), (2**31,))
    with pytest.raises(DataError, match="2,147,483,648 samples are more than the 2,147,483,647 that one device can"):
        put_on_device(Split(x, y), labelled())
