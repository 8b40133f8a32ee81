"""Walking over a traced function and replacing some of its operations, also within loops, branches and calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

Form: TypeAlias = Callable[..., Any]
"""Takes an operation's operands and its parameters by name, and returns its result, or the list of them."""

Chooser: TypeAlias = Callable[[JaxprEqn], Form | None]
"""Returns the form that replaces an operation, or ``None`` where it stays."""

_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
"""Operations that only call a function: their names, and the parameter that holds it."""


def operations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """Yield each operation of a traced function, also those of the functions within it.

    What was written for each platform apart is left out: whoever did so chose its form for this one.
    """
    apart = _chosen_by_platform(jaxpr)
    for equation in jaxpr.eqns:
        yield equation
        if equation not in apart:
            for inner in functions_in(equation):
                yield from operations(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner)


def shapes(equation: JaxprEqn) -> list[jax.ShapeDtypeStruct]:
    """Return the shapes and types of an operation's operands, and then of its results."""
    values: list[Any] = [atom.aval for atom in (*equation.invars, *equation.outvars)]
    return [jax.ShapeDtypeStruct(value.shape, value.dtype) for value in values if hasattr(value, "shape")]


def functions_in(equation: JaxprEqn) -> list[Jaxpr | ClosedJaxpr]:
    """Return the traced functions among an operation's parameters."""
    leaves = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_function)
    return [leaf for leaf in leaves if _is_function(leaf)]


def rewrite(closed: ClosedJaxpr, choose: Chooser) -> Callable[..., list[Any]]:
    """Return the traced function, of the flat arguments, with other forms of the operations that have one.

    It is meant for a function that was differentiated already: what rules of its own a called function has for its
    derivative are not kept.
    """
    return lambda *arguments: _evaluate(closed.jaxpr, closed.consts, arguments, choose)


def _evaluate(jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any], choose: Chooser) -> list[Any]:
    values: dict[Any, Any] = {}

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    values |= zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True)
    apart = _chosen_by_platform(jaxpr)
    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        with equation.ctx.manager:
            results = bind(equation, operands) if equation in apart else _compute(equation, operands, choose)
        values |= zip(equation.outvars, results, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def bind(equation: JaxprEqn, operands: Sequence[Any], parameters: Mapping[str, Any] | None = None) -> list[Any]:
    """Return the results of an operation as it stands, or with other parameters."""
    primitive: Any = equation.primitive
    results = primitive.bind(*operands, **primitive.get_bind_params(dict(parameters or equation.params)))
    return list(results) if primitive.multiple_results else [results]


def _compute(equation: JaxprEqn, operands: Sequence[Any], choose: Chooser) -> list[Any]:
    form = choose(equation)
    if form is not None:
        results = form(*(jnp.asarray(operand) for operand in operands), **equation.params)  # some are constants
        return list(results) if isinstance(results, (list, tuple)) else [results]

    if not any(_has_form(inner, choose) for inner in functions_in(equation)):
        return bind(equation, operands)
    if (held_by := _CALLS.get(equation.primitive.name)) in equation.params:
        inner = equation.params[held_by]
        constants = inner.consts if isinstance(inner, ClosedJaxpr) else ()
        return _evaluate(getattr(inner, "jaxpr", inner), constants, operands, choose)

    parameters = {name: _rewritten(value, choose) for name, value in equation.params.items()}
    return bind(equation, operands, parameters)


def _rewritten(value: Any, choose: Chooser) -> Any:
    """Return a parameter with the traced functions in it rewritten, such as the body of a loop."""

    def one(leaf: Any) -> Any:
        if not _is_function(leaf) or not _has_form(leaf, choose):
            return leaf
        closed = leaf if isinstance(leaf, ClosedJaxpr) else ClosedJaxpr(leaf, ())
        other = jax.make_jaxpr(rewrite(closed, choose))(*closed.in_avals)
        return other if isinstance(leaf, ClosedJaxpr) else _without_constants(other)

    return jax.tree.map(one, value, is_leaf=_is_function) if _holds_function(value) else value


def _without_constants(closed: ClosedJaxpr) -> Jaxpr:
    """Return an open function; the forms are built of scalars alone, which are no constants of a traced function."""
    assert not closed.consts
    open_function: Jaxpr = closed.jaxpr
    return open_function


def _has_form(function: Jaxpr | ClosedJaxpr, choose: Chooser) -> bool:
    inner = function.jaxpr if isinstance(function, ClosedJaxpr) else function
    return any(choose(equation) is not None for equation in operations(inner))


def _chosen_by_platform(jaxpr: Jaxpr) -> list[JaxprEqn]:
    """Return the branches that `jax.lax.platform_dependent` made."""
    indices = {equation.outvars[0] for equation in jaxpr.eqns if equation.primitive.name == "platform_index"}
    return [
        equation
        for equation in jaxpr.eqns
        if equation.primitive.name == "cond" and _is_one_of(equation.invars[0], indices)
    ]


def _is_one_of(atom: Any, variables: set[Any]) -> bool:
    return not isinstance(atom, Literal) and atom in variables


def _is_function(value: Any) -> bool:
    return isinstance(value, (Jaxpr, ClosedJaxpr))


def _holds_function(value: Any) -> bool:
    return _is_function(value) or (isinstance(value, tuple) and any(_is_function(one) for one in value))
