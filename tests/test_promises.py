"""Promises 1–4, 6 and 7 of the design, kept from end to end: through `train`, as users call it, and what it leaves.

Each has a control: something that breaks the promise, and is seen. Promise 5, the same bits after a kill, has tests of
its own in tests/run and tests/faults.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epochal import EpochalError, Model, Order, Plan, from_arrays, train
from epochal.cli import main
from epochal.data import Dataset
from epochal.data.dataset import Preprocessing
from epochal.errors import RunError
from epochal.run import Run, resume
from epochal.run.callbacks import StopWhen

# --- samples that tell their names ----------------------------------------------------------------------------------


@cache
def numbered(n: int) -> Dataset:
    """Samples whose target is their own number."""
    number = np.arange(n, dtype=np.float32)
    return from_arrays(
        number[:, None], number, test=(number[:, None], number), name="numbered", preprocessing=Preprocessing.of(0, 1)
    )


def number_of_sample(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """A loss that is each sample's number: so a history of losses is a record of the samples that were used."""
    return targets + 0 * outputs[:, 0]


def line() -> Model:
    """A straight line through numbers."""

    def apply(params: Any, state: Any, x: jax.Array, key: Any, training: bool) -> tuple[jax.Array, Any]:
        return x * params["slope"] + params["start"], state

    return Model("line", lambda key: ({"slope": jnp.zeros(1), "start": jnp.zeros(1)}, ()), apply)


def record(n: int, **options: Any) -> Run:
    """Train so that the losses name the samples."""
    return train(numbered(n), model=line(), loss=number_of_sample, **options)


def batches_of(plan: Plan, seed: int = 0) -> list[np.ndarray]:
    """The samples of each batch, from plan and order alone."""
    order = Order(plan.samples, seed)
    batches = []
    for iteration in range(plan.iterations):
        position = plan.position(iteration=iteration)
        batches.append(order.indices(position.epoch, position.offset, position.offset + plan.next_batch_size(position)))
    return batches


def means(batches: list[np.ndarray]) -> list[float]:
    return [float(np.float32(batch.mean())) for batch in batches]


# --- 1. exactly once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "batch_size", "last"),
    [(1, 1, "keep"), (2, 1, "keep"), (101, "all", "keep"), (101, 7, "keep"), (101, 7, "drop")],
)
def test_every_epoch_uses_each_sample_once(n: int, batch_size: int | str, last: Any) -> None:
    run = record(n, batch_size=batch_size, epochs=3, last=last)
    assert [row.epoch for row in run.history.epochs] == [1, 2, 3]
    for row in run.history.epochs:
        assert row.is_exact
        assert row.samples == row.expected_samples == run.plan.samples_per_epoch
    losses = run.history.losses.reshape(3, -1).astype(np.float64)
    sizes = [len(batch) for batch in batches_of(run.plan)[: run.plan.batches_per_epoch]]
    used_numbers = (losses * sizes).sum(axis=1)  # the sum of the numbers of the samples that were used
    left_out = run.plan.dropped_per_epoch
    lowest, highest = sum(range(n - left_out)), sum(range(left_out, n))
    assert (used_numbers.round() >= lowest).all()
    assert (used_numbers.round() <= highest).all()


def test_every_single_sample_is_named_once_an_epoch() -> None:
    losses = record(101, batch_size=1, epochs=2).history.losses.reshape(2, 101)
    for epoch in losses:
        assert sorted(epoch.tolist()) == list(range(101))


def test_interruptions_neither_skip_nor_double_a_sample(tmp_path: Path) -> None:
    """Stopped after every chunk, inside epochs and at their very ends, and resumed."""
    parts: dict[str, Any] = {"model": line(), "loss": number_of_sample}
    asked = []

    def every_second_time() -> bool:
        asked.append(None)
        return len(asked) % 2 == 0

    folder, data = tmp_path / "run", numbered(20)
    run = train(data, batch_size=1, epochs=2, run=folder, callbacks=StopWhen(every_second_time), **parts)
    offsets = []
    while run.status != "finished":
        offsets.append(run.position.offset)
        run = resume(folder, data=data, callbacks=StopWhen(every_second_time), **parts)
    assert len(offsets) >= 3
    assert 0 in offsets, "an interruption at the end of an epoch"
    assert max(offsets) > 0, "and one inside"
    assert run.history.losses.tolist() == means(batches_of(run.plan))
    assert [(row.epoch, row.samples, row.is_exact) for row in run.history.epochs] == [(1, 20, True), (2, 20, True)]


def skip(positions: jax.Array, right: jax.Array) -> jax.Array:
    """Wrong: leaves out sample 5 and uses 6 in its place."""
    return jnp.where(right == 5, jnp.uint32(6), right)


def repeat(positions: jax.Array, right: jax.Array) -> jax.Array:
    """Wrong: begins each epoch with sample 0, whatever is due."""
    return jnp.where(positions == 0, jnp.uint32(0), right)


@pytest.mark.parametrize("tamper", [skip, repeat])
def test_a_wrong_sample_ends_the_training_and_stays_in_the_record(
    tamper: Callable[..., jax.Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Order.compiled_indices
    monkeypatch.setattr(Order, "compiled_indices", lambda self, keys, p: tamper(p, right(self, keys, p)))
    with pytest.raises(RunError, match=r"epoch 1 used 20 samples with hash .* a bug in Epochal, please report it"):
        record(20, batch_size=5, epochs=4, run="run")
    (row,) = Run.open("run").history.epochs
    assert not row.is_exact
    assert row.audit_hash != row.expected_hash
    assert Run.open("run").status not in ("finished", "running")


# --- 2. order is a pure function of seed, epoch and N ---------------------------------------------------------------


def test_samples_are_used_in_the_order_of_seed_epoch_and_n() -> None:
    order = Order(37, seed=4)
    used = record(37, batch_size=1, epochs=2, seed=4).history.losses
    assert used.tolist() == [*order.indices(0, 0, 37).tolist(), *order.indices(1, 0, 37).tolist()]
    assert used[:37].tolist() != used[37:].tolist(), "an order of its own for each epoch"
    assert used.tolist() != record(37, batch_size=1, epochs=2, seed=5).history.losses.tolist(), "and each seed"


@pytest.mark.parametrize("options", [{"batch_size": 5}, {"batch_size": 5, "micro_batch": 2}, {"batch_size": "all"}])
def test_order_depends_neither_on_batches_nor_on_micro_batches(options: dict[str, Any]) -> None:
    run = record(37, epochs=2, seed=4, **options)
    assert run.history.losses.tolist() == pytest.approx(means(batches_of(run.plan, seed=4)), rel=1e-6)


# --- 3. no batch straddles two epochs -------------------------------------------------------------------------------


def test_an_epochs_last_batch_is_smaller_and_not_filled_up_from_the_next() -> None:
    run = record(23, batch_size=5, epochs=2)
    order = Order(23)
    rest, following = order.indices(0, 20, 23), order.indices(1, 0, 2)
    assert run.history.losses.size == 10, "46 samples in batches of 5 that straddle epochs would be 10 by chance too"
    assert run.history.losses[4] == pytest.approx(rest.mean())
    assert run.history.losses[4] != pytest.approx(np.concatenate([rest, following]).mean()), "the control"


def test_a_budget_may_end_inside_an_epoch() -> None:
    run = record(23, batch_size=5, iterations=7)
    assert run.history.losses.size == 7, "neither one more nor one less"
    assert (run.position.iteration, run.position.epoch, run.position.offset) == (7, 1, 10)
    whole, part = run.history.epochs
    assert (whole.epoch, whole.complete, whole.samples, whole.is_exact) == (1, True, 23, True)
    assert (part.epoch, part.complete, part.samples, part.is_exact) == (2, False, 10, True)
    assert part.expected_samples == 10


# --- 4. a batch's gradient is the mean over its samples -------------------------------------------------------------

POINTS = np.random.default_rng(3).normal(size=(23, 1)).astype(np.float32)
HEIGHTS = (3 * POINTS[:, 0] - 1 + np.random.default_rng(4).normal(size=23)).astype(np.float32)
RATE = 0.1


def descend(plan: Plan, gradient_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Plain descent by hand, in double precision: slope and start of the line after the whole plan."""
    weights = np.zeros(2)
    for batch in batches_of(plan):
        x, y = POINTS[batch, 0].astype(np.float64), HEIGHTS[batch].astype(np.float64)
        slopes = 2 * (x * weights[0] + weights[1] - y)[:, None] * np.stack([x, np.ones_like(x)], axis=1)
        weights = weights - RATE * gradient_of(slopes)
    return weights


def mean_over_samples(slopes: np.ndarray) -> np.ndarray:
    return slopes.mean(axis=0)


def over_the_nominal_size(slopes: np.ndarray) -> np.ndarray:
    """Wrong: the last batch of 3 is divided by 10 as well."""
    return slopes.sum(axis=0) / 10


def over_the_nominal_number_of_micro_batches(slopes: np.ndarray) -> np.ndarray:
    """Wrong: micro-batches of 4, 4 and 2 samples count alike."""
    return np.mean([slopes[i : i + 4].mean(axis=0) for i in range(0, len(slopes), 4)], axis=0)


@pytest.mark.parametrize("micro_batch", [None, 4])
def test_every_sample_of_a_batch_weighs_the_same(micro_batch: int | None) -> None:
    data = from_arrays(POINTS, HEIGHTS, test=(POINTS, HEIGHTS), preprocessing=Preprocessing.of(0, 1))
    run = train(data, model=line(), batch_size=10, epochs=3, lr=RATE, micro_batch=micro_batch)
    trained = np.concatenate([run.params["slope"], run.params["start"]])
    assert trained == pytest.approx(descend(run.plan, mean_over_samples), abs=1e-5)
    for wrong in (over_the_nominal_size, over_the_nominal_number_of_micro_batches):
        assert trained != pytest.approx(descend(run.plan, wrong), abs=1e-2), wrong.__name__


# --- 6. evaluation counts each sample once --------------------------------------------------------------------------


def test_averages_are_weighted_by_samples() -> None:
    """2,345 test samples, more than are computed at once, and not a multiple of it; the last are the hardest."""
    x = np.linspace(0, 1, 2_345, dtype=np.float32)[:, None]
    y = np.where(np.arange(2_345) < 2_000, 0, 5).astype(np.float32)
    data = from_arrays(x[:20], y[:20], test=(x, y), preprocessing=Preprocessing.of(0, 1))
    run = train(data, model=line(), batch_size=6, epochs=2)
    errors = (x[:, 0] * run.params["slope"] + run.params["start"] - y).astype(np.float64) ** 2
    mean_of_means = np.mean([errors[start : start + 1_000].mean() for start in (0, 1_000, 2_000)])
    padded = errors.sum() / 3_000
    result = run.evaluate()
    assert result.samples == 2_345
    assert result.loss == pytest.approx(errors.mean(), rel=1e-5)
    for wrong in (mean_of_means, padded):
        assert result.loss != pytest.approx(wrong, rel=1e-2), "the controls"
    assert run.history.epochs[-1].test_loss == result.loss
    assert [row.samples for row in run.history.evaluations] == [2_345, 2_345]


def test_an_epochs_loss_is_weighted_by_samples() -> None:
    """With losses that are the samples' numbers, the mean over an epoch is that of all numbers, last batch or not."""
    run = record(23, batch_size=5, epochs=2)
    assert [row.train_loss for row in run.history.epochs] == pytest.approx([11, 11])
    by_batches = run.history.losses.reshape(2, 5).mean(axis=1)
    assert by_batches.tolist() != pytest.approx([11, 11], rel=1e-3), "the control: the mean of the batches' means"


def test_what_is_shown_is_what_was_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    """The command's JSON, the Python API and the SQLite file, read without Epochal, agree."""
    run = train("digits", model="linear", epochs=2, run="run")
    assert main(["show", "run", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["weights_sha256"] == run.weights_sha256
    assert [row["train_loss"] for row in shown["epochs"]] == [row.train_loss for row in run.history.epochs]
    with sqlite3.connect("run/history.db") as database:
        recorded = database.execute(
            "SELECT epoch, iterations, samples, train_loss FROM epochs ORDER BY epoch"
        ).fetchall()
    database.close()
    assert recorded == [(row["epoch"], row["iterations"], row["samples"], row["train_loss"]) for row in shown["epochs"]]


# --- 7. nothing silent ----------------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3


def mean_loss(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Wrong: takes the mean itself."""
    return jnp.mean(outputs[:, 0] - targets)


REFUSED: dict[str, tuple[Callable[[], Run], str]] = {
    "batch above N": (lambda: train((X, Y), batch_size=49), "batch size 49 is above the 48 training samples"),
    "fraction": (lambda: train((X, Y), epochs=1.5), "epochs must be a whole number, got 1.5"),
    "float": (lambda: train((X, Y), batch_size=np.float64(5)), "batch_size must be a whole number"),
    "two budgets": (lambda: train((X, Y), epochs=1, iterations=3), "give one budget, not 2"),
    "no batch": (lambda: train((X, Y), budget="5sa", batch_size=10), "ends before the first batch"),
    "typing mistake": (lambda: train((X, Y), batchsize=5), "did you mean 'batch_size'?"),
    "unknown model": (lambda: train((X, Y), model="mpl"), "did you mean 'mlp'?"),
    "last": (lambda: train((X, Y), last="pad"), "last must be one of keep, drop, got 'pad'"),
    "NaN": (lambda: train((np.where(np.arange(240).reshape(60, 4) == 29, np.nan, X), Y)), "row 7 (from 0) holds nan"),
    "rows": (lambda: train((X, Y[:50])), "60"),
    "shape": (lambda: train((X, Y), model="cnn"), "cnn needs images"),
    "mean loss": (lambda: train((X, Y), loss=mean_loss), "leave the mean to the engine"),
    "wrong loss": (lambda: train((X, Y * 0.5), loss="cross-entropy"), "use mean-squared-error"),
    "seed": (lambda: train((X, Y), seed=2**64), "seed must be 0 to 2**64 - 1"),
    "rate": (lambda: train((X, Y), lr=float("nan")), "lr must be a finite number above 0"),
    "warm-up": (lambda: train((X, Y), epochs=1, warmup="2ep"), "more than the plan's"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_done_exactly_is_refused_with_a_reason(what: str, workplace: Path) -> None:
    attempt, reason = REFUSED[what]
    with pytest.raises(EpochalError) as caught:
        attempt()
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2
    assert list(workplace.iterdir()) == [], "nothing was written"


def test_what_can_be_done_is_not_refused(workplace: Path) -> None:
    """The control for the table above."""
    assert train((X, Y), batch_size=48, epochs=1, model="linear").status == "finished"
    assert [path.name for path in workplace.iterdir()] == ["runs"]


def test_the_last_batch_of_an_epoch_is_never_lost_in_silence() -> None:
    """Without ``last="drop"`` nothing is dropped, and with it the plan says how much."""
    assert sum(len(batch) for batch in batches_of(Plan(23, 5))) == 23
    assert Plan(23, 5, last="drop").facts()["dropped_per_epoch"] == 3
