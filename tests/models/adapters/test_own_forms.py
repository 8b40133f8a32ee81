"""What models of one's own may take and return: several inputs, integers, masks, sequences, trees; and bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epochal import Run, compare, from_functions, load_data, resume, train
from epochal.errors import DataError, ModelError, OptionError

N, LENGTH, WORDS = 120, 6, 20


def sentences() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Tokens with a mask; the class is whether the first token is an even number."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, WORDS, (N, LENGTH))
    mask = np.arange(LENGTH) < rng.integers(1, LENGTH + 1, N)[:, None]
    return {"tokens": tokens, "mask": mask}, tokens[:, 0] % 2


def embedding() -> Any:
    """A model of tokens and their mask: the mean of the embeddings that count, and a linear layer."""

    def init(key: Any) -> Any:
        one, two = jax.random.split(key)
        return {"table": jax.random.normal(one, (WORDS, 8)), "w": 0.1 * jax.random.normal(two, (8, 2))}

    def apply(params: Any, x: Any) -> Any:
        assert x["tokens"].dtype == jnp.int32  # as they are, and not standardised
        assert x["mask"].dtype == bool
        weight = x["mask"] / x["mask"].sum(1, keepdims=True)
        return jnp.einsum("bt,btd->bd", weight, params["table"][x["tokens"]]) @ params["w"]

    return from_functions(init, apply, name="embedding")


def test_tokens_and_their_mask_are_what_they_were(tmp_path: Path) -> None:
    x, y = sentences()
    run = train((x, y), model=embedding(), epochs=30, lr=1.0, batch_size=10, run=tmp_path / "r")
    assert run.history.losses[-1] < run.history.losses[0]
    assert run.file.data.sample_shape == {"mask": [LENGTH], "tokens": [LENGTH]}

    # predicted from the folder alone, in another order of the names
    opened = Run.open(run.path, model=embedding())
    new = {"tokens": x["tokens"][:7], "mask": x["mask"][:7]}
    np.testing.assert_array_equal(opened.predict(new), run.predict({name: new[name] for name in sorted(new)}))
    np.testing.assert_array_equal(opened.predict(x), opened.predict({**x, "unused": y}))


def test_a_tuple_of_inputs_stopped_and_continued_has_the_same_bits(tmp_path: Path) -> None:
    x, y = sentences()
    pair = (x["tokens"].astype(np.float32), x["mask"].astype(np.float32))

    def model() -> Any:
        return from_functions(lambda key: jnp.zeros((LENGTH, 2)), lambda w, x: (x[0] * x[1]) @ w)

    whole = train((pair, y), model=model(), epochs=3, run=tmp_path / "whole")
    half = train((pair, y), model=model(), epochs=1, run=tmp_path / "half")
    assert resume(half.path, data=(pair, y), model=model(), epochs=3).weights_sha256 == whole.weights_sha256
    assert isinstance(whole.data.train.x, tuple)


def test_fingerprints_know_every_part() -> None:
    x, y = sentences()
    known = load_data((x, y), as_given=True).fingerprint
    other = {**x, "mask": ~x["mask"]}
    assert load_data((other, y), as_given=True).fingerprint != known
    assert load_data((dict(reversed(x.items())), y), as_given=True).fingerprint == known


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": np.ones((N - 1, LENGTH), bool)}, r"x\['mask'\] has 119 samples but y has 120"),
        ({"tokens": np.full((N, LENGTH), np.nan)}, r"x\['tokens'\]: row 0"),
    ],
)
def test_a_part_that_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    x, y = sentences()
    with pytest.raises(DataError, match=message):
        train(({**x, **change}, y), model=embedding(), run=False)


def test_the_built_in_models_take_one_array() -> None:
    with pytest.raises(DataError, match="several parts, tokens, mask; the built-in models take one array"):
        train(sentences(), model="mlp", run=False)


def test_new_samples_need_every_part(tmp_path: Path) -> None:
    x, y = sentences()
    run = train((x, y), model=embedding(), epochs=1, run=False)
    with pytest.raises(DataError, match="do not fit this model"):
        run.predict({"tokens": x["tokens"]})
    with pytest.raises(DataError, match="whole numbers"):
        run.predict({**x, "tokens": x["tokens"] + 0.5})


def test_a_loss_of_ones_own_gets_what_the_model_returns(tmp_path: Path) -> None:
    """A tag for each token: outputs (b, t, k) and targets (b, t), and a second output beside them."""
    x, _ = sentences()
    tags = x["tokens"] % 3

    def loss(outputs: Any, targets: Any) -> Any:
        assert outputs["tags"].shape[1:] == (LENGTH, 3)
        assert targets.dtype == jnp.int32
        chosen = jnp.take_along_axis(jax.nn.log_softmax(outputs["tags"]), targets[..., None], 2)[..., 0]
        return -chosen.mean(1) + 0.01 * jnp.square(outputs["size"])

    def apply(table: Any, x: Any) -> Any:
        return {"tags": table[x], "size": table[x].sum((1, 2))}

    model = from_functions(lambda key: 0.1 * jax.random.normal(key, (WORDS, 3)), apply)
    given = {"lr": 5.0, "epochs": 40, "batch_size": 20}
    run = train((x["tokens"], tags), model=model, loss=loss, run=tmp_path / "r", **given)
    predicted = run.predict(x["tokens"])
    assert predicted["tags"].shape == (N, LENGTH, 3)
    assert (predicted["tags"].argmax(2) == tags).mean() > 0.95
    assert set(run.evaluate().values) == {"loss"}

    # from the folder alone, without the loss, and without the code
    for opened in (Run.open(run.path, model=model), Run.open(run.path)):
        again = opened.predict(x["tokens"])
        np.testing.assert_allclose(again["tags"], predicted["tags"], rtol=1e-6)


def test_outputs_of_a_regression_may_have_the_shape_of_its_targets() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    y = np.stack([x, -x], 2)
    model = from_functions(lambda key: jnp.zeros((2, 3, 2)), lambda w, x: x[:, :, None] * w[0] + w[1])
    run = train((x, y), model=model, epochs=300, lr=1.0, run=False)
    assert run.predict(x).shape == (60, 3, 2)
    assert run.evaluate().values["rmse"] < 0.05


# --- precision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["mlp", pytest.param("rnn", marks=pytest.mark.slow)])
def test_in_bfloat16_weights_stay_float32_and_results_come_near(model: str, tmp_path: Path) -> None:
    whole = train("digits", model=model, precision="bfloat16", epochs=3, run=tmp_path / "whole")
    plain = train("digits", model=model, epochs=3, run=False)
    assert {leaf.dtype for leaf in jax.tree.leaves(whole.params)} == {np.dtype(np.float32)}
    assert whole.weights_sha256 != plain.weights_sha256
    assert abs(whole.evaluate().loss - plain.evaluate().loss) < 0.02

    half = train("digits", model=model, precision="bfloat16", epochs=1, run=tmp_path / "half")
    assert resume(half.path, epochs=3).weights_sha256 == whole.weights_sha256
    np.testing.assert_array_equal(Run.open(whole.path).predict(whole.data.test.x), whole.predict(whole.data.test.x))


def test_the_model_sees_bfloat16_and_keeps_its_state_in_float32() -> None:
    seen = []

    def apply(params: Any, state: Any, x: Any, training: bool) -> Any:
        seen.append((params.dtype, state.dtype, x.dtype))
        return x.reshape(len(x), -1) @ params, 0.99 * state + 0.01 * x.mean()

    model = from_functions(lambda key: (jnp.zeros((64, 10)), jnp.float32(0)), apply, has_state=True)
    run = train("digits", model=model, precision="bfloat16", epochs=1, run=False)
    assert set(seen[-3:]) == {tuple(map(np.dtype, (jnp.bfloat16, np.float32, jnp.bfloat16)))}
    assert run.state.model_state.dtype == jnp.float32


@pytest.mark.filterwarnings("default")
def test_a_keras_model_has_its_own_policy() -> None:
    pytest.importorskip("keras", reason="keras is not installed")
    from zoo import keras

    with pytest.raises(OptionError, match="mixed_bfloat16"):
        train("digits", model=keras(), precision="bfloat16", run=False)


# --- what is said of mistakes ----------------------------------------------------------------------------------------


def test_probabilities_are_told_from_scores(tmp_path: Path) -> None:
    def apply(params: Any, x: Any) -> Any:
        return jax.nn.softmax(x.reshape(len(x), -1) @ params)

    model = from_functions(lambda key: 0.01 * jax.random.normal(key, (64, 10)), apply)
    run = train("digits", model=model, epochs=1, run=tmp_path / "r")
    said = [event.detail["message"] for event in run.history.events if event.kind == "warned"]
    assert any("leave out its last softmax" in message for message in said)


@pytest.mark.parametrize(
    "thing", [object(), 3, [1, 2], dict, lambda key: key], ids=["object", "3", "list", "class", "function"]
)
def test_what_is_no_model_is_refused_with_what_is_taken(thing: Any) -> None:
    with pytest.raises(ModelError, match=r"Flax, Equinox, Keras, Haiku or PyTorch|give an object of it"):
        train("digits", model=thing, run=False)


@pytest.mark.filterwarnings("default")
def test_modules_are_compared_and_stay_what_they_were(tmp_path: Path) -> None:
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
    from zoo import flax_nnx

    one, two = flax_nnx(), flax_nnx()
    before = np.asarray(one.last.kernel[...])
    study = compare("digits", models=["linear", one, two], batch_sizes=50, epochs=1, run=tmp_path / "study")
    assert list(study.runs) == ["linear-batch-50", "Net-batch-50", "Net-2-batch-50"]
    np.testing.assert_array_equal(np.asarray(one.last.kernel[...]), before)
    hashes = [run.weights_sha256 for run in study.runs.values()]
    assert hashes[1] == hashes[2] != hashes[0]
    assert isinstance(one, nnx.Module)


def test_a_model_that_is_found_to_depend_on_its_batch_stays_in_bfloat16(tmp_path: Path) -> None:
    seen = []

    def apply(params: Any, x: Any) -> Any:
        seen.append(x.dtype)
        h = x.reshape(len(x), -1)
        return (h - h.mean(0)) @ params

    def model() -> Any:
        return from_functions(lambda key: 0.1 * jax.random.normal(key, (64, 10)), apply)

    whole = train("digits", model=model(), precision="bfloat16", epochs=2, run=tmp_path / "whole")
    half = train("digits", model=model(), precision="bfloat16", epochs=1, run=tmp_path / "half")
    assert whole.setup.model.uses_batch_statistics
    assert seen[-1] == jnp.bfloat16
    continued = resume(half.path, model=model(), epochs=2)
    assert continued.weights_sha256 == whole.weights_sha256
