"""Haiku transforms: already pairs of functions; what remains is whether they take a flag for training."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import haiku as hk
import jax

from epochal.errors import ModelError
from epochal.models.adapters.recognise import Spec, copied, first_line, name_of, zeros
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples

_CALLS: tuple[dict[str, bool], ...] = ({}, {"is_training": True}, {"training": True}, {"train": True})


def adapt(transformed: Any, samples: Spec) -> Model:
    """Return a transformed function of ``x``, or of ``x`` and whether it is training, as a model.

    Its first weights come from the seed.
    """
    has_state = isinstance(transformed, hk.TransformedWithState)
    takes_key = "rng" in inspect.signature(transformed.apply).parameters  # not after hk.without_apply_rng
    both = _with_key(transformed, has_state) if not takes_key else transformed
    if not has_state:
        both = hk.with_empty_state(both)
    flag = _flag_of(both, samples)

    def init(key: Key) -> tuple[Params, ModelState]:
        params, state = both.init(key, zeros(samples), **flag)
        return params, state

    def apply(params: Params, state: ModelState, x: Samples, key: Key | None, training: bool) -> tuple[Outputs, Any]:
        outputs, after = both.apply(params, state, key, x, **dict.fromkeys(flag, training))
        return outputs, after if training else state

    def trained(params: Params, state: ModelState) -> Any:
        return (copied(params), copied(state)) if has_state else copied(params)

    _, state = jax.eval_shape(init, jax.random.key(0))
    return Model(
        name_of(transformed),
        init,
        apply,
        needs_rng=takes_key,
        uses_batch_statistics=any("batch_norm" in name for name in state),
        packages=("dm-haiku",),
        trained=trained,
    )


def _with_key(transformed: Any, has_state: bool) -> Any:
    """Return a transform whose `apply` takes a key that it has no use for."""

    def apply(params: Any, *rest: Any, **flags: Any) -> Any:
        state, (_, *x) = rest[: int(has_state)], rest[int(has_state) :]
        return transformed.apply(params, *state, *x, **flags)

    return type(transformed)(transformed.init, apply)


def _flag_of(both: Any, samples: Spec) -> dict[str, bool]:
    """Return how the function is told that it is training. Raises `ModelError` where it can be called in no way."""
    problems = []
    for flag in _CALLS:
        try:
            jax.eval_shape(partial(both.init, **flag), jax.random.key(0), samples)
        except TypeError as error:
            problems.append(error)
        else:
            return flag
    raise ModelError(
        f"the Haiku function cannot be called with samples alone, nor with is_training=…: {first_line(problems[0])}"
    )
