"""Flax Linen modules: already pairs of functions; what remains is how a module is told that it is training."""

from __future__ import annotations

import inspect
from typing import Any

import jax

from epochal.models.adapters.recognise import Spec, copied, name_of, zeros
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples

_FLAGS = {  # names of the argument that tells training from evaluation, and its value in training
    "train": True,
    "training": True,
    "is_training": True,
    "deterministic": False,
    "use_running_average": False,
    "eval": False,
}


def adapt(thing: Any, samples: Spec) -> Model:
    """Return a module, or a pair of it and its variables, as a model; alone, its first weights come from the seed."""
    module, variables = thing if isinstance(thing, tuple) else (thing, None)
    flag = next((name for name in inspect.signature(type(module).__call__).parameters if name in _FLAGS), None)

    def flags(training: bool) -> dict[str, bool]:
        return {} if flag is None else {flag: _FLAGS[flag] is training}

    def init(key: Key) -> tuple[Params, ModelState]:
        begun = variables
        if begun is None:
            begun = module.init({"params": key, "dropout": key}, zeros(samples), **flags(False))
        others = {name: copied(part) for name, part in begun.items() if name != "params"}
        return copied(begun["params"]), others

    def apply(params: Params, state: ModelState, x: Samples, key: Key | None, training: bool) -> tuple[Outputs, Any]:
        rngs = {} if key is None else {"params": jax.random.fold_in(key, 0), "dropout": jax.random.fold_in(key, 1)}
        called = {"params": params, **state}
        if not (training and state):
            return module.apply(called, x, rngs=rngs, **flags(training)), state
        outputs, changed = module.apply(called, x, rngs=rngs, mutable=list(state), **flags(True))
        return outputs, dict(changed)

    def trained(params: Params, state: ModelState) -> Any:
        return module.bind({"params": copied(params), **copied(state)})

    shapes = jax.eval_shape(init, jax.random.key(0))
    return Model(
        name_of(module),
        init,
        apply,
        needs_rng=True,
        uses_batch_statistics="batch_stats" in shapes[1],
        packages=("flax",),
        trained=trained,
    )
