"""Recurrent cells, attention, spectral norm, grouped convolutions: layers with states, noise and loops of their own."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from epochal import resume, train

os.environ.setdefault("KERAS_BACKEND", "jax")
pytestmark = pytest.mark.filterwarnings("default")


def flax_nnx() -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.cells = nnx.RNN(nnx.LSTMCell(8, 16, rngs=rngs))
            self.look = nnx.MultiHeadAttention(2, 16, 16, dropout_rate=0.1, decode=False, rngs=rngs)
            self.last = nnx.SpectralNorm(nnx.Linear(16, 10, rngs=rngs), rngs=rngs)

        def __call__(self, x: Any) -> Any:
            h = self.cells(x)
            return self.last((h + self.look(h)).mean(1))

    return Net(nnx.Rngs(0))


def flax_linen() -> Any:
    from flax import linen

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            h = linen.RNN(linen.LSTMCell(16))(x)
            h = h + linen.MultiHeadDotProductAttention(2, dropout_rate=0.1, deterministic=not train)(h)
            return linen.SpectralNorm(linen.Dense(10))(h.mean(1), update_stats=train)

    return Net()


def equinox() -> Any:
    import equinox as eqx

    class Net(eqx.Module):
        cell: eqx.nn.GRUCell
        look: eqx.nn.MultiheadAttention
        last: eqx.nn.SpectralNorm

        def __init__(self, key: Any) -> None:
            one, two, three, four = jax.random.split(key, 4)
            self.cell = eqx.nn.GRUCell(8, 16, key=one)
            self.look = eqx.nn.MultiheadAttention(2, 16, dropout_p=0.1, key=two)
            self.last = eqx.nn.SpectralNorm(eqx.nn.Linear(16, 10, key=three), "weight", key=four)

        def __call__(self, x: Any, state: Any, *, key: Any = None) -> Any:
            h = jax.lax.scan(lambda h, x: (self.cell(x, h),) * 2, jnp.zeros(16), x)[1]
            h = h + self.look(h, h, h, key=key, inference=key is None)
            return self.last(h.mean(0), state)

    return eqx.nn.make_with_state(Net)(jax.random.key(0))


def keras() -> Any:
    import keras as library

    library.utils.set_random_seed(0)
    layers = library.layers
    inputs = library.Input((8, 8))
    h = layers.LSTM(16, return_sequences=True, dropout=0.1)(inputs)
    h = layers.LayerNormalization()(h + layers.MultiHeadAttention(2, 8, dropout=0.1)(h, h))
    return library.Model(inputs, layers.SpectralNormalization(layers.Dense(10))(layers.GlobalAveragePooling1D()(h)))


def haiku() -> Any:
    import haiku as hk

    def net(x: Any) -> Any:
        core = hk.LSTM(16)
        h, _ = hk.dynamic_unroll(core, x, core.initial_state(x.shape[0]), time_major=False)
        h = h + hk.MultiHeadAttention(2, 8, w_init=hk.initializers.VarianceScaling(1.0))(h, h, h)
        return hk.Linear(10)(h.mean(1))

    return hk.transform(net)


def torchax() -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.LSTM(8, 16, batch_first=True)
            self.look = nn.MultiheadAttention(16, 2, batch_first=True)
            self.last = nn.utils.parametrizations.spectral_norm(nn.Linear(16, 10))

        def forward(self, x: Any) -> Any:
            h, _ = self.cells(x)
            return self.last((h + self.look(h, h, h, need_weights=False)[0]).mean(1))

    torch.manual_seed(0)
    return Net()


def torchax_convolutions() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    first = [nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(8, 16, 3, groups=4, padding=1), nn.GroupNorm(4, 16), nn.GELU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(16, 10))


ALL = (flax_nnx, flax_linen, equinox, keras, haiku, torchax, torchax_convolutions)


def skip_without(make: Any) -> None:
    package = make.__name__.split("_")[0]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def test_a_recurrent_cell_of_flax_is_trained_and_evaluated() -> None:
    """Its carry draws from a stream of its own, in evaluation too."""
    skip_without(flax_nnx)
    run = train("digits", model=flax_nnx(), epochs=1, lr=0.1, run=False)
    assert run.evaluate().samples == 360


@pytest.mark.slow
@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_stopped_and_continued_it_ends_with_the_same_bits(make: Any, tmp_path: Path) -> None:
    skip_without(make)
    whole = train("digits", model=make(), epochs=4, lr=0.1, run=tmp_path / "whole")
    train("digits", model=make(), epochs=2, lr=0.1, run=tmp_path / "half")
    assert resume(tmp_path / "half", model=make(), epochs=4).weights_sha256 == whole.weights_sha256
    assert whole.history.losses[-1] < whole.history.losses[0]
