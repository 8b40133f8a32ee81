"""The built-in models: their shapes and sizes, what they refuse, how they start, and that they learn."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from epochal.data import load_data
from epochal.errors import ModelError, OptionError
from epochal.models import MODELS, Model, build_model

KEY = jax.random.key(0)


def run(model: Model, sample_shape: tuple[int, ...], batch_size: int = 3) -> tuple[int, ...]:
    """Return the shape of the outputs for a batch."""

    def outputs(key: Array) -> Array:
        params, state = model.init(key)
        return model.apply(params, state, jnp.ones((batch_size, *sample_shape)), None, True)[0]

    return jax.eval_shape(outputs, KEY).shape


def parameters(model: Model) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(jax.eval_shape(model.init, KEY)[0]))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sample_shape", [(28, 28), (8, 8), (9, 7), (32, 24, 3)])
def test_every_model_reads_images_of_any_size(name: str, sample_shape: tuple[int, ...]) -> None:
    assert run(build_model(name, sample_shape, 10), sample_shape) == (3, 10)


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_flat_samples_and_one_output(name: str) -> None:
    assert run(build_model(name, (13,), 1), (13,)) == (3, 1)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("linear", {}, 784 * 10 + 10),
        ("mlp", {}, 784 * 128 + 128 + 1290),
        ("mlp", {"hidden": (64, 32)}, 784 * 64 + 64 + 64 * 32 + 32 + 330),
        ("cnn", {}, 25 * 32 + 32 + 25 * 32 * 64 + 64 + 3136 * 256 + 256 + 2570),
        ("cnn", {"channels": (4,), "kernel": 3, "hidden": (16,)}, 9 * 4 + 4 + 196 * 4 * 16 + 16 + 170),
        ("rnn", {}, 28 * 128 + 128 + 128 * 128 + 1290),
        ("mlp:64-32", {}, 784 * 64 + 64 + 64 * 32 + 32 + 330),
        ("rnn:16", {}, 28 * 16 + 16 + 16 * 16 + 170),
        ("lenet", {}, 25 * 6 + 6 + 25 * 6 * 16 + 16 + 784 * 120 + 120 + 120 * 84 + 84 + 850),
    ],
)
def test_the_numbers_that_training_adjusts(name: str, options: dict[str, Any], count: int) -> None:
    assert parameters(build_model(name, (28, 28), 10, **options)) == count


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cmn", {}, "unknown model 'cmn': did you mean 'cnn'"),
        ("mlp", {"hiden": (3,)}, "unknown option of mlp 'hiden': did you mean 'hidden'"),
        ("linear", {"hidden": (3,)}, "linear has no options"),
        ("lenet", {"hidden": (3,)}, "unknown option of lenet 'hidden'"),
        ("mlp:3", {"hidden": (4,)}, "'mlp:3' has its hidden sizes in its name; leave out hidden, or write mlp"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build_model(name, (28, 28), 10, **options)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("name", "option"), [("mlp", "hidden"), ("cnn", "channels"), ("rnn", "hidden")])
def test_one_size_alone_may_be_a_number(name: str, option: str) -> None:
    """As a training's own command writes it: --set channels=4."""
    assert build_model(name, (28, 28), 10, **{option: 4}) is build_model(name, (28, 28), 10, **{option: (4,)})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mlp", {"hidden": ()}),
        ("mlp", {"hidden": (0,)}),
        ("mlp", {"hidden": (64.5,)}),
        ("mlp", {"hidden": -64}),
        ("mlp", {"hidden": 64.0}),
        ("mlp", {"dropout": 1.0}),
        ("mlp", {"dropout": -0.1}),
        ("mlp", {"dropout": math.nan}),
        ("mlp", {"dropout": "half"}),
        ("cnn", {"channels": ()}),
        ("cnn", {"kernel": 4}),
        ("cnn", {"kernel": 0}),
        ("cnn", {"dropout": 1}),
        ("rnn", {"hidden": (64, 64)}),
        ("rnn", {"hidden": (-1,)}),
    ],
)
def test_absurd_values_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"hidden|channels|kernel|dropout"):
        build_model(name, (28, 28), 10, **options)


@pytest.mark.parametrize(
    ("name", "sample_shape", "outputs", "message"),
    [
        ("cnn", (784,), 10, r"needs images, .* use mlp"),
        ("cnn", (28, 28, 3, 2), 10, "needs images"),
        ("cnn", (3, 28), 10, "halves an image 2 times, but these are 3×28"),
        ("rnn", (784,), 10, r"row by row, but a sample has shape \(784,\)"),
        ("linear", (0, 28), 10, "samples that hold something"),
        ("mlp", (28, 28), 0, "an output"),
    ],
)
def test_samples_that_do_not_fit_are_refused(
    name: str, sample_shape: tuple[int, ...], outputs: int, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        build_model(name, sample_shape, outputs)


@pytest.mark.parametrize("name", ["mlp", "rnn"])
def test_the_first_outputs_are_neither_lost_nor_large(name: str) -> None:
    model = build_model(name, (28, 28), 10)
    params, state = model.init(KEY)
    x = jax.random.uniform(jax.random.key(1), (50, 28, 28))
    spread = float(jnp.std(model.apply(params, state, x, None, False)[0]))
    assert 0.1 < spread < 3


def test_recurrent_weights_start_orthogonal() -> None:
    weights = build_model("rnn", (28, 28), 10, hidden=(16,)).init(KEY)[0]["recurrent"]
    assert jnp.allclose(weights @ weights.T, jnp.eye(16), atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_dropout_needs_a_key_while_training_and_does_nothing_else(name: str) -> None:
    small: dict[str, Any] = {"hidden": (64,)} | ({"channels": (3,), "kernel": 3} if name == "cnn" else {})
    plain, model = build_model(name, (4, 4), 3, **small), build_model(name, (4, 4), 3, dropout=0.5, **small)
    params, _ = model.init(KEY)
    x = jnp.ones((2, 4, 4))
    outputs = {
        (key, training): model.apply(params, (), x, None if key is None else jax.random.key(key), training)[0]
        for key, training in [(1, True), (2, True), (1, False)]
    }
    assert (model.needs_rng, plain.needs_rng) == (True, False)
    assert not jnp.allclose(outputs[1, True], outputs[2, True])
    assert jnp.allclose(outputs[1, False], plain.apply(params, (), x, None, True)[0])


def test_the_recurrent_gradient_is_the_one_that_jax_derives() -> None:
    from epochal.models.rnn import remember

    random = np.random.default_rng(0)
    drive, recurrent = random.standard_normal((5, 3, 4)), random.standard_normal((4, 4))

    def plain(drive: Array, recurrent: Array) -> Array:
        memory = jnp.zeros((3, 4))
        for row in drive:
            memory = jnp.tanh(row + memory @ recurrent)
        return memory

    def gradients(function: Any) -> list[Array]:
        return list(jax.jit(jax.grad(lambda *a: (function(*a) ** 2).sum(), (0, 1)))(drive, recurrent))

    with jax.enable_x64():
        for a, b in zip(gradients(remember), gradients(plain), strict=True):
            assert jnp.allclose(a, b, atol=1e-12)
        assert not jnp.allclose(gradients(remember)[1], gradients(lambda d, r: plain(d, r.T))[1], atol=1e-2)


LEARNED = {"linear": (0.5, 60), "mlp": (0.2, 60), "rnn": (0.2, 150), "cnn": (0.3, 100), "lenet": (0.1, 100)}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_real_digits(name: str) -> None:
    data = load_data("digits")
    x = jnp.asarray(data.preprocessing(data.train.x[:500]))
    y = jnp.asarray(data.train.y[:500])
    options: dict[str, Any] = {"cnn": {"channels": (4, 6), "kernel": 3, "hidden": (32,)}}.get(name, {})
    model, (lr, steps) = build_model(name, data.sample_shape, data.outputs, **options), LEARNED[name]

    def loss(params: Any) -> Array:
        scores = jax.nn.log_softmax(model.apply(params, (), x, None, True)[0])
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], 1))

    def descend(_: Any, params: Any) -> Any:
        return jax.tree.map(lambda p, g: p - lr * g, params, jax.grad(loss)(params))

    def train(params: Any) -> tuple[Array, Array]:
        return loss(params), loss(jax.lax.fori_loop(0, steps, descend, params))

    before, after = jax.jit(train)(model.init(KEY)[0])
    assert float(before) > 1.9
    assert float(after) < 0.6


def test_sizes_in_the_name_make_the_same_model_as_the_option() -> None:
    assert build_model("mlp:64-32", (8, 8), 10) is build_model("mlp", (8, 8), 10, hidden=(64, 32))


def test_lenet_is_the_cnn_of_its_sizes() -> None:
    lenet = build_model("lenet", (8, 8), 10)
    cnn = build_model("cnn", (8, 8), 10, channels=(6, 16), kernel=5, hidden=(120, 84))
    x = jnp.linspace(0, 1, 128).reshape(2, 8, 8)
    outputs = [model.apply(*model.init(KEY), x, None, False)[0] for model in (lenet, cnn)]
    assert (lenet.name, cnn.name) == ("lenet", "cnn")
    np.testing.assert_array_equal(*outputs)
