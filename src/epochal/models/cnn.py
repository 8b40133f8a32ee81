"""A convolutional network of the LeNet-5 class (LeCun et al. 1998), with ReLU and max-pooling."""

from __future__ import annotations

import math
from itertools import pairwise

import jax
import jax.numpy as jnp

from epochal.errors import ModelError
from epochal.models.kernels.convolution import conv_relu_pool
from epochal.models.layers import check_dropout, check_sizes, dense, drop_out, init_dense
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples


def build_cnn(
    sample_shape: tuple[int, ...],
    outputs: int,
    *,
    channels: tuple[int, ...] = (32, 64),
    kernel: int = 5,
    hidden: tuple[int, ...] = (256,),
    dropout: float = 0.0,
) -> Model:
    """Return ``(convolution → ReLU → 2×2 max-pool) … → flatten → (dense → ReLU → dropout) … → dense``.

    Args:
        sample_shape: (height, width) or (height, width, channels) of an image; each pool halves height and width.
        outputs: how many.
        channels: features of each convolution.
        kernel: the side of its square kernels, an odd number; zeros around the image keep its size.
        hidden: sizes of the dense layers between.
        dropout: share of their values that is left out while training, 0 to below 1.

    Raises `ModelError` for samples that are no images, or too small, and for values out of range.
    """
    check_sizes("channels", channels)
    check_sizes("hidden", hidden)
    check_sizes("kernel", (kernel,))
    check_dropout(dropout)
    if kernel % 2 == 0:
        raise ModelError(f"kernel must be odd, to have a middle, got {kernel}; use {kernel + 1}")

    height, width, colours = _image_shape(sample_shape, len(channels))
    if kernel > 2 * max(height, width) + 1:
        raise ModelError(f"a kernel of {kernel} reaches beyond images of {height}×{width} from any place; take less")
    shrink = 2 ** len(channels)
    sizes = ((height // shrink) * (width // shrink) * channels[-1], *hidden, outputs)

    def init(key: Key) -> tuple[Params, ModelState]:
        keys = iter(jax.random.split(key, len(channels) + len(sizes) - 1))
        convolutions = [
            _init_convolution(next(keys), kernel, before, after) for before, after in pairwise((colours, *channels))
        ]
        layers = [init_dense(next(keys), before, after) for before, after in pairwise(sizes)]
        return {"convolutions": convolutions, "dense": layers}, ()

    def apply(
        params: Params, state: ModelState, x: Samples, key: Key | None, training: bool
    ) -> tuple[Outputs, ModelState]:
        x = x.reshape(x.shape[0], height, width, colours)
        for layer in params["convolutions"]:
            x = conv_relu_pool(x, layer["kernel"], layer["bias"])
        x = x.reshape(x.shape[0], -1)
        for number, layer in enumerate(params["dense"][:-1]):
            layer_key = jax.random.fold_in(key, number) if training and key is not None else None
            x = drop_out(jax.nn.relu(dense(layer, x)), dropout, layer_key)
        return dense(params["dense"][-1], x), state

    options = {"channels": list(channels), "kernel": kernel, "hidden": list(hidden), "dropout": dropout}
    return Model("cnn", init, apply, needs_rng=dropout > 0, options=options)


def _init_convolution(key: Key, side: int, channels: int, features: int) -> dict[str, jax.Array]:
    """Return a kernel, normal with variance 2 / inputs (He et al. 2015), and biases of 0."""
    shape = (side, side, channels, features)
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
