"""Operations that have no fast form, measured once: in a loop, as a training has them, and alone.

XLA's CPU computes some operations in another way inside a loop. Where one has no form here, whether it is slow can only
be seen by trying; nothing but a sentence for the user depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import JaxprEqn

from epochal.engine.fast_forms.choosing import choose_form
from epochal.engine.fast_forms.rewriting import bind, operations, shapes

_SUSPECTS = {
    *("conv_general_dilated", "reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum"),
    *("select_and_scatter_add", "select_and_gather_add", "cumsum", "cumprod", "cummax", "cummin"),
}
_TIMES, _SECONDS = 3.0, 1e-3  # slower than alone by so much, and by so many seconds


@dataclass(frozen=True, slots=True)
class SlowOperation:
    """An operation that takes longer in a loop.

    Attributes:
        name: as JAX calls it.
        shape: of its first operand.
        in_loop, alone: the seconds that it takes.
    """

    name: str
    shape: tuple[int, ...]
    in_loop: float
    alone: float

    def __str__(self) -> str:
        return (
            f"'{self.name}' of {' × '.join(map(str, self.shape))} takes {1e3 * self.in_loop:.1f} ms in a loop, "
            f"{self.in_loop / self.alone:.0f} times as long as alone"
        )


def slow_operations(function: Callable[..., Any], *arguments: Any) -> list[SlowOperation]:
    """Return the operations of a function that are slow in a loop on this CPU, each kind and shape once.

    ``arguments`` may be shapes and types alone. Nothing is measured on other devices.
    """
    if jax.default_backend() != "cpu":
        return []
    measured = (_measure(equation) for equation in _suspects(function, *arguments))
    return [one for one in measured if one.in_loop > max(_TIMES * one.alone, one.alone + _SECONDS)]


def _suspects(function: Callable[..., Any], *arguments: Any) -> Iterator[JaxprEqn]:
    known = set()
    for equation in operations(jax.make_jaxpr(function)(*arguments).jaxpr):
        if equation.primitive.name in _SUSPECTS and choose_form(equation) is None:
            kind = (equation.primitive.name, str(shapes(equation)), str(equation.params))
            if kind not in known:
                known.add(kind)
                yield equation


def _measure(equation: JaxprEqn) -> SlowOperation:
    wanted = shapes(equation)[: len(equation.invars)]
    drawn = np.random.default_rng(0)
    operands = [jnp.asarray(drawn.normal(size=one.shape), one.dtype) for one in wanted]

    def alone(*operands: Any) -> Any:
        return bind(equation, operands)[0]

    def in_loop(count: jax.Array, *operands: Any) -> Any:
        def again(_: jax.Array, last: jax.Array) -> jax.Array:
            first, *rest = operands  # made to depend on the loop, out of which it would be moved
            zero: jax.Array = (0 * alone(first + last.astype(first.dtype), *rest).ravel()[0]).astype(last.dtype)
            return zero

        return lax.fori_loop(0, count, again, jnp.float32(0))

    return SlowOperation(
        equation.primitive.name,
        tuple(wanted[0].shape),
        _seconds(jax.jit(in_loop), [jnp.int32(1), *operands]),
        _seconds(jax.jit(alone), operands),
    )


def _seconds(function: Callable[..., Any], operands: Sequence[Any]) -> float:
    """Return the least seconds of three calls, after one that compiles."""
    jax.block_until_ready(function(*operands))
    least = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        jax.block_until_ready(function(*operands))
        least = min(least, time.perf_counter() - started)
    return least
