"""The state before the first iteration, of a built-in model and optimizer, in one program.

Executed one by one, the twenty operations that make it are twenty programs to trace, compile and load: longer than the
rest of a start but imports. In one program the compiler would join them and change last bits, as where it multiplies
two factors first. A barrier after each operation keeps it from that, so the bits are those of one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, UInt32

from epochal.engine.compile import Programs
from epochal.engine.optimizer import Optimizer
from epochal.engine.placement import in_one_piece
from epochal.engine.state import INITIAL_WEIGHTS, State, key_of_words
from epochal.models import Model

Begin = Callable[[tuple[UInt32[Array, ""], UInt32[Array, ""]]], State]


def begun(model: Model, optimizer: Optimizer, seed: int, programs: Programs) -> State:
    """Return the first state of a training with this seed, on the first device."""
    words = (np.array(seed & 0xFFFFFFFF, np.uint32), np.array(seed >> 32, np.uint32))
    what = ("begin", model, optimizer, in_one_piece())
    state: State = programs.get(what, lambda: build_beginning(model, optimizer), words, runs_once=True).run(words)
    return state


def build_beginning(model: Model, optimizer: Optimizer) -> Begin:
    """Return the function of a seed's two words that `epochal.engine.state.initial_state` is; not yet compiled."""

    def begin(seed: tuple[UInt32[Array, ""], UInt32[Array, ""]]) -> State:
        params, model_state = model.init(key_of_words(seed, INITIAL_WEIGHTS))
        return State(params, model_state, optimizer.init(params))

    return one_by_one(begin)


def one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with a barrier after each of its operations; a compiled function in it is one operation."""
    from epochal.engine.fast_forms.rewriting import bind, rewrite  # slow to import, and not needed at a second start

    def alone(equation: Any) -> Callable[..., Any]:
        return lambda *operands, **parameters: [jax.lax.optimization_barrier(one) for one in bind(equation, operands)]

    def apart(*arguments: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = rewrite(closed, alone)(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return apart
