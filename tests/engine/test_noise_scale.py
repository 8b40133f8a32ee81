"""Halves beside the update: what they measure, by hand, and that the update has the same bits with and without."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
from workbench import drive, engine_for, labelled, linear, noisy, numbered, output_itself

from epochal.clock import Plan, Position
from epochal.config.train_config import TrainConfig
from epochal.data import Dataset, load_data
from epochal.data.splitting import with_balanced_classes
from epochal.engine import CAPACITY, ChunkResult, Engine, chunk, measure_large_gradient, measure_noise, named_leaves
from epochal.engine.noise_scale import exact_noise_scale
from epochal.record.checkpoint_file import weights_sha256
from epochal.run.setup import set_up

DATA = labelled(n=160)


def by_hand(state: Any, data: Dataset, indices: np.ndarray) -> np.ndarray:
    """Each sample's gradient of the linear workbench model."""
    scaled = (np.float64(data.train.x[indices]) - data.preprocessing.shift) * data.preprocessing.scale
    matrix, bias = (np.asarray(state.params[name], np.float64) for name in ("matrix", "bias"))
    error = np.asarray(jax.nn.softmax(scaled @ matrix + bias)) - np.eye(3)[data.train.y[indices]]
    if data.train.weight is not None:
        error = error * data.train.weight[indices, None]
    return np.concatenate([error, (scaled[:, :, None] * error[:, None, :]).reshape(len(indices), -1)], axis=1)


def sums_by_hand(gradients: np.ndarray, parts: int = 1) -> tuple[float, float]:
    """The sums of two halves, each of a half of every shard."""
    size = len(gradients) // parts // 2
    shards = gradients.reshape(parts, -1, gradients.shape[1])
    first, second = (shards[:, half * size : (half + 1) * size].mean((0, 1)) for half in range(2))
    mean = (first + second) / 2
    return float((first - second) @ (first - second)), float(mean @ mean)


@pytest.mark.parametrize(
    ("batch", "options", "parts"),
    [(9, {}, 1), (128, {"shards": 4}, 4), (30, {"micro_batch": 4}, 1), (2, {}, 1)],
    ids=["odd", "shards", "micro-batches", "two"],
)
def test_sums_are_those_of_gradients_computed_by_hand(batch: int, options: dict[str, int], parts: int) -> None:
    data = with_balanced_classes(DATA) if options else DATA
    engine = engine_for(linear(), data, noise_every=2, **options)
    state = engine.initial_state()
    copy = jax.tree.map(np.array, state)
    _, done = engine.run(state, Position(), batch, 1)
    assert done.noise is not None
    assert (done.noise.first, done.noise.every, done.noise.samples) == (0, 2, batch // 2 * 2)
    expected = sums_by_hand(by_hand(copy, data, engine.order.indices(0, 0, batch)), parts)
    assert done.noise.sums[0].tolist() == pytest.approx(expected, rel=1e-4)


def test_a_half_compared_with_itself_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: where half 2 is half 1, nothing is left of S, and the test above would fail."""
    monkeypatch.setattr(chunk, "half_gradients", lambda *args: (chunk_halves(*args)[0],) * 2)
    engine = engine_for(linear(), DATA, noise_every=3, optimizer=None)
    _, done = engine.run(engine.initial_state(), Position(), 10, 7)
    assert done.noise is not None
    assert done.noise.traces.tolist() == [0, 0, 0]


chunk_halves = chunk.half_gradients


KINDS: dict[str, tuple[Any, int]] = {
    "ragged": (lambda **more: engine_for(linear(), DATA, **more), 7),
    "shards": (lambda **more: engine_for(linear(), DATA, shards=2, **more), 64),
    "micro-batches": (lambda **more: engine_for(linear(), DATA, micro_batch=7, **more), 30),
    "noise of its own": (lambda **more: engine_for(noisy(), numbered(160), loss=output_itself, **more), 7),
}


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_losses_have_the_same_bits_with_and_without(kind: str) -> None:
    build, batch = KINDS[kind]
    plan = Plan(160, batch, epochs=3)
    plain, measuring = build(noise_every=None), build(noise_every=5)
    state, losses, audit = drive(plain, plan)
    for longest in (1, 3, 20, CAPACITY):
        other, other_losses, other_audit = drive(measuring, plan, longest=longest)
        assert weights_sha256(named_leaves(state)) == weights_sha256(named_leaves(other))
        assert (losses.tobytes(), audit) == (other_losses.tobytes(), other_audit)


@pytest.mark.parametrize(("batch", "left_out"), [(13, set()), (53, {3})], ids=["ragged", "a last batch of one"])
def test_which_iterations_are_measured_does_not_depend_on_chunks(batch: int, left_out: set[int]) -> None:
    """160 samples in batches of 13: an epoch's last batch has four; of 53, the last has one, and is left out."""
    engine = engine_for(linear(), DATA, noise_every=3)
    whole = measured(engine, batch, CAPACITY)
    assert [at for at, *_ in whole] == [at for at in range(0, Plan(160, batch, epochs=3).iterations, 3)
                                       if at not in left_out]  # fmt: skip
    for longest in (1, 2, 7):
        assert measured(engine, batch, longest) == whole


def measured(engine: Engine, batch: int, longest: int) -> list[tuple[Any, ...]]:
    """What three epochs measure, by iteration."""
    found: list[tuple[Any, ...]] = []

    def note(position: Position, size: int, done: ChunkResult) -> None:
        if done.noise is not None:
            found.extend(zip(done.noise.iterations, *done.noise.sums.T, strict=True))

    drive(engine, Plan(160, batch, epochs=3), longest=longest, each=note)
    return found


def test_nothing_is_measured_of_single_samples_or_where_nobody_asks() -> None:
    for engine, batch in ((engine_for(linear(), DATA, noise_every=2), 1), (engine_for(linear(), DATA), 10)):
        _, done = engine.run(engine.initial_state(), Position(), batch, 5)
        assert done.noise is None


def test_targets_of_a_regression_are_seen_as_training_sees_them() -> None:
    setup = set_up(TrainConfig(data="digits", model="linear", batch_size=20), numbers())
    engine = dataclasses.replace(setup.engine, noise_every=1)
    state = engine.initial_state()
    scale = exact_noise_scale(engine, state, engine.data.train)
    _, done = engine.run(state, Position(), 20, 10)
    assert done.noise is not None
    trace = scale.small_square - scale.large_square
    assert done.noise.traces[0] < 10 * trace, "and not in the targets' own units, where it is a million times that"


def numbers() -> Dataset:
    random = np.random.default_rng(0)
    x = random.normal(size=(220, 5)).astype(np.float32)
    y = (1_000 * x.sum(1) + random.normal(0, 300, 220)).astype(np.float32)
    return load_data((x[:200], y[:200]), test=(x[200:], y[200:]), task="regression")


# --- at one state -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> Engine:
    return set_up(TrainConfig(model="linear", batch_size=10, lr=0.1), load_data("digits")).engine


def test_the_exact_scale_is_that_of_single_gradients() -> None:
    engine = engine_for(linear(), DATA)
    state = engine.initial_state()
    each = by_hand(state, DATA, np.arange(160))
    scale = exact_noise_scale(engine, state, DATA.train)
    assert scale.small_square == pytest.approx(np.square(each).sum(1).mean(), rel=1e-4)
    assert scale.large_square == pytest.approx(np.square(each.mean(0)).sum(), rel=1e-4)
    trace = each.var(0, ddof=1).sum()
    assert scale.value == pytest.approx(trace / (np.square(each.mean(0)).sum() - trace / 160), rel=1e-3)


def test_the_large_gradient_is_that_of_the_whole_training_set_where_it_is_small(digits: Engine) -> None:
    state = digits.initial_state()
    exact = exact_noise_scale(digits, state, digits.data.train)
    whole = measure_large_gradient(digits, state, Position(7, 1, 0))
    assert (whole.iteration, whole.samples, whole.error) == (7, 1437, 0.0)
    assert whole.square == pytest.approx(exact.large_square, rel=1e-4)


def test_a_part_of_a_large_training_set_tells_it_once_corrected(digits: Engine) -> None:
    state = digits.initial_state()
    exact = exact_noise_scale(digits, state, digits.data.train)
    trace = (exact.small_square - exact.large_square) * 1437 / 1436
    parts = [measure_large_gradient(digits, state, Position(epoch=epoch), most=103) for epoch in range(12)]
    assert {one.samples for one in parts} == {100}
    corrected = np.array([one.square - trace * (1 / 100 - 1 / 1437) for one in parts])
    spread = corrected.std(ddof=1)
    assert corrected.mean() == pytest.approx(exact.large_square, abs=3 * spread / np.sqrt(12))
    assert np.mean([one.error for one in parts]) == pytest.approx(spread, rel=0.6)


def test_an_adaptive_batch_and_a_large_gradient_see_the_same(digits: Engine) -> None:
    state = digits.initial_state()
    pair = measure_noise(digits, state, Position(), small=20, slices=5)
    large = measure_large_gradient(digits, state, Position(), most=100)
    assert pair.large_square == pytest.approx(large.square, rel=1e-4)
