"""A convolutional network of the LeNet-5 class (LeCun et al. 1998), with ReLU and max-pooling."""

from __future__ import annotations

import math
from itertools import pairwise

import jax
import jax.numpy as jnp

from epochal.errors import ModelError
from epochal.models.convolution import convolve, max_pool
from epochal.models.layers import check_dropout, check_sizes, dense, drop_out, init_dense
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples

_KERNEL = 5


def build_cnn(
    sample_shape: tuple[int, ...],
    outputs: int,
    *,
    channels: tuple[int, ...] = (32, 64),
    hidden: tuple[int, ...] = (256,),
    dropout: float = 0.0,
) -> Model:
    """Return ``(5×5 convolution → ReLU → 2×2 max-pool) … → flatten → (dense → ReLU → dropout) … → dense``."""
    check_sizes("channels", channels)
    check_sizes("hidden", hidden)
    check_dropout(dropout)
    height, width, colours = _image_shape(sample_shape, len(channels))
    shrink = 2 ** len(channels)
    sizes = ((height // shrink) * (width // shrink) * channels[-1], *hidden, outputs)

    def init(key: Key) -> tuple[Params, ModelState]:
        keys = iter(jax.random.split(key, len(channels) + len(sizes) - 1))
        convolutions = [
            _init_convolution(next(keys), before, after) for before, after in pairwise((colours, *channels))
        ]
        layers = [init_dense(next(keys), before, after) for before, after in pairwise(sizes)]
        return {"convolutions": convolutions, "dense": layers}, ()

    def apply(
        params: Params, state: ModelState, x: Samples, key: Key | None, training: bool
    ) -> tuple[Outputs, ModelState]:
        x = x.reshape(x.shape[0], height, width, colours)
        for layer in params["convolutions"]:
            x = max_pool(jax.nn.relu(convolve(x, layer["kernel"]) + layer["bias"]))
        x = x.reshape(x.shape[0], -1)
        for number, layer in enumerate(params["dense"][:-1]):
            noise = None if key is None else jax.random.fold_in(key, number)
            x = drop_out(jax.nn.relu(dense(layer, x)), dropout, noise)
        return dense(params["dense"][-1], x), state

    options = {"channels": list(channels), "hidden": list(hidden), "dropout": dropout}
    return Model("cnn", init, apply, random=dropout > 0, options=options)


def _init_convolution(key: Key, channels: int, features: int) -> dict[str, jax.Array]:
    """Return a kernel, normal with variance 2 / inputs (He et al. 2015), and biases of 0."""
    shape = (_KERNEL, _KERNEL, channels, features)
    kernel = jax.random.normal(key, shape) * math.sqrt(2 / math.prod(shape[:-1]))
    return {"kernel": kernel, "bias": jnp.zeros(features)}


def _image_shape(sample_shape: tuple[int, ...], pools: int) -> tuple[int, int, int]:
    if len(sample_shape) not in (2, 3):
        raise ModelError(f"cnn needs images, (height, width) or (height, width, channels), not {sample_shape}; use mlp")
    height, width, colours = (*sample_shape, 1)[:3]
    if min(height, width) < 2**pools:
        raise ModelError(
            f"cnn halves an image {pools} times, but these are {height}×{width}; use mlp, or fewer channels"
        )
    return height, width, colours
