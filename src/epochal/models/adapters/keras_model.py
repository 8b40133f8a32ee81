"""Keras 3 models on its JAX backend, through `stateless_call`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
import keras

from epochal.errors import ModelError
from epochal.models.adapters.recognise import Spec, copied, zeros
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples

_SEED = "seed_generator_state"
_COUNTED = re.compile(r"_[0-9]+(?=/|$)")


def adapt(model: Any, samples: Spec) -> Model:
    """Return a model; training starts from its weights now. One that is not built yet is built for the samples."""
    backend = keras.backend.backend()
    if backend != "jax":
        raise ModelError(
            f"Keras runs on {backend} here; Epochal needs its JAX backend: set KERAS_BACKEND=jax before keras is "
            "imported, and make the model again"
        )
    if not model.built:
        model(zeros(samples))
    if model.losses:
        raise ModelError(
            f"the Keras model '{model.name}' has regularizers, which Epochal does not add to the loss; leave them out, "
            "and give weight_decay=…"
        )

    others = list(model.non_trainable_variables)
    is_seed = [variable.name == _SEED for variable in others]
    names = _names(model.trainable_variables)
    kept = [variable for variable, seed in zip(others, is_seed, strict=True) if not seed]
    kept_names = _names(kept)
    weights = dict(zip(names, copied([one.value for one in model.trainable_variables]), strict=True))
    state = dict(zip(kept_names, copied([one.value for one in kept]), strict=True))
    seeds = copied([one.value for one, seed in zip(others, is_seed, strict=True) if seed])

    def init(key: Key) -> tuple[Params, ModelState]:
        return weights, state

    def apply(params: Params, state: ModelState, x: Samples, key: Key | None, training: bool) -> tuple[Outputs, Any]:
        values, drawn = iter([state[name] for name in kept_names]), iter(_seeded(seeds, key))
        before = [next(drawn if seed else values) for seed in is_seed]
        outputs, after = model.stateless_call([params[name] for name in names], before, x, training=training)
        remaining = [one for one, seed in zip(after, is_seed, strict=True) if not seed]
        return outputs, dict(zip(kept_names, remaining, strict=True))

    def trained(params: Params, state: ModelState) -> Any:
        for name, variable in zip(names, model.trainable_variables, strict=True):
            variable.assign(params[name])
        for name, variable in zip(kept_names, kept, strict=True):
            variable.assign(state[name])
        return model

    layers = {type(layer).__name__ for layer in model._flatten_layers()}
    notes: tuple[str, ...] = ()
    if getattr(model, "compiled", False):
        notes = (
            f"what the Keras model '{model.name}' was compiled with (optimizer, loss, metrics) is not used; give "
            "optimizer=…, loss=…, metrics=… to train",
        )
    return Model(
        _COUNTED.sub("", model.name),
        init,
        apply,
        needs_rng=any(is_seed),
        uses_batch_statistics="BatchNormalization" in layers,
        packages=("keras",),
        trained=trained,
        notes=notes,
    )


def _names(variables: Sequence[Any]) -> list[str]:
    """Return a name for each variable: its place and its path, without the numbers that Keras counts up in a process.

    So the same model, made again where the first one still is, has the same names.
    """
    return [f"{place} {_COUNTED.sub('', variable.path)}" for place, variable in enumerate(variables)]


def _seeded(seeds: Sequence[Any], key: Key | None) -> Sequence[Any]:
    """Return the generators' states, each derived from the key; without one, as they are."""
    if key is None:
        return seeds
    keys = (jax.random.key_data(jax.random.fold_in(key, number)) for number in range(len(seeds)))
    return [data[: seed.shape[0]].astype(seed.dtype) for data, seed in zip(keys, seeds, strict=True)]
