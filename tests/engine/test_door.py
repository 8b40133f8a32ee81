"""Models, losses and optimizers of the user's own: what cannot be trained is refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from workbench import labelled

from epochal import Model, Run, from_functions, rerun, resume, train
from epochal.data import Dataset, from_arrays
from epochal.data.dataset import Preprocessing
from epochal.engine import OPTIMIZERS
from epochal.engine.state import own_arrays
from epochal.errors import EpochalError, ModelError, OptionError
from little import StopAfter, Warnings

pytestmark = pytest.mark.usefixtures("unchecked")  # what parts may return is checked by the package itself

DATA = labelled(40, test=10)
X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
NUMBERS = from_arrays(X, X[:, 0], test=(X[:5], X[:5, 0]), name="numbers")


def weights(key: jax.Array) -> Any:
    return {"w": jax.random.normal(key, (4, 3)), "b": jnp.zeros(3)}


def affine(params: Any, x: jax.Array) -> jax.Array:
    return x @ params["w"] + params["b"]


def trained(model: Model | str = "linear", data: Dataset = DATA, **options: Any) -> Run:
    return train(data, model=model, **{"batch_size": 8, "epochs": 1, "run": "run", **options})


def refused(message: str, error: type[EpochalError] = ModelError, **options: Any) -> None:
    """Assert that a training is refused in a line or two, before anything is written."""
    with pytest.raises(error, match=message) as caught:
        trained(**options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert not Path("run").exists()


def model_of(init: Callable[..., Any] = weights, apply: Callable[..., Any] = affine, **options: Any) -> Model:
    return from_functions(init, apply, **options)


# --- outputs that depend on other samples ---------------------------------------------------------------------------


def centred(params: Any, x: jax.Array) -> jax.Array:
    return affine(params, x - x.mean(axis=0))


def shared(params: Any, x: jax.Array) -> jax.Array:
    """Nothing but the number of samples."""
    return affine(params, x) / len(x)


def from_zero(key: jax.Array) -> Any:
    """Weights at which every output is zero, whatever the samples."""
    return {"w": jnp.zeros((4, 3)), "b": jnp.zeros(3)}


@pytest.mark.parametrize("init", [weights, from_zero])
@pytest.mark.parametrize("apply", [centred, shared])
def test_a_model_whose_outputs_depend_on_the_batch_is_found_and_not_cut(init: Any, apply: Any) -> None:
    told = Warnings()
    run = trained(model_of(init, apply), callbacks=told)
    assert run.setup.model.uses_batch_statistics
    assert [message for message in told.messages if "depends on other samples of its batch" in message]
    assert [event for event in run.history.events if event.kind == "warned"]

    known = trained(model_of(init, apply, uses_batch_statistics=True), run="known")
    assert known.weights_sha256 == run.weights_sha256


@pytest.mark.parametrize("init", [weights, from_zero])
def test_a_model_of_single_samples_is_left_as_it_is(init: Any) -> None:
    told = Warnings()
    model = model_of(init)
    assert trained(model, callbacks=told).setup.model is model
    assert told.messages == []


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_rounding_is_no_dependence(kind: str) -> None:
    def coarse(params: Any, x: jax.Array) -> jax.Array:
        hidden = jnp.tanh(x.astype(kind) @ params["w"].astype(kind))
        return hidden @ params["v"].astype(kind)

    def init(key: jax.Array) -> Any:
        return {"w": jax.random.normal(key, (4, 300)), "v": 0.1 * jax.random.normal(key, (300, 3))}

    model = model_of(init, coarse)
    assert trained(model).setup.model is model


def test_noise_is_no_dependence() -> None:
    def noisy(params: Any, x: jax.Array, key: jax.Array | None) -> jax.Array:
        return affine(params, x) * (1.0 if key is None else jax.random.bernoulli(key, 0.5, (len(x), 3)))

    model = model_of(apply=noisy, needs_rng=True)
    assert trained(model).setup.model is model


def test_pieces_that_the_user_asked_for_are_refused() -> None:
    refused("uses batch statistics, so a batch of 8 cannot be split", model=model_of(apply=centred), micro_batch=4)


def test_a_state_is_not_updated_piece_by_piece_unless_asked_for() -> None:
    """A count of batches: 40,000 values a sample make slices of a few samples on a CPU, where they are allowed."""
    x = np.random.default_rng(0).normal(size=(400, 40_000)).astype(np.float32)
    data = from_arrays(x, np.arange(400) % 2, test=(x[:2], np.arange(2)))

    def counting(params: Any, state: Any, x: jax.Array, training: bool) -> Any:
        return x @ params, state + training

    model = from_functions(lambda key: (jnp.zeros((40_000, 2)), jnp.int32(0)), counting, has_state=True)
    run = train(data, model=model, batch_size="all", epochs=2, run=False)
    assert int(run.state.model_state) == 2
    plain = from_functions(lambda key: jnp.zeros((40_000, 2)), lambda params, x: x @ params)
    engine = train(data, model=plain, batch_size="all", epochs=1, run=False).setup.engine
    assert engine.prepare(engine.initial_state(), 400) < 400, "the control: such batches are cut"


def test_a_resumed_and_a_repeated_run_know_it_too() -> None:
    model = model_of(apply=centred)
    whole = trained(model, run="whole", epochs=3)
    trained(model, epochs=3, callbacks=StopAfter(7))
    assert resume("run", model=model, data=DATA).weights_sha256 == whole.weights_sha256
    assert rerun("run", "again", model=model, data=DATA).is_same


# --- gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "apply",
    [
        lambda params, x: jax.lax.stop_gradient(affine(params, x)),
        lambda params, x: jnp.round(affine(params, x)),
        lambda params, x: jax.nn.one_hot(affine(params, x).argmax(axis=1), 3),
        lambda params, x: affine(params, x) * jnp.nan,
    ],
    ids=["stop_gradient", "round", "argmax", "nan"],
)
def test_a_loss_without_a_gradient_is_refused(apply: Any) -> None:
    refused("has no gradient: it is zero or not finite for every weight", model=model_of(apply=apply))


def deep(params: Any, x: jax.Array) -> jax.Array:
    return jnp.maximum(x @ params["w"], 0) @ params["v"]


@pytest.mark.parametrize(
    ("init", "apply"),
    [
        (from_zero, affine),
        (lambda key: {"w": jnp.zeros((4, 5)), "v": jnp.zeros((5, 3))}, deep),
        (lambda key: {"w": jnp.zeros((4, 3))}, lambda params, x: jnp.sqrt(jnp.abs(x @ params["w"]))),
        (lambda key: {**weights(key), "unused": jnp.ones(2)}, affine),
    ],
    ids=["zero", "zero on both sides of a ReLU", "infinite at the start", "a weight that is never used"],
)
def test_where_weights_begin_decides_nothing(init: Any, apply: Any) -> None:
    assert trained(model_of(init, apply), on_nan="continue").status == "finished"


@pytest.mark.parametrize(
    "parts",
    [
        {"model": model_of(apply=lambda params, x: jnp.ones((len(x), 3)))},
        {"loss": lambda outputs, targets: targets + 0 * outputs[:, 0]},
        {
            "model": model_of(
                lambda key: {"w": jnp.full((4, 5), -9.0), "v": jnp.ones((5, 3))},
                lambda params, x: deep(params, jnp.abs(x)),
            )
        },
    ],
    ids=["a constant model", "a loss that only looks at the targets", "units that no sample reaches"],
)
def test_a_loss_that_is_the_same_for_all_weights_is_a_probe_and_warned_of(parts: dict[str, Any]) -> None:
    told = Warnings()
    assert trained(**parts, callbacks=told).status == "finished"
    assert len(told.messages) == 1
    assert "is the same for all weights: nothing is learned" in told.messages[0]


@pytest.mark.parametrize("option", [{"shards": 2}, {"micro_batch": 32}])
def test_pieces_that_would_change_the_result_are_refused_before_anything_is_written(option: dict[str, Any]) -> None:
    data = labelled(80, test=10)
    message = "uses batch statistics, so a batch"
    refused(message, model=model_of(apply=centred), data=data, batch_size=64, **option)
    refused(message, model=model_of(uses_batch_statistics=True), data=data, batch_size=64, **option)
    assert trained(model_of(), data=data, batch_size=64, **option).status == "finished"


def test_no_weights_at_all_are_refused() -> None:
    refused("model 'custom' has no weights to train", model=model_of(lambda key: {}, lambda params, x: x[:, :3]))


# --- losses ---------------------------------------------------------------------------------------------------------


def test_a_loss_that_broadcasts_samples_against_each_other_is_explained() -> None:
    def table(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.mean((outputs - targets) ** 2, axis=1)

    message = r"loss 'table' of one sample depends on other samples; often outputs \(b, 1\) and targets \(b,\)"
    refused(message, data=NUMBERS, loss=table)


@pytest.mark.parametrize(
    "loss",
    [
        lambda outputs, targets: jnp.mean((outputs - targets) ** 2, axis=0),
        lambda outputs, targets: ((outputs[:, 0] - targets) ** 2) / jnp.sum(outputs**2),
        lambda outputs, targets: jnp.square(outputs[:, 0] - jnp.mean(targets)),
    ],
    ids=["columns", "a sum of all outputs", "a mean of all targets"],
)
def test_other_dependences_between_samples_are_found(loss: Any) -> None:
    refused("of one sample depends on other samples", data=NUMBERS, loss=loss)


def test_a_loss_of_single_samples_is_trained_with() -> None:
    def absolute(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.abs(outputs[:, 0] - targets)

    assert trained(data=NUMBERS, loss=absolute).status == "finished"


def test_a_loss_of_whole_numbers_or_steps_is_refused() -> None:
    refused("loss 'wrong' returns int32, which has no gradient", loss=wrong)
    refused("the loss 'steps' of model 'linear' has no gradient", loss=steps)


def wrong(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return (outputs.argmax(axis=1) != targets).astype(jnp.int32)


def steps(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return (outputs.argmax(axis=1) != targets).astype(jnp.float32)


# --- what weights, states and outputs are made of -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (jnp.int32(3), r"params of model 'custom' hold int32 in \['n'\], which no gradient can change"),
        (True, r"hold bool in \['n'\], which no gradient can change"),
        ("hi", r"params of model 'custom' hold in \['n'\] 'hi', a str; they must be arrays of numbers"),
        (np.array(["hi"]), r"values of type <U2; they must be arrays of numbers"),
        (len, r"a builtin_function_or_method; they must be arrays of numbers"),
        (jax.random.key(0), r"hold in \['n'\] random keys, which no checkpoint can store"),
    ],
    ids=["integer", "truth value", "text", "array of text", "function", "random key"],
)
def test_weights_are_floating_point_arrays(leaf: Any, message: str) -> None:
    refused(message, model=model_of(lambda key: {**weights(key), "n": leaf}))


@pytest.mark.parametrize(
    "form",
    [np.asarray, lambda leaf: np.asarray(leaf, np.float64), lambda leaf: leaf.astype(jnp.bfloat16)],
    ids=["NumPy", "double", "bfloat16"],
)
def test_weights_may_come_in_other_forms(form: Any) -> None:
    made = jax.tree.map(form, weights(jax.random.key(0)))
    run = trained(model_of(lambda key: made, lambda params, x: affine(params, x).astype(jnp.float32)))
    assert run.status == "finished"
    assert run.predict(X[:2]).shape == (2, 3)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_losses_of_short_outputs_are_added_up_in_full(kind: str) -> None:
    """A thousand losses of 1.1 add up to 1100 in float32, and to 256 in bfloat16, to which one more adds nothing."""
    x = np.ones((1000, 4), np.float32)
    data = from_arrays(x, x[:, 0], test=(x, x[:, 0]), name="ones", preprocessing=Preprocessing.of(0, 1))

    def level(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return 1.1 + 0.001 * outputs[:, 0]

    def short(params: Any, x: jax.Array) -> jax.Array:
        return (x @ params).astype(kind)

    model = from_functions(lambda key: jnp.zeros((4, 1)), short)
    run = trained(model, data, loss=level, batch_size="all")
    assert run.history.losses[0] == pytest.approx(1.1)
    assert run.evaluate().loss == pytest.approx(1.1, abs=0.01)
    assert run.predict(x[:2]).dtype == np.float32


def test_a_number_may_be_a_weight() -> None:
    model = model_of(lambda key: {**weights(key), "scale": 1.0}, lambda p, x: p["scale"] * affine(p, x))
    assert float(trained(model).params["scale"]) != 1.0


@pytest.mark.parametrize(
    ("state", "then", "message"),
    [
        (jnp.int32(0), lambda n, x: n + 1.0, r"\['n'\] was int32\[\] and is float32\[\]"),
        (jnp.zeros(2), lambda n, x: jnp.zeros(3), r"\['n'\] was float32\[2\] and is float32\[3\]"),
        ((), lambda n, x: x.mean(), r"\['n'\] is in one of them alone"),
        (jax.random.key(0), lambda n, x: n, "state of model 'custom' hold in .* random keys"),
        ("hi", lambda n, x: n, "'hi', a str"),
    ],
    ids=["type", "shape", "structure", "random key", "text"],
)
def test_a_state_is_made_of_arrays_and_keeps_its_form(state: Any, then: Any, message: str) -> None:
    def apply(params: Any, state: Any, x: jax.Array, training: bool) -> Any:
        return affine(params, x), {"n": then(state["n"], x)}

    refused(message, model=model_of(lambda key: (weights(key), {"n": state}), apply, has_state=True))


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (lambda params, x: affine(params, x).astype(int), "returns int32, which has no gradient"),
        (lambda params, x: (affine(params, x), x), "returns a tuple; its outputs must be one array"),
        (lambda params, x: affine(params, x)[:, 0], r"returns shape \(2,\) for two samples of 'labelled'"),
        (lambda params, x: x @ params["nothing"], "."),
    ],
    ids=["integers", "a pair", "one number", "an error of its own"],
)
def test_outputs_are_one_array_of_numbers_for_each_sample(apply: Any, message: str) -> None:
    if message == ".":
        with pytest.raises(KeyError, match="nothing"):
            trained(model_of(apply=apply))
        return
    refused(message, model=model_of(apply=apply))


def test_an_evaluation_has_to_fit_as_well() -> None:
    def apply(params: Any, state: Any, x: jax.Array, training: bool) -> Any:
        outputs = affine(params, x)
        return outputs if training else outputs[:, :2], state

    refused(r"returns shape \(2, 2\)", model=model_of(lambda key: (weights(key), ()), apply, has_state=True))


# --- optimizers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [optax.lbfgs(), optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau())],
    ids=["lbfgs", "plateau"],
)
def test_an_optimizer_that_needs_more_than_the_gradient_is_refused(optimizer: Any) -> None:
    refused("the optimizer cannot be used: .* without more, such as a value", OptionError, optimizer=optimizer)


def test_an_optimizer_for_other_weights_is_refused() -> None:
    masked = optax.masked(optax.sgd(0.1), {"w": True})
    refused("the optimizer cannot begin with the weights of model 'linear'", OptionError, optimizer=masked)


def test_weights_too_short_for_an_optimizer_are_refused_and_others_trained() -> None:
    """No optimizer adds to an eighth of a float32; each knows what to do with a half."""

    def model(kind: Any) -> Model:
        return model_of(lambda key: jax.tree.map(lambda leaf: leaf.astype(kind), weights(key)), in_full)

    def in_full(params: Any, x: jax.Array) -> jax.Array:
        return affine(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params), x)

    for name in OPTIMIZERS:
        assert trained(model(jnp.bfloat16), optimizer=name, run=name).status == "finished"
        refused("cannot .* float8_e4m3fn", OptionError, optimizer=name, model=model(jnp.float8_e4m3fn))


def test_an_optimizer_with_random_keys_or_other_changes_is_refused() -> None:
    noise = optax.add_noise(0.1, 0.5, jax.random.key(0))
    refused("state of the optimizer hold in .* random keys", OptionError, optimizer=noise)
    scalar = optax.GradientTransformation(lambda params: (), lambda g, state, params=None: (jnp.float32(0), state))
    refused("the optimizer returns changes of another form", OptionError, optimizer=scalar)
    growing = optax.GradientTransformation(lambda params: jnp.int32(0), lambda g, state, params=None: (g, state + 0.5))
    refused("the optimizer returns state of another form", OptionError, optimizer=growing)


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.contrib.sam(optax.sgd(0.1), optax.sgd(0.05)),
        optax.contrib.schedule_free_sgd(0.1),
        optax.inject_hyperparams(optax.adam)(0.01),
        optax.apply_if_finite(optax.adam(0.01), 3),
        optax.MultiSteps(optax.sgd(0.1), 2).gradient_transformation(),
    ],
    ids=["sam", "schedule-free", "injected", "if finite", "several steps"],
)
def test_optimizers_whose_state_holds_the_weights_are_trained_with(optimizer: Any) -> None:
    whole = trained(optimizer=optimizer, run="whole", epochs=2)
    trained(optimizer=optimizer, epochs=2, callbacks=StopAfter(7))
    assert resume("run", optimizer=optimizer, data=DATA).weights_sha256 == whole.weights_sha256


# --- whose arrays they are ------------------------------------------------------------------------------------------


def test_the_users_arrays_stay_alive_and_one_may_stand_in_two_places() -> None:
    mine = jnp.ones((4, 3))
    model = model_of(lambda key: {"w": mine, "v": mine, "b": jnp.zeros(3)}, lambda p, x: affine(p, x) + x @ p["v"])
    run = trained(model)
    assert not mine.is_deleted()
    assert mine.tolist() == jnp.ones((4, 3)).tolist()
    assert np.array_equal(run.params["w"], run.params["v"]), "both are trained, from the same start"
    assert not np.array_equal(run.params["w"], mine)


def test_copies_have_the_same_bits_and_strong_types() -> None:
    tree = {"a": jnp.float32(0.1), "b": np.arange(3), "c": 2.5, "d": jnp.asarray(1.5)}
    copied = own_arrays(tree, "these", ModelError)
    assert [leaf.dtype.name for leaf in copied.values()] == ["float32", "int32", "float32", "float32"]
    assert not any(leaf.weak_type for leaf in copied.values())
    assert copied["a"] is not tree["a"]
    assert float(copied["a"]) == float(tree["a"])
