"""Shards: equal parts of a batch, computed side by side. How many devices there are changes nothing but the time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workbench import drive, engine_for, labelled, linear, noisy, numbered, output_itself

from epochal.audit import Audit, ExpectedAudit
from epochal.clock import Plan, Position
from epochal.config.train_config import TrainConfig
from epochal.engine import named_leaves
from epochal.engine.placement import _tree_sum, cut
from epochal.engine.state import TRAINING_NOISE, purpose_key
from epochal.errors import ModelError, OptionError, PlanError
from epochal.models import Model, build_model
from epochal.run.setup import set_up

DATA = labelled(n=160)


@given(st.integers(1, 5_000), st.integers(1, 64), st.integers(1, 16))
def test_all_devices_compute_as_many_shards_and_no_shard_is_tiny(batch_size: int, wanted: int, devices: int) -> None:
    one = jax.devices()[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "devices", lambda: [one] * devices)
        done = cut(batch_size, wanted)
    assert done.count in (1, wanted)
    assert done.each * len(done.devices) == done.count
    assert len(done.devices) <= devices
    if done.count > 1:
        assert batch_size % done.count == 0
        assert batch_size // done.count >= 32
    elif wanted > 1:
        assert batch_size % wanted or batch_size < 32 * wanted


def test_every_sample_is_used_once_a_batch_that_cannot_be_cut_included() -> None:
    """160 samples in batches of 128: one in four shards, and one of 32, which is too small for them."""
    engine = engine_for(linear(), DATA, shards=4)
    _, losses, audit = drive(engine, Plan(160, 128, epochs=2))
    expected = ExpectedAudit(engine.order).everything
    assert (len(losses), audit) == (4, expected + expected)
    assert [engine.cut(size).count for size in (128, 32)] == [4, 1]


def test_a_lost_shard_would_be_seen() -> None:
    """The control: an audit without the last quarter of a batch is another one."""
    engine = engine_for(linear(), DATA, shards=4)
    _, chunked = engine.run(engine.initial_state(), Position(), 128, 1)
    indices = engine.order.indices(0, 0, 128)
    assert chunked.audit == Audit.of_indices(indices)
    assert chunked.audit != Audit.of_indices(indices[:96])


def test_losses_and_weights_are_those_of_the_whole_batch() -> None:
    plan = Plan(160, 160, epochs=6)
    whole, cut_up = engine_for(linear(), DATA), engine_for(linear(), DATA, shards=5)
    (state, losses, _), (other, other_losses, _) = drive(whole, plan), drive(cut_up, plan)
    assert other_losses == pytest.approx(losses, rel=1e-5)
    assert np.allclose(state.params["matrix"], other.params["matrix"], atol=1e-5)
    assert cut_up.evaluate(other, DATA.test).loss == pytest.approx(whole.evaluate(state, DATA.test).loss, rel=1e-5)
    assert cut_up.predict(other, DATA.test) == pytest.approx(whole.predict(state, DATA.test), abs=1e-4)


def test_a_training_that_goes_on_from_the_host_keeps_its_bits() -> None:
    """As after a resume: the state was in a file and comes back on one device."""
    engine, plan = engine_for(linear(), DATA, shards=2), Plan(160, 80, epochs=4)
    whole, _, _ = drive(engine, plan)
    half, _, _ = drive(engine, Plan(160, 80, epochs=2))
    stored = jax.tree.map(lambda leaf: jax.numpy.asarray(np.asarray(leaf).copy()), half)
    resumed, _, _ = drive(engine, plan, state=stored, position=plan.position(iteration=4))
    assert {name: leaf.tobytes() for name, leaf in named_leaves(resumed).items()} == {
        name: leaf.tobytes() for name, leaf in named_leaves(whole).items()
    }
    assert named_leaves(half)[".params['matrix']"].tobytes() != named_leaves(whole)[".params['matrix']"].tobytes()


def test_shards_of_one_batch_have_noise_of_their_own() -> None:
    """The batch's loss is the mean of its samples' noise here, and names the keys that the shards had."""
    engine = engine_for(noisy(), numbered(64), loss=output_itself, shards=2)
    _, chunked = engine.run(engine.initial_state(), Position(), 64, 1)
    first_iteration = jax.random.fold_in(jax.random.fold_in(purpose_key(0, TRAINING_NOISE), 0), 0)
    parts = [jax.random.uniform(jax.random.fold_in(first_iteration, number), (32, 1)).mean() for number in range(2)]
    assert chunked.losses[0] == pytest.approx(np.mean([float(loss) for loss in parts]), rel=1e-5)
    assert chunked.losses[0] != pytest.approx(float(parts[0]), rel=1e-3), "the control: one noise for both"


def stateful(statistics: bool) -> Model:
    def apply(params: Any, state: Any, x: jax.Array, key: Any, training: bool) -> tuple[jax.Array, Any]:
        return x * params, state + len(x)

    return Model(
        "stateful",
        lambda key: (jax.numpy.ones(1), jax.numpy.zeros(1)),
        apply,
        uses_batch_statistics=statistics,
    )


@pytest.mark.parametrize(("batch_statistics", "why"), [(True, "batch statistics"), (False, "its own state")])
def test_a_model_that_cannot_be_cut_exactly_is_refused(batch_statistics: bool, why: str) -> None:
    engine = engine_for(stateful(batch_statistics), numbered(64), shards=2)
    with pytest.raises(ModelError, match=f"'stateful' .*{why}.* split into 2 shards without .*; leave shards out"):
        engine.prepare(engine.initial_state(), 64)
    assert engine.prepare(engine.initial_state(), 8) == 8, "a batch that stays whole is trained"


@pytest.mark.parametrize(("model", "count"), [("linear", 1), ("mlp", 1), ("cnn", 1), ("rnn", 2)])
def test_a_model_knows_how_its_batches_are_best_cut(model: str, count: int) -> None:
    engine = engine_for(build_model(model, (8, 8), 3), DATA)
    assert engine.cut(100).count == count
    assert engine.cut(1).count == 1


def test_numbers_of_shards_that_cannot_be() -> None:
    with pytest.raises(PlanError, match="shards must be at least 1, got 0"):
        TrainConfig(shards=0)
    with pytest.raises(OptionError, match=r"a batch of 160 cannot be cut into 3 equal shards; take 2$"):
        set_up(TrainConfig(batch_size="all", shards=3), DATA)
    with pytest.raises(OptionError, match=r"a batch of 157 cannot be cut into 2 equal shards; take 1$"):
        set_up(TrainConfig(batch_size=157, shards=2), DATA)
    assert set_up(TrainConfig(batch_size=1, shards=2), DATA).engine.cut(1).count == 1, "too small to be cut"


# --- the same bits on any number of devices ---------------------------------------------------------------------------

CHILD = """
import sys, jax, epochal
from epochal.engine import named_leaves
from epochal.record.checkpoint_file import weights_sha256
offered = jax.devices
for model in sys.argv[1:]:
    for count in (1, 2, 4):
        jax.devices = lambda: offered()[:count]
        options = {"dropout": 0.3} if model == "mlp" else {}
        run = epochal.train(
            "digits", model=model, **options, batch_size=128, shards=4, iterations=6, run=f"{model}-{count}"
        )
        print(model, count, run.file.device.count, weights_sha256(named_leaves(run.state)))
"""


@pytest.mark.parametrize("models", [("rnn", "mlp"), pytest.param(("cnn", "linear"), marks=pytest.mark.slow)])
def test_bits_do_not_depend_on_the_number_of_devices(models: tuple[str, str]) -> None:
    """Four shards on one, two and four devices of one process, in which all have the same threads."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    command = [sys.executable, "-c", CHILD, *models]
    done = subprocess.run(command, env=os.environ | flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [(count, devices) for _, count, devices, _ in rows] == [("1", "1"), ("2", "2"), ("4", "4")] * 2
    for model in models:
        assert len({bits for name, _, _, bits in rows if name == model}) == 1, model
    assert len({bits for *_, bits in rows}) == 2, "the control: another model has other bits"


@given(st.integers(1, 40), st.data())
def test_a_tree_is_the_same_whoever_adds_its_branches(count: int, data: st.DataObject) -> None:
    """The order of float additions decides the last bits: devices that add up their own shards first change nothing."""
    each = data.draw(st.sampled_from([each for each in range(1, count + 1) if count % each == 0]))
    values = np.random.default_rng(count).normal(size=count).astype(np.float32) * np.float32(1e3) ** np.arange(count)
    values = jax.numpy.asarray((values % 977).astype(np.float32))
    branch = each & -each
    branches = _tree_sum(values.reshape(-1, branch), axis=1)
    assert _tree_sum(branches).tobytes() == _tree_sum(values).tobytes()


EXCHANGE = """
import sys, jax, numpy as np
import epochal
from epochal.clock import Position
from epochal.engine import placement
from epochal.run.setup import set_up
from epochal.config.train_config import TrainConfig
from epochal.engine.state import named_leaves
from epochal.record.checkpoint_file import weights_sha256

def trained():
    engine = set_up(TrainConfig(model="mlp", batch_size=256, shards=8, epochs=1), epochal.load_data("digits")).engine
    state = engine.initial_state()
    engine.prepare(state, 256)
    text = engine._chunks[256].program.run.as_text()
    state, _ = engine.run(state, Position(), 256, 5)
    sent = [sum(text.count(f" {name}(") for name in (kind, f"{kind}-start")) for kind in ("all-gather", "all-to-all")]
    print(*sent, weights_sha256(named_leaves(state)))

trained()
placement._SENT_AT_ONCE = 0
epochal.engine.compile.PROGRAMS._known.clear()
trained()
by_library = lambda leaf: jax.lax.psum(leaf.sum(0), "devices")
placement.Shards._over_devices = lambda self, parts: jax.tree.map(by_library, parts)
epochal.engine.compile.PROGRAMS._known.clear()
trained()
"""


def test_an_iteration_has_one_exchange_and_a_large_one_has_two_halves() -> None:
    """Few numbers are gathered at once; many are added up in parts. Both have the bits of the tree, `psum` has not."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "EPOCHAL_COMPILE_CACHE": "0"}
    done = subprocess.run([sys.executable, "-c", EXCHANGE], env=os.environ | flags, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (gathers, swaps, at_once), (*_, halves), (*_, control) = (line.split() for line in done.stdout.splitlines())
    assert (gathers, swaps) == ("1", "0")
    assert done.stdout.splitlines()[1].startswith("1 1 ")
    assert at_once == halves
    assert control != at_once, "the control: a sum whose order is the library's"


def test_the_tree_is_balanced() -> None:
    """A sum one after another, as former versions did it, loses what the tree keeps: the control."""
    values = np.float32([2**24, 1, 1, 1])
    assert float(_tree_sum(jax.numpy.asarray(values))) == 2**24 + 2
    assert float(((values[0] + values[1]) + values[2]) + values[3]) == 2**24
