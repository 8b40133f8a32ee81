"""The same small network in each library: a hidden layer with batch normalization and dropout, for samples of 8 × 8."""

from __future__ import annotations

import os
from typing import Any

import jax
import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")


def flax_nnx() -> Any:
    from flax import nnx

    class Net(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first = nnx.Linear(64, 32, rngs=rngs)
            self.norm = nnx.BatchNorm(32, rngs=rngs)
            self.drop = nnx.Dropout(0.2, rngs=rngs)
            self.last = nnx.Linear(32, 10, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.last(self.drop(nnx.relu(self.norm(self.first(x.reshape(len(x), -1))))))

    return Net(nnx.Rngs(0))


def flax_linen() -> Any:
    from flax import linen

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: Any, train: bool = False) -> Any:
            x = linen.Dense(32)(x.reshape(len(x), -1))
            x = linen.relu(linen.BatchNorm(use_running_average=not train)(x))
            return linen.Dense(10)(linen.Dropout(0.2, deterministic=not train)(x))

    return Net()


def equinox() -> Any:
    import equinox as eqx

    class Net(eqx.Module):
        first: eqx.nn.Linear
        norm: eqx.nn.BatchNorm
        drop: eqx.nn.Dropout
        last: eqx.nn.Linear

        def __init__(self, key: Any) -> None:
            one, two = jax.random.split(key)
            self.first = eqx.nn.Linear(64, 32, key=one)
            self.norm = eqx.nn.BatchNorm(32, axis_name="batch", mode="batch")
            self.drop = eqx.nn.Dropout(0.2)
            self.last = eqx.nn.Linear(32, 10, key=two)

        def __call__(self, x: Any, state: Any, *, key: Any = None) -> Any:
            x, state = self.norm(self.first(x.ravel()), state)
            return self.last(self.drop(jax.nn.relu(x), key=key)), state

    return eqx.nn.make_with_state(Net)(jax.random.key(0))


def keras() -> Any:
    import keras as library

    library.utils.set_random_seed(0)
    layers = library.layers
    return library.Sequential(
        [
            layers.Flatten(),
            layers.Dense(32),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )


def haiku() -> Any:
    import haiku as hk

    def net(x: Any, is_training: bool) -> Any:
        x = hk.BatchNorm(True, True, 0.9)(hk.Linear(32)(hk.Flatten()(x)), is_training)
        x = jax.nn.relu(x)
        return hk.Linear(10)(hk.dropout(hk.next_rng_key(), 0.2, x) if is_training else x)

    return hk.transform_with_state(net)


def torch() -> Any:
    import torch as library

    library.manual_seed(0)
    nn = library.nn
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10)
    )


ZOO = {
    "flax_nnx": flax_nnx,
    "flax_linen": flax_linen,
    "equinox": equinox,
    "keras": keras,
    "haiku": haiku,
    "torch": torch,
}
PACKAGES = {"flax_nnx": "flax", "flax_linen": "flax", "torch": "torchax"}
"""What has to be installed, where it is not called as the entry is."""


def outputs_of(name: str, trained: Any, x: np.ndarray) -> np.ndarray:
    """Return what a trained object makes of samples, as its library computes it."""
    if name == "equinox":
        module, state = trained
        return np.asarray(jax.vmap(lambda one: module(one, state)[0])(x))
    if name == "haiku":
        return np.asarray(haiku().apply(*trained, None, x, False)[0])
    if name == "torch":
        import torch as library

        return trained(library.tensor(np.array(x))).detach().numpy()
    return np.asarray(trained(x))
