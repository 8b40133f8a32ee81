"""A model's functions, and those that are made of them, as the CPU's loop computes them fast.

A built-in model needs no form, so the forms, and what they import of JAX, are left until a model of another kind comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from epochal.models import Model


def fast_function(function: Callable[..., Any], model: Model) -> Callable[..., Any]:
    """Return a function of arrays, differentiated or never to be, with fast forms of what it has of the model's.

    It is the very same function for a built-in model, on other devices than a CPU, and where there is nothing to do.
    """
    if model.is_built_in or jax.default_backend() != "cpu":
        return function

    from epochal.engine.fast_forms.choosing import choose_form
    from epochal.engine.fast_forms.rewriting import operations, rewrite

    def fast(*arguments: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        if not any(choose_form(equation) for equation in operations(closed.jaxpr)):
            return function(*arguments)
        results = rewrite(closed, choose_form)(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return fast


def fast_apply(model: Model) -> Callable[..., Any]:
    """Return the model's `apply`, which may still be differentiated, with the package's own kernels where they fit."""
    if model.is_built_in or jax.default_backend() != "cpu":
        return model.apply

    from epochal.engine.fast_forms.own_kernels import with_own_kernels

    def apply(params: Any, state: Any, x: Any, key: Any, training: bool) -> Any:
        def of_arrays(params: Any, state: Any, x: Any, key: Any) -> Any:
            return model.apply(params, state, x, key, training)

        return with_own_kernels(of_arrays)(params, state, x, key)

    return apply
