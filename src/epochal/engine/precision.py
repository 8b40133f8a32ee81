"""Mixed precision: weights in float32, and the model's computation in bfloat16 (Kalamkar et al. 2019).

bfloat16 has float32's range, so that no loss needs scaling. Losses, metrics, gradients' sums and updates are float32.
"""

from __future__ import annotations

import dataclasses
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Shaped

from epochal.errors import OptionError
from epochal.models import Model
from epochal.models.model import Key, ModelState, Outputs, Params, Samples

_KNOWN: WeakKeyDictionary[Model, Model] = WeakKeyDictionary()


def in_bfloat16(model: Model) -> Model:
    """Return a model that computes in bfloat16; the same object for the same model, so that programs are shared.

    Its state keeps its types: a running average in bfloat16 would hardly move. Raises `OptionError` for a Keras model,
    which turns everything into its own policy's type again.
    """
    if "keras" in model.packages:
        raise OptionError(
            "precision has no effect on a Keras model; call keras.config.set_dtype_policy('mixed_bfloat16') before it "
            "is made"
        )
    if model not in _KNOWN:
        _KNOWN[model] = _in_bfloat16(model)
    return _KNOWN[model]


def _in_bfloat16(model: Model) -> Model:
    apply_as_it_is = model.apply  # not the model, which would keep itself alive

    def apply(
        params: Params, state: ModelState, x: Samples, key: Key | None, training: bool
    ) -> tuple[Outputs, ModelState]:
        outputs, after = apply_as_it_is(_short(params), state, _short(x), key, training)
        return outputs, jax.tree.map(lambda new, old: new.astype(old.dtype), after, state)

    return dataclasses.replace(model, apply=apply)


def _short(tree: PyTree[Shaped[Any, "..."]]) -> PyTree[Shaped[Any, "..."]]:
    """Return a tree with its float32 arrays in bfloat16."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16) if leaf.dtype == jnp.float32 else leaf, tree)
