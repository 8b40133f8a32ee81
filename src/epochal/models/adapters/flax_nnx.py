"""Flax NNX modules: split into weights, other variables and random streams, and merged again in each call."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from epochal.models.adapters.recognise import Spec, copied, name_of
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples


def adapt(module: nnx.Module, samples: Spec) -> Model:
    """Return a module as a model; its weights now are those that training starts from.

    `nnx.Param` variables are trained, every other one is the model's state. Each random stream draws from a key of its
    own for every iteration.
    """
    ways = {training: _split(module, training) for training in (True, False)}
    _, params, streams, others = ways[False]
    params, others = (copied(nnx.to_pure_dict(part)) for part in (params, others))

    def init(key: Key) -> tuple[Params, ModelState]:
        return params, others

    def apply(params: Params, state: ModelState, x: Samples, key: Key | None, training: bool) -> tuple[Outputs, Any]:
        graph, *parts = ways[training]
        # new variables in each call: those of another call, which is traced apart, may not be changed
        own_params, streams, own_others = (jax.tree.map(lambda leaf: leaf, part) for part in parts)
        _put(own_params, params)
        _put(own_others, state)
        merged = nnx.merge(graph, own_params, _seeded(streams, key), own_others)
        outputs = merged(x)
        return outputs, nnx.to_pure_dict(_split_as_is(merged)[3])

    def trained(params: Params, state: ModelState) -> nnx.Module:
        nnx.update(module, copied(params))
        if jax.tree.leaves(state):
            nnx.update(module, copied(state))
        module.eval()
        return module

    kinds = {type(one).__name__ for _, one in nnx.iter_graph(module)}
    return Model(
        name_of(module),
        init,
        apply,
        needs_rng=bool(jax.tree.leaves(streams)),
        uses_batch_statistics=bool(kinds & {"BatchNorm"}),
        packages=("flax",),
        trained=trained,
    )


def _split_as_is(module: nnx.Module) -> Any:
    return nnx.split(module, nnx.Param, nnx.RngState, ...)


def _split(module: nnx.Module, training: bool) -> Any:
    """Return the parts of a copy in training or in evaluation mode."""
    copy = nnx.clone(module)
    copy.train() if training else copy.eval()
    return _split_as_is(copy)


def _put(state: Any, values: Any) -> None:
    if jax.tree.leaves(values):
        nnx.replace_by_pure_dict(state, values)


def _seeded(streams: Any, key: Key | None) -> Any:
    """Return random streams that begin anew, each with a key derived from this one; without one, as they are."""
    if key is None:
        return streams
    leaves, structure = jax.tree.flatten(streams)
    seeded = [
        jax.random.fold_in(key, number) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else 0 * leaf
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, seeded)
