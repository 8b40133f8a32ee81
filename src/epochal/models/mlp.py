"""A multi-layer perceptron: dense layers with ReLU between them."""

from __future__ import annotations

import math

import jax

from epochal.models.layers import check_dropout, check_sizes, dense, drop_out, init_dense
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples


def build_mlp(
    sample_shape: tuple[int, ...], outputs: int, *, hidden: tuple[int, ...] = (128,), dropout: float = 0.0
) -> Model:
    """Return ``flatten → (dense → ReLU → dropout) … → dense``; ``hidden`` are the sizes of the layers between."""
    check_sizes("hidden", hidden)
    check_dropout(dropout)
    sizes = (math.prod(sample_shape), *hidden, outputs)

    def init(key: Key) -> tuple[Params, ModelState]:
        keys = jax.random.split(key, len(sizes) - 1)
        layers = [init_dense(*one) for one in zip(keys, sizes[:-1], sizes[1:], strict=True)]
        return layers, ()

    def apply(
        params: Params, state: ModelState, x: Samples, key: Key | None, training: bool
    ) -> tuple[Outputs, ModelState]:
        x = x.reshape(x.shape[0], -1)
        for number, layer in enumerate(params[:-1]):
            layer_key = jax.random.fold_in(key, number) if training and key is not None else None
            x = drop_out(jax.nn.relu(dense(layer, x)), dropout, layer_key)
        return dense(params[-1], x), state

    return Model("mlp", init, apply, needs_rng=dropout > 0, options={"hidden": list(hidden), "dropout": dropout})
