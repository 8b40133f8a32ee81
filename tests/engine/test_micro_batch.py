"""Micro-batches that the engine chooses by itself, from the memory that the compiler predicts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from workbench import engine_for

from epochal.clock import Position
from epochal.data import from_arrays
from epochal.engine import Engine, checks
from epochal.engine import micro_batch as micro_batch_module
from epochal.engine.micro_batch import MEBIBYTE, Trial, fast_micro_batch, memory_limit, next_micro_batch
from epochal.errors import ModelError
from epochal.models import Model

N, WIDTH = 2_000, 512


def wide() -> Model:
    """512 intermediate values a sample: 4 MB for a batch of 2,000, a few times over."""

    def init(key: jax.Array) -> tuple[Any, Any]:
        return {"in": 0.1 * jax.random.normal(key, (3, WIDTH)), "out": jnp.full((WIDTH, 1), 0.01)}, ()

    def apply(params: Any, state: Any, x: jax.Array, key: Any, training: bool) -> tuple[jax.Array, Any]:
        return jnp.tanh(x @ params["in"]) @ params["out"], state

    return Model("wide", init, apply)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the engine asks for: (micro-batch, predicted bytes)."""
    tried: list[tuple[int, int]] = []
    program_for = Engine._program

    def record(self: Engine, state: Any, feed: Any, batch_size: int, micro_batch: int, *others: Any) -> Any:
        program = program_for(self, state, feed, batch_size, micro_batch, *others)
        tried.append((micro_batch, program.temporary_bytes))
        return program

    monkeypatch.setattr(Engine, "_program", record)
    return tried


def wide_engine(micro_batch: int | None = None) -> Engine:
    x = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    return engine_for(wide(), from_arrays(x, x.sum(axis=1), test=(x[:5], x[:5].sum(axis=1))), micro_batch=micro_batch)


def test_a_batch_that_fits_is_computed_at_once(compiled: list[tuple[int, int]]) -> None:
    for engine in (wide_engine(), wide_engine()):
        assert engine.prepare(engine.initial_state(), N) == N
    (_, predicted), again = compiled
    assert predicted > N * WIDTH * 4, "the prediction knows of the intermediate values"
    assert again == (N, predicted), "also where the program comes from the cache on disk"


def test_a_batch_that_does_not_fit_is_split_until_it_does(
    compiled: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = wide_engine()
    together, once = whole.run(whole.initial_state(), Position(), N, 1)
    monkeypatch.setattr(micro_batch_module, "memory_limit", lambda: MEBIBYTE)
    engine = wide_engine()
    micro_batch = engine.prepare(engine.initial_state(), N)
    assert 1 < micro_batch < N / 4
    assert (micro_batch, compiled[-1][1]) == compiled[-1]
    assert compiled[-1][1] <= MEBIBYTE
    assert len(compiled) <= 4, "one for the whole batch above, and few trials"
    apart, sliced = engine.run(engine.initial_state(), Position(), N, 1)
    assert sliced.losses.tolist() == pytest.approx(once.losses.tolist(), rel=1e-5)
    assert sliced.audit == once.audit
    for one, other in zip(jax.tree.leaves(together.params), jax.tree.leaves(apart.params), strict=True):
        assert np.asarray(one) == pytest.approx(np.asarray(other), abs=1e-6)


def test_a_chosen_micro_batch_is_kept_whatever_the_limit(
    compiled: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro_batch_module, "memory_limit", lambda: 1)
    engine = wide_engine(micro_batch=1_000)
    assert engine.prepare(engine.initial_state(), N) == 1_000
    assert len(compiled) == 1


def test_a_limit_that_nothing_fits_costs_few_trials(
    compiled: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights and gradients alone may be above the limit; then smaller and smaller slices would only be slower."""
    monkeypatch.setattr(micro_batch_module, "memory_limit", lambda: 1_000)
    engine = wide_engine()
    assert engine.prepare(engine.initial_state(), N) >= 1
    assert len(compiled) <= 4


def test_limit_is_a_gibibyte_or_a_quarter_of_a_smaller_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < memory_limit() <= 1024 * MEBIBYTE
    for memory, limit in ((None, 1024), (64_000, 1024), (4_096, 1024), (1_000, 250)):
        monkeypatch.setattr(micro_batch_module, "device_memory", lambda m=memory: None if m is None else m * MEBIBYTE)
        assert memory_limit() == limit * MEBIBYTE


def test_a_model_that_no_memory_holds_is_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wide_engine().count_parameters() == 3 * WIDTH + WIDTH
    monkeypatch.setattr(checks, "device_memory", lambda: 8_000)
    with pytest.raises(ModelError, match=r"'wide' has 2,048 parameters and needs 0 GB .* more than the 0 GB there are"):
        wide_engine().count_parameters()


def trials_until_settled(first: int, fixed: int, each: int, limit: int) -> list[Trial]:
    """What the engine would try, if the compiler predicted ``fixed`` bytes and ``each`` more for a sample."""
    trials = [Trial(first, fixed + each * first)]
    while (smaller := next_micro_batch(trials, limit)) is not None:
        trials.append(Trial(smaller, fixed + each * smaller))
    return trials


@given(st.integers(1, 10**8), st.integers(0, 10**11), st.integers(1, 10**7), st.integers(1, 10**11))
@example(60_000, 11 * 10**8, 10**5, 10**9)  # the gradient alone is above the limit: 80 trials if one only shrinks
def test_few_trials_settle_on_slices_that_fit(first: int, fixed: int, each: int, limit: int) -> None:
    trials = trials_until_settled(first, fixed, each, limit)
    assert len(trials) <= 4
    assert all(1 <= later.micro_batch < earlier.micro_batch for earlier, later in pairwise(trials))
    last = trials[-1]
    assert last.micro_batch == 1 or last.predicted <= max(limit, 2 * fixed)
    assert last.micro_batch in (first, *range(1, 8)) or last.micro_batch % 8 == 0


def test_slices_stay_large_where_the_weights_alone_need_the_memory() -> None:
    trials = trials_until_settled(first=60_000, fixed=11 * 10**8, each=10**5, limit=10**9)
    assert trials[-1].micro_batch > 5_000


def test_a_prediction_that_does_not_shrink_ends_the_search() -> None:
    assert next_micro_batch([Trial(100, 10_000), Trial(40, 10_000)], limit=5_000) is None
    assert next_micro_batch([Trial(100, 10_000), Trial(40, 12_000)], limit=5_000) is None


@given(st.integers(1, 10**7), st.integers(1, 10**6))
@example(60_000, 784)
def test_slices_that_stay_in_the_cache_are_of_one_size_where_that_is_possible(batch_size: int, values: int) -> None:
    """Slices of 4 MiB of input, unless that would be fewer than 64 samples; a batch of up to two such is not split."""
    most = max(64, MEBIBYTE // values)
    size = fast_micro_batch(batch_size, values)
    assert size == batch_size if batch_size <= 2 * most else most // 2 < size <= most
    assert batch_size % size == 0 or not any(batch_size % n == 0 for n in range(most // 2 + 1, most + 1))
