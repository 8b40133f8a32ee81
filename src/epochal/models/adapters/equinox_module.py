"""Equinox modules: called for one sample, so they are mapped over the batch; a state is shared by the whole batch."""

from __future__ import annotations

import inspect
from typing import Any

import equinox as eqx
import jax

from epochal.errors import ModelError
from epochal.models.adapters.recognise import Spec, copied, name_of
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples


def adapt(thing: Any, samples: Spec) -> Model:
    """Return a module, or a pair of it and its `equinox.nn.State`, as a model; training starts from its weights now."""
    module, state = thing if isinstance(thing, tuple) else (thing, None)
    if state is None and _holds(module, eqx.nn.StateIndex):
        name = name_of(module)
        raise ModelError(
            f"the Equinox module {name} has a state; give both: model=equinox.nn.make_with_state({name})(…)"
        )

    weights, _ = eqx.partition(module, eqx.is_inexact_array)
    weights = copied(weights)
    leaves, structure = jax.tree.flatten(state)
    leaves = copied(leaves)
    static = {
        training: eqx.partition(eqx.nn.inference_mode(module, not training), eqx.is_inexact_array)[1]
        for training in (True, False)
    }
    takes_key = "key" in inspect.signature(type(module).__call__).parameters
    axis = _axis_name(module)

    def init(key: Key) -> tuple[Params, ModelState]:
        return weights, leaves if state is not None else ()

    def apply(params: Params, leaves: ModelState, x: Samples, key: Key | None, training: bool) -> tuple[Outputs, Any]:
        whole = eqx.combine(params, static[training])
        count = len(jax.tree.leaves(x)[0])
        keys = jax.random.split(key, count) if takes_key and key is not None else None

        def one(x: Any, key: Any, *states: Any) -> Any:
            return whole(x, *states, **({"key": key} if takes_key else {}))

        if state is None:
            return jax.vmap(one, axis_name=axis)(x, keys), leaves
        before = jax.tree.unflatten(structure, leaves)
        mapped = jax.vmap(one, in_axes=(0, 0, None), out_axes=(0, None), axis_name=axis)
        outputs, after = mapped(x, keys, before)
        return outputs, jax.tree.leaves(after) if training else leaves

    def trained(params: Params, leaves: ModelState) -> Any:
        whole = eqx.combine(copied(params), static[False])
        return whole if state is None else (whole, jax.tree.unflatten(structure, copied(list(leaves))))

    return Model(
        name_of(module),
        init,
        apply,
        needs_rng=takes_key,
        uses_batch_statistics=_holds(module, eqx.nn.BatchNorm),
        packages=("equinox",),
        trained=trained,
    )


def _parts(module: Any, kind: type) -> list[Any]:
    def is_one(part: Any) -> bool:
        return isinstance(part, kind)

    return [part for part in jax.tree.leaves(module, is_leaf=is_one) if is_one(part)]


def _holds(module: Any, kind: type) -> bool:
    return bool(_parts(module, kind))


def _axis_name(module: Any) -> Any:
    """Return the name of the batch's axis that the module's normalizations know. Raises `ModelError` for several."""
    names = {one.axis_name for one in _parts(module, eqx.nn.BatchNorm)}
    if len(names) > 1:
        raise ModelError(f"the module's BatchNorm layers name the batch's axis {sorted(map(str, names))}; use one name")
    return names.pop() if names else "batch"
