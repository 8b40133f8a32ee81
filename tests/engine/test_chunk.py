"""The compiled chunk: which samples each iteration uses, where its loss is written, and that lengths change no bit."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np
import optax
import pytest
from workbench import batches_of, drive, engine_for, labelled, linear, noisy, number_of_sample, numbered, output_itself

from epochal.clock import Plan, Position
from epochal.engine import CAPACITY, Engine, named_leaves
from epochal.engine.state import TRAINING_NOISE, purpose_key
from epochal.record.checkpoint_file import weights_sha256


@cache
def naming_engine(n: int) -> Engine:
    """An engine whose losses are the mean numbers of the samples that its batches had."""
    return engine_for(linear(1, 1), numbered(n), loss=number_of_sample)


# --- which samples --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "batch_size", "last", "iterations"),
    [
        (23, 1, "keep", 46),
        (23, 5, "keep", 12),  # two epochs of five batches, the last of three samples, and two batches more
        (23, 5, "drop", 12),  # three epochs of four batches
        (23, 23, "keep", 3),
        (1, 1, "keep", 3),
    ],
)
def test_batches_have_the_samples_that_plan_and_order_say(n: int, batch_size: int, last: str, iterations: int) -> None:
    plan = Plan(n, batch_size, iterations=iterations, last=last)
    engine = naming_engine(n)
    _, losses, audit = drive(engine, plan)
    expected = batches_of(plan, engine.order)
    assert losses.tolist() == pytest.approx([float(np.mean(indices)) for indices in expected])
    assert losses.size == plan.iterations
    assert audit.samples == plan.samples_used == sum(map(len, expected))


def test_no_batch_straddles_two_epochs() -> None:
    """The control: the mean of a batch that was filled up from the next epoch would be another."""
    plan, engine = Plan(23, 5, epochs=2), naming_engine(23)
    _, losses, _ = drive(engine, plan)
    rest = engine.order.indices(0, 20, 23)
    filled_up = np.concatenate([rest, engine.order.indices(1, 0, 2)])
    assert losses[4] == pytest.approx(rest.mean())
    assert losses[4] != pytest.approx(filled_up.mean())


def test_samples_that_are_dropped_are_others_in_each_epoch() -> None:
    plan = Plan(23, 5, epochs=6, last="drop")
    used = np.concatenate(batches_of(plan, naming_engine(23).order)).reshape(6, 20)
    left_out = [frozenset(range(23)) - set(epoch.tolist()) for epoch in used]
    assert len(set(left_out)) > 1


# --- where losses are written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 63, 64, 65, 127, 128, 129, CAPACITY - 1, CAPACITY])
def test_each_loss_is_at_its_iterations_place(count: int) -> None:
    """Losses are written in rows of 64; here each is the number of the one sample that its batch had."""
    engine = naming_engine(CAPACITY + 10)
    start = Position(iteration=5, epoch=2, offset=5)
    _, chunked = engine.run(engine.initial_state(), start, 1, count)
    assert chunked.losses.tolist() == engine.order.indices(2, 5, 5 + count).tolist()
    assert chunked.audit.samples == count


# --- the same bits --------------------------------------------------------------------------------------------------


@cache
def dense_engine() -> Engine:
    """An engine whose weights remember the last bit of everything: momentum, and losses of all sizes."""
    return engine_for(linear(), labelled(600), optimizer=optax.adam(0.01))


@cache
def trained(longest: int) -> tuple[str, bytes]:
    """Fingerprints of weights and losses after one epoch of single samples, in chunks of at most so many."""
    state, losses, _ = drive(dense_engine(), Plan(600, 1, iterations=600), longest=longest)
    return weights_sha256(named_leaves(state)), losses.tobytes()


@pytest.mark.parametrize("longest", [1, 7, 300])
def test_chunks_of_any_length_give_the_same_bits(longest: int) -> None:
    assert trained(longest) == trained(600)


def test_a_last_bit_would_be_seen() -> None:
    """The control: one weight moved to the next float changes the fingerprint."""
    state, _, _ = drive(dense_engine(), Plan(600, 1, iterations=600))
    arrays = named_leaves(state)
    assert weights_sha256(arrays) == trained(600)[0]
    nudged = arrays[".params['bias']"].copy()
    nudged[0] = np.nextafter(nudged[0], np.float32(9))
    assert weights_sha256({**arrays, ".params['bias']": nudged}) != trained(600)[0]


def test_other_seeds_and_epochs_have_other_orders() -> None:
    engine = naming_engine(23)
    first, second = engine.order.indices(0, 0, 23), engine.order.indices(1, 0, 23)
    _, losses, _ = drive(engine, Plan(23, 1, epochs=2))
    assert losses.tolist() == [*first.tolist(), *second.tolist()]
    assert first.tolist() != second.tolist()


# --- noise ----------------------------------------------------------------------------------------------------------


@cache
def noisy_engine(seed: int = 0) -> Engine:
    """An engine whose losses are the noise that each iteration had."""
    return engine_for(noisy(), numbered(40), loss=output_itself, seed=seed)


def noise_of(engine: Engine, first: int, count: int) -> list[float]:
    """The noise of so many iterations from ``first``, in one chunk."""
    position = Position(iteration=first, epoch=7, offset=3)
    return engine.run(engine.initial_state(), position, 1, count)[1].losses.tolist()


@pytest.mark.parametrize("first", [0, 5, 2**31 - 3, 2**32 - 3, 2**32, 2**33 + 5, 2**63])
def test_noise_depends_on_the_iteration_alone_not_on_the_chunk(first: int) -> None:
    together = noise_of(noisy_engine(), first, 6)
    assert [noise_of(noisy_engine(), first + i, 1)[0] for i in range(6)] == together
    assert len(set(together)) == 6


@pytest.mark.parametrize("iteration", [0, 1, 2**32 - 1, 2**32, 2**40 + 12345])
def test_noise_is_the_documented_function_of_seed_and_iteration(iteration: int) -> None:
    high, low = divmod(iteration, 2**32)
    key = jax.random.fold_in(jax.random.fold_in(purpose_key(0, TRAINING_NOISE), high), np.uint32(low))
    assert noise_of(noisy_engine(), iteration, 1) == [float(jax.random.uniform(key, (1, 1))[0, 0])]


def test_noise_does_not_repeat_after_2_to_the_32_iterations_nor_for_another_seed() -> None:
    """The controls: a counter of 32 bits, and a key without the seed, would give the same noise again."""
    first = noise_of(noisy_engine(), 5, 6)
    assert not set(first) & set(noise_of(noisy_engine(), 5 + 2**32, 6))
    assert not set(first) & set(noise_of(noisy_engine(2**32), 5, 6))
