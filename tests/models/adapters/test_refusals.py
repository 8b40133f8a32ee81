"""Modules that cannot be trained as they are: a line or two with the cause and the fix."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from epochal import train
from epochal.errors import ModelError
from epochal.models.adapters.recognise import adapt, check_known, library_of

pytestmark = pytest.mark.filterwarnings("default")
SAMPLES = jax.ShapeDtypeStruct((2, 8, 8), np.float32)


def refused(model: Any, message: str) -> None:
    """Assert that a model is refused in a line or two."""
    with pytest.raises(ModelError, match=message) as caught:
        train("digits", model=model, epochs=1, run=False)
    assert len(str(caught.value)) < 400


def test_nothing_is_imported_to_tell_whose_a_model_is() -> None:
    code = (
        "import sys\nfrom epochal.models.adapters.recognise import library_of\nassert library_of(object()) is None\n"
        "print(sorted({'flax', 'keras', 'torch', 'equinox', 'haiku', 'torchax'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- PyTorch --------------------------------------------------------------------------------------------------------


@pytest.fixture
def torch() -> Any:
    """PyTorch, where it and torchax are installed."""
    pytest.importorskip("torchax" if "torchax" in sys.modules else "torch", reason="torch is not installed")
    from importlib.util import find_spec

    if find_spec("torchax") is None:
        pytest.skip("torchax is not installed")
    import torch

    return torch


def test_a_lazy_module_has_to_be_called_once(torch: Any) -> None:
    refused(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(10)), "is lazy.*call it once with a sample")


def test_a_module_elsewhere_has_to_come_to_the_cpu(torch: Any) -> None:
    refused(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10, device="meta")), "is on meta; move it to")


def test_control_flow_by_values_is_named(torch: Any) -> None:
    class Decides(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:
            y = self.layer(x.reshape(len(x), -1))
            return y * 2 if y.sum() > 0 else y

    refused(Decides(), "decides by the values of its samples.*torch.where")


def test_samples_without_a_channel_are_told(torch: Any) -> None:
    refused(torch.nn.Conv1d(3, 4, 3), "convolutions want a channel before")


def test_another_number_of_outputs_is_told(torch: Any) -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 7))
    refused(module, r"returns shape \(2, 7\) for two samples of 'digits'; \(2, 10\) is needed")


def test_frozen_parameters_stay_what_they_are(torch: Any) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
    module[1].weight.requires_grad_(False)
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    run = train("digits", model=module, epochs=1, run=False)

    same = {name for name, value in module.named_parameters() if torch.equal(value, before[name])}
    assert same == {"1.weight"}
    assert run.model is module
    assert not module.training


def test_what_torchax_computes_otherwise_is_refused(torch: Any) -> None:
    class Odd(torch.nn.Module):
        """Has other outputs for tensors that are not PyTorch's own."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:
            y = self.layer(x.reshape(len(x), -1))
            return y if type(x) is torch.Tensor else y + 1

    refused(Odd(), "has other outputs or running averages under torchax")


# --- other libraries ------------------------------------------------------------------------------------------------


def test_keras_needs_its_jax_backend() -> None:
    pytest.importorskip("keras", reason="keras is not installed")
    code = (
        "import keras\nfrom epochal import train\nfrom epochal.errors import ModelError\n"
        "model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])\n"
        "try:\n    train('digits', model=model, run=False)\nexcept ModelError as error:\n    print(error)"
    )
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert "Keras runs on numpy here" in done.stdout, done.stderr[-500:]
    assert "KERAS_BACKEND=jax" in done.stdout


def test_regularizers_of_keras_are_refused() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="keras is not installed")
    layers = [keras.layers.Flatten(), keras.layers.Dense(10, kernel_regularizer="l2")]
    refused(keras.Sequential(layers), "regularizers.*weight_decay")


def test_a_state_without_its_module_is_asked_for() -> None:
    eqx = pytest.importorskip("equinox", reason="equinox is not installed")
    module, _ = eqx.nn.make_with_state(eqx.nn.BatchNorm)(8, axis_name="batch", mode="batch")
    refused(module, "has a state; give both")


def test_a_class_is_no_model() -> None:
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
    refused(nnx.Linear, "give an object of it, such as Linear")


def test_layers_of_flax_have_their_own_noise() -> None:
    """Two dropouts in a row must not drop the same values: a pair of the same mask would keep 0.5, not 0.25."""
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")

    class Twice(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.one, self.two = nnx.Dropout(0.5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
            self.scale = nnx.Param(jnp.ones(()))

        def __call__(self, x: Any) -> Any:
            return self.two(self.one(x * self.scale))

    model = adapt(Twice(), SAMPLES)
    params, state = model.init(jax.random.key(0))
    outputs, _ = model.apply(params, state, jnp.ones((64, 64)), jax.random.key(1), True)
    assert 0.2 < float((outputs != 0).mean()) < 0.3


def test_layers_of_keras_have_their_own_noise() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="keras is not installed")
    layers = [keras.Input((64,)), keras.layers.Dropout(0.5), keras.layers.Dropout(0.5), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    model.layers[-1].kernel.assign(np.eye(64, 3))
    adapted = adapt(model, jax.ShapeDtypeStruct((2, 64), np.float32))
    params, state = adapted.init(jax.random.key(0))
    outputs, _ = adapted.apply(params, state, jnp.ones((4000, 64)), jax.random.key(1), True)
    assert 0.22 < float((outputs != 0).mean()) < 0.28


def test_libraries_are_known_by_the_type_alone() -> None:
    eqx = pytest.importorskip("equinox", reason="equinox is not installed")
    module = eqx.nn.Linear(2, 2, key=jax.random.key(0))
    found = library_of(module)
    assert found is not None
    assert found.name == "Equinox"
    check_known((module, None))


@pytest.mark.parametrize("has_state", [False, True])
def test_transforms_of_haiku_may_do_without_a_key(has_state: bool) -> None:
    hk = pytest.importorskip("haiku", reason="haiku is not installed")
    transform = hk.transform_with_state if has_state else hk.transform
    model = adapt(hk.without_apply_rng(transform(lambda x: hk.Linear(3)(hk.Flatten()(x)))), SAMPLES)
    params, state = model.init(jax.random.key(0))
    outputs, after = model.apply(params, state, jnp.ones((5, 8, 8)), None, True)
    assert outputs.shape == (5, 3)
    assert after == state
    assert not model.needs_rng
