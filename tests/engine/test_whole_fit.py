"""The compiled whole fit: each sample once an epoch, one program for many N, and what the train step computes."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epochal import Order, train
from epochal.audit import Audit, ExpectedAudit
from epochal.data import from_arrays
from epochal.engine import build_optimizer, fit_program
from epochal.engine.compile import Programs
from epochal.engine.fit_program import MOST_EPOCHS
from epochal.engine.state import INITIAL_WEIGHTS, purpose_key
from epochal.engine.whole_fit import (
    EpochRecords,
    Kept,
    Stretch,
    WholeFit,
    outputs_of,
    padded_size,
    put_table,
    slice_rows,
)
from epochal.errors import ModelError
from epochal.models import build_model

PROGRAMS = Programs()
LOSSES = optax.softmax_cross_entropy_with_integer_labels


def cloud(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Standardised samples of four features in three classes."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)).astype(np.float32), np.arange(n, dtype=np.int32) % 3


def small_fit(batch_size: int = 7, **options: Any) -> WholeFit:
    model = build_model("mlp", (4,), 3, hidden=(5,), **options)
    return WholeFit(model, LOSSES, build_optimizer("adam", {"weight_decay": None}), batch_size, PROGRAMS)


def trained(
    n: int, fit: WholeFit | None = None, *, seed: int = 3, epoch: int = 0, epochs: int = 2, rate: float = 0.01
) -> tuple[Any, EpochRecords]:
    fit = fit or small_fit()
    stretch = Stretch(Order(n, seed), fit.batch_size, epoch, epochs, epoch * -(-n // fit.batch_size), rate, 0.0)
    return fit.run(fit.begin(seed), put_table(*cloud(n)), stretch)


def every_sample(n: int) -> Audit:
    return ExpectedAudit(Order(n)).everything


# --- each sample once -----------------------------------------------------------------------------------------------


@given(st.integers(1, 512), st.integers(0, 2**64 - 1), st.integers(0, 2**31))
@settings(max_examples=40)
def test_every_epoch_uses_each_sample_once(n: int, seed: int, epoch: int) -> None:
    _, records = trained(n, seed=seed, epoch=epoch, epochs=3)
    assert records.losses.shape == (3,)
    assert records.are_exact(every_sample(n))


@pytest.mark.parametrize("n", [4_097, 65_537])
def test_sizes_at_which_shuffles_have_failed(n: int) -> None:
    assert trained(n, small_fit(1_000), epochs=1)[1].are_exact(every_sample(n))


@pytest.mark.parametrize("wrong", ["twice", "other", "left out"])
def test_an_epoch_that_does_not_is_found(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a sample used twice in place of another, one of the padding, and an N that is one too small."""
    drawn = fit_program.compiled_order

    def spoilt(grid: Any, keys: Any, positions: Any) -> Any:
        if wrong == "left out":
            return drawn(grid._replace(samples=grid.samples - 1), keys, positions % (grid.samples - 1))
        sequence = drawn(grid, keys, positions)
        return sequence.at[0].set(sequence[1] if wrong == "twice" else grid.samples)

    monkeypatch.setattr(fit_program, "compiled_order", spoilt)
    fit = WholeFit(small_fit().model, LOSSES, build_optimizer("sgd", {"weight_decay": None}), 7, Programs())
    assert not trained(60, fit)[1].are_exact(every_sample(60))


def test_the_hashes_are_of_the_samples_that_were_gathered() -> None:
    """With no weights that move, the first epoch's loss is the mean over all samples: padding has none."""
    x, y = cloud(101)
    fit = small_fit()
    state = fit.begin(3)
    outputs = outputs_of(fit.model, state.params, x, programs=PROGRAMS)
    _, records = fit.run(state, put_table(x, y), Stretch(Order(101, 3), 7, 0, 2, 0, 0.0, 0.0))
    np.testing.assert_allclose(records.losses, np.mean(LOSSES(outputs, y)), rtol=1e-6)


# --- one program ------------------------------------------------------------------------------------------------------


def test_n_rate_seed_epochs_and_decay_compile_nothing() -> None:
    programs = Programs()
    fit = WholeFit(small_fit().model, LOSSES, build_optimizer("adam", {"weight_decay": None}), 7, programs)
    trained(100, fit)
    before = programs.compilations
    results = [
        trained(n, fit, seed=seed, epochs=e, rate=r) for n, seed, e, r in ((99, 0, 9, 1.0), (512, 2**63, 1, 0.1))
    ]
    fit.run(fit.begin(0), put_table(*cloud(12)), Stretch(Order(12), 7, 5, MOST_EPOCHS, 9, 0.1, 0.5))
    assert programs.compilations == before
    assert all(np.isfinite(records.losses).all() for _, records in results)


def test_what_differs_in_shape_is_compiled() -> None:
    """The control."""
    programs = Programs()
    fit = WholeFit(small_fit().model, LOSSES, build_optimizer("sgd"), 7, programs)
    trained(100, fit)
    for n, change in (
        (100, {"batch_size": 8}),
        (100, {"optimizer": build_optimizer("momentum")}),
        (100, {"model": build_model("mlp", (4,), 3, hidden=(6,))}),
        (600, {}),
    ):
        before = programs.compilations
        trained(n, dataclasses.replace(fit, **change))
        assert programs.compilations > before, change


@given(st.integers(1, 2**31 - 1), st.integers(1, 100_000))
def test_a_table_is_padded_by_an_eighth_or_to_little(n: int, values: int) -> None:
    size = padded_size(n, values)
    assert size >= n
    assert size <= max(64, n * 1.125) or size * values <= 2**16 or size < 2 * n <= 2**15
    assert padded_size(size, values) == size
    assert (size <= 4_096) == (n <= 4_096), "the order of N above 4,096 has other rounds"


@pytest.mark.parametrize(("batch_size", "n", "values"), [(1, 10, 4), (5_000, 10, 4), (60_000, 60_000, 784)])
def test_a_slice_is_no_larger_than_a_batch_and_the_cache(batch_size: int, n: int, values: int) -> None:
    rows = slice_rows(batch_size, n, values)
    assert 1 <= rows <= batch_size
    assert rows * values <= 2**21


# --- what the train step computes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 - 1, 2**32, 2**64 - 1])
def test_the_first_weights_are_those_of_the_train_step(seed: int) -> None:
    params, _ = small_fit().model.init(purpose_key(seed, INITIAL_WEIGHTS))
    begun = small_fit().begin(seed).params
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), begun, params)


@pytest.mark.parametrize(("optimizer", "batch_size", "dropout"), [("adam", 10, 0.3), ("adamw", 7, 0.0)])
def test_weights_and_losses_are_those_of_a_run(optimizer: str, batch_size: int | str, dropout: float) -> None:
    """But for last bits: the order, the noise, the ragged batch and the decay are the same."""
    x, y = cloud(60)
    decay = 0.1 if optimizer == "adamw" else 0.0
    options = {"weight_decay": decay} if decay else {}
    run = train(
        from_arrays(x, y, test=(x[:5], y[:5]), class_names=("a", "b", "c")),
        model="mlp", hidden=(5,), dropout=dropout, optimizer=optimizer, lr=0.01, batch_size=batch_size, epochs=3,
        seed=9, run=False, **options,
    )  # fmt: skip

    size = 60 if batch_size == "all" else int(batch_size)
    model = build_model("mlp", (4,), 3, hidden=(5,), dropout=dropout)
    fit = WholeFit(model, LOSSES, build_optimizer(optimizer, {"weight_decay": None}), size, PROGRAMS)
    scaled = ((x - x.mean(axis=0, dtype=np.float64)) / x.std(axis=0, dtype=np.float64)).astype(np.float32)
    stretch = Stretch(Order(60, 9), size, 0, 3, 0, 0.01, decay)
    state, records = fit.run(fit.begin(9), put_table(scaled, y), stretch)

    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), state.params, run.params)
    np.testing.assert_allclose(records.losses, [row.train_loss for row in run.history.epochs], rtol=1e-4)


def test_a_batch_in_slices_is_the_batch() -> None:
    """A full batch of 400 samples has two slices of 256 rows, of which one is short."""
    table = put_table(*cloud(400))
    whole, sliced = small_fit(400), small_fit(2**31 - 1)
    assert [slice_rows(fit.batch_size, 400, 4) for fit in (whole, sliced)] == [400, 256]

    stretch = Stretch(Order(400, 1), 400, 0, 5, 0, 0.01, 0.0)
    (one, a), (two, b) = (fit.run(fit.begin(1), table, stretch) for fit in (whole, sliced))
    np.testing.assert_allclose(a.losses, b.losses, rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), one.params, two.params)
    assert a.are_exact(every_sample(400))
    assert b.are_exact(every_sample(400))


def test_epochs_in_one_call_or_in_several_are_the_same_bits() -> None:
    fit, table = small_fit(dropout=0.2), put_table(*cloud(50))
    state = whole = fit.begin(5)
    whole, all_at_once = fit.run(whole, table, Stretch(Order(50, 5), 7, 0, 6, 0, 0.01, 0.01))
    losses = []
    for first, count in ((0, 1), (1, 3), (4, 2)):
        state = fit.restore(5, Kept.of(state))
        state, records = fit.run(state, table, Stretch(Order(50, 5), 7, first, count, first * 8, 0.01, 0.01))
        losses += records.losses.tolist()
    assert losses == all_at_once.losses.tolist()
    jax.tree.map(np.testing.assert_array_equal, state, whole)


def test_weights_of_other_shapes_are_refused_and_another_optimizer_begins_anew() -> None:
    kept = Kept.of(trained(50)[0])
    other = WholeFit(build_model("mlp", (4,), 3, hidden=(6,)), LOSSES, small_fit().optimizer, 7, PROGRAMS)
    with pytest.raises(ModelError, match="other shapes"):
        other.restore(0, kept)

    plain = WholeFit(small_fit().model, LOSSES, build_optimizer("momentum"), 7, PROGRAMS).restore(0, kept)
    jax.tree.map(np.testing.assert_array_equal, plain.params, kept.params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(plain.optimizer_state))


# --- prediction ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("features", [4, 300])
def test_a_samples_outputs_depend_on_no_other_sample_to_the_last_bit(features: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5_000, features)).astype(np.float32)
    model = build_model("mlp", (features,), 3, hidden=(33,))
    params = model.init(purpose_key(0, 1))[0]
    whole = outputs_of(model, params, x, programs=PROGRAMS)

    for size in (1, 2, 63, 64, 65, 1_000, 4_999):
        rows = rng.permutation(5_000)[:size]
        np.testing.assert_array_equal(outputs_of(model, params, x[rows], programs=PROGRAMS), whole[rows])
    np.testing.assert_allclose(whole, model.apply(params, (), jnp.asarray(x), None, False)[0], rtol=1e-4, atol=1e-5)
