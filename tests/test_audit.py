"""The proof that each sample was used exactly once: what it accepts, and that it misses no mistake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workbench import drive, engine_for, linear, numbered

from epochal import audit as audit_module
from epochal.audit import Audit, ExpectedAudit, id_hashes, words_of
from epochal.clock import Plan, Position
from epochal.engine import Engine
from epochal.order import Order

indices = st.lists(st.integers(0, 2**40), min_size=1, max_size=30, unique=True)


def audit_of(values: list[int]) -> Audit:
    return Audit.of_indices(np.array(values, np.uint64))


@given(indices, st.randoms())
def test_neither_order_nor_cuts_matter(values: list[int], random: Any) -> None:
    shuffled = random.sample(values, len(values))
    cut = random.randint(0, len(values))
    parts = [part for part in (shuffled[:cut], shuffled[cut:]) if part]
    total = sum((audit_of(part) for part in parts), start=Audit())
    assert total == audit_of(values)
    assert total - audit_of(parts[-1]) == sum((audit_of(part) for part in parts[:-1]), start=Audit())


@given(indices.filter(lambda values: len(values) > 1), st.integers(0, 2**32 - 1), st.data())
def test_one_sample_left_out_doubled_or_swapped_is_seen(values: list[int], other: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(values) - 1))
    rest = values[:place] + values[place + 1 :]
    right = audit_of(values)
    assert audit_of(rest) != right
    assert audit_of([*values, values[place]]) != right
    doubled = audit_of([*rest, values[0]])  # one left out and another doubled: the same count
    assert doubled.samples == right.samples
    assert doubled.hash != right.hash
    if other not in values:
        assert audit_of([*rest, other]).hash != right.hash


def test_a_sum_of_indices_would_miss_what_the_hash_sees() -> None:
    """The control for the hash: 0 + 3 = 1 + 2."""
    assert sum([0, 3]) == sum([1, 2])
    assert audit_of([0, 3]).hash != audit_of([1, 2]).hash


def test_hashes_of_indices_are_all_different_and_the_same_on_the_device() -> None:
    values = np.concatenate([np.arange(2**16), 2**32 - 1 - np.arange(2**16)]).astype(np.uint32)
    for here, there in zip(id_hashes(values), jax.jit(id_hashes)(values), strict=True):
        assert np.unique(here).size == values.size
        assert here.tolist() == np.asarray(there).tolist()


@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=30, unique=True))
def test_ids_of_64_bits_are_told_apart(values: list[int]) -> None:
    """As former versions took them modulo 2³², sample 5 and sample 2³² + 5 were one: the control."""
    low, high = id_hashes(*words_of(np.array(values, np.uint64)))
    assert len(set(zip(low.tolist(), high.tolist(), strict=True))) == len(values)
    assert audit_of([5]).hash != audit_of([2**32 + 5]).hash
    assert Audit.of_indices(np.array([5, 2**32 + 5]) % 2**32).hash == audit_of([5, 5]).hash


def test_ids_below_32_bits_keep_the_hashes_that_runs_have_recorded() -> None:
    assert audit_of([0, 1, 2, 59_999]).hash == "cc6ed68f7a9d1275"
    assert [one.tolist() for one in id_hashes(np.uint32([7]), np.uint32([0]))] == [
        one.tolist() for one in id_hashes(np.uint32([7]))
    ]


def test_hash_is_written_as_16_digits() -> None:
    assert Audit(3, low=0xAB, high=1).hash == "00000001000000ab"


@pytest.mark.parametrize("block", [1, 10, 1_000])
def test_any_part_of_an_epoch_has_an_expected_audit(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums go over blocks, and over the shorter side of an epoch; neither must show."""
    monkeypatch.setattr(audit_module, "_BLOCK", block)
    order = Order(37, seed=2)
    expected = ExpectedAudit(order)
    for epoch in (0, 1):
        for used in range(38):
            assert expected.after(epoch, used) == Audit.of_indices(order.indices(epoch, 0, used))


def test_engine_reports_the_expected_audit() -> None:
    """Ragged batches, at every place where a chunk of two iterations may end."""
    engine = engine_for(linear(1, 1), numbered(23))
    expected, used = ExpectedAudit(engine.order), Audit()

    def compare(position: Position, batch_size: int, chunked: Any) -> None:
        nonlocal used
        used = chunked.audit if position.offset == 0 else used + chunked.audit
        assert used == expected.after(position.epoch, used.samples)

    drive(engine, Plan(23, 5, epochs=2), longest=2, each=compare)


# --- wrong indices in the compiled loop -----------------------------------------------------------------------------

Tamper = Callable[[jax.Array, jax.Array], jax.Array]
"""(positions, right indices) -> wrong indices"""


def tampered_engine(n: int, tamper: Tamper) -> Engine:
    """An engine whose compiled loop uses wrong indices; the expected audit comes from elsewhere and stays right."""

    class Tampered(Order):
        def compiled_indices(self, keys: Any, positions: jax.Array) -> jax.Array:
            return tamper(positions, Order.compiled_indices(self, keys, positions))

    return engine_for(linear(1, 1), numbered(n), order=Tampered(n))


def swap_for_a_dropped_sample(positions: jax.Array, right: jax.Array) -> jax.Array:
    dropped = Order(13).indices(0, 12, 13)[0]
    return jnp.where(positions == 0, jnp.uint32(dropped), right)


@pytest.mark.parametrize(
    ("tamper", "plan"),
    [
        (lambda positions, right: jnp.where(right == 5, jnp.uint32(6), right), Plan(13, 13)),  # 6 twice, 5 never
        (lambda positions, right: jnp.roll(right, 1) * (positions > 0), Plan(13, 13)),  # the last one lost, 0 twice
        (swap_for_a_dropped_sample, Plan(13, 4, last="drop")),  # each sample at most once, but not the right ones
    ],
    ids=["doubled", "shifted", "swapped"],
)
def test_wrong_samples_in_the_compiled_loop_are_seen(tamper: Tamper, plan: Plan) -> None:
    engine = tampered_engine(13, tamper)
    _, _, audit = drive(engine, plan)
    expected = ExpectedAudit(engine.order).after(0, plan.samples_per_epoch)
    assert audit.samples == expected.samples, "a count alone would not see it"
    assert audit.hash != expected.hash


def test_another_order_of_the_same_samples_is_right() -> None:
    """The audit proves that each sample was used once, not in which order: that is the order's own promise."""
    engine = tampered_engine(13, lambda positions, right: right[::-1])
    _, _, audit = drive(engine, Plan(13, 13))
    assert audit == ExpectedAudit(engine.order).after(0, 13)
