"""Convolution, bias, ReLU and 2×2 max-pooling in a row, as the package's own operation, which is one for all four.

A function is traced before it is differentiated, and computed again operation by operation. A convolution that fits is
put off, and so are a bias and a ReLU that follow it; where the next one is a fitting pool, all of them are one
operation, and where it is something else, they are computed as they were written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from epochal.engine.fast_forms.rewriting import bind, shapes
from epochal.models.kernels.convolution import conv_relu_pool

_PLAIN_CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr"}


@dataclass(frozen=True, slots=True)
class _PutOff:
    """A value that was not computed yet: a convolution, perhaps with a bias and a ReLU.

    Attributes:
        axes: where images, height, width and features stand in the value.
        plain: computes the value as it was written.
    """

    x: Any
    kernel: Any
    axes: tuple[int, ...]
    plain: Callable[[], Any]
    bias: Any = None
    relu: bool = False


def with_own_kernels(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of trees of arrays with the package's own kernels; the same one where none fits."""

    def fast(*arguments: Any) -> Any:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
        walk = _Walk()
        jax.make_jaxpr(lambda *flat: walk.evaluate(closed.jaxpr, closed.consts, flat))(*closed.in_avals)
        if not walk.fused:
            return function(*arguments)
        results = _Walk().evaluate(closed.jaxpr, closed.consts, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return fast


class _Walk:
    """Computes a traced function; ``fused`` counts the kernels of our own that it used."""

    def __init__(self) -> None:
        self.fused = 0

    def evaluate(self, jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        """Return the results, each of them computed."""
        return [_computed(value) for value in self._evaluate(jaxpr, constants, arguments)]

    def _evaluate(self, jaxpr: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True))
        uses = _uses(jaxpr)

        def read(atom: Any) -> Any:
            if isinstance(atom, Literal):
                return atom.val
            if uses[atom] > 1:
                values[atom] = _computed(values[atom])
            return values[atom]

        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            with equation.ctx.manager:
                results = self._compute(equation, operands)
            values |= zip(equation.outvars, results, strict=True)
        return [read(atom) for atom in jaxpr.outvars]

    def _compute(self, equation: JaxprEqn, operands: Sequence[Any]) -> list[Any]:
        if (held_by := _PLAIN_CALLS.get(equation.primitive.name)) in equation.params:
            inner: ClosedJaxpr = equation.params[held_by]
            return self._evaluate(inner.jaxpr, inner.consts, operands)

        put_off = next((value for value in operands if isinstance(value, _PutOff)), None)
        if put_off is not None:
            if (pooled := _pooled(put_off, equation)) is not None:
                self.fused += 1
                return [pooled]
            if (later := _extended(put_off, equation, operands)) is not None:
                return [later]
            operands = [_computed(value) for value in operands]

        if equation.primitive.name == "conv_general_dilated" and _fits(equation):
            return [_convolution(equation, operands)]
        return bind(equation, operands)


def _computed(value: Any) -> Any:
    return value.plain() if isinstance(value, _PutOff) else value


def _uses(jaxpr: Jaxpr) -> dict[Any, int]:
    """Return how often each variable is read."""
    uses: dict[Any, int] = {}
    for atom in (*(atom for equation in jaxpr.eqns for atom in equation.invars), *jaxpr.outvars):
        if not isinstance(atom, Literal):
            uses[atom] = uses.get(atom, 0) + 1
    return uses


def _fits(equation: JaxprEqn) -> bool:
    """Return whether a convolution is one of images in float32, with an odd square kernel that keeps their size."""
    parameters, numbers = equation.params, equation.params["dimension_numbers"]
    kernel = [shapes(equation)[1].shape[axis] for axis in numbers.rhs_spec[2:]]
    return (
        len(kernel) == 2
        and kernel[0] == kernel[1]
        and kernel[0] % 2 == 1
        and kernel[0] > 1
        and all(tuple(pads) == (kernel[0] // 2,) * 2 for pads in parameters["padding"])
        and all(set(parameters[name]) == {1} for name in ("window_strides", "lhs_dilation", "rhs_dilation"))
        and parameters["feature_group_count"] == parameters["batch_group_count"] == 1
        and all(value.dtype == jnp.float32 for value in shapes(equation))
    )


def _convolution(equation: JaxprEqn, operands: Sequence[Any]) -> _PutOff:
    numbers = equation.params["dimension_numbers"]
    (images, channels, *places), (out, into, *sides) = numbers.lhs_spec, numbers.rhs_spec
    batch, features, *outputs = numbers.out_spec
    x = jnp.transpose(operands[0], (images, *places, channels))
    kernel = jnp.transpose(operands[1], (*sides, into, out))
    return _PutOff(x, kernel, (batch, *outputs, features), lambda: bind(equation, operands)[0])


def _extended(put_off: _PutOff, equation: JaxprEqn, operands: Sequence[Any]) -> _PutOff | None:
    """Return the value with a bias or a ReLU more, or ``None`` where the operation is neither."""
    others = [value for value in operands if not isinstance(value, _PutOff)]

    def plain() -> Any:
        return bind(equation, [_computed(value) for value in operands])[0]

    name = equation.primitive.name
    if name == "add" and len(others) == 1 and not put_off.relu and put_off.bias is None:
        (shape,) = (jnp.shape(value) for value in others)
        features = put_off.kernel.shape[-1]
        kept = tuple(features if axis == put_off.axes[-1] else 1 for axis in range(len(put_off.axes)))
        if shape == kept:
            return replace(put_off, bias=others[0].reshape(features), plain=plain)
    if name == "custom_jvp_call" and not put_off.relu and _is_relu(equation.params["call_jaxpr"].jaxpr):
        return replace(put_off, relu=True, plain=plain)
    return None


def _is_relu(jaxpr: Jaxpr) -> bool:
    """Return whether a function is `jax.nn.relu`, whose derivative at 0 is 0."""
    if len(jaxpr.eqns) != 1:
        return False
    (equation,) = jaxpr.eqns
    if equation.primitive.name in _PLAIN_CALLS:
        return _is_relu(equation.params["jaxpr"].jaxpr)
    _, *other = equation.invars
    return equation.primitive.name == "max" and all(isinstance(one, Literal) and one.val == 0 for one in other)


def _pooled(put_off: _PutOff, equation: JaxprEqn) -> Any:
    """Return what our own kernel computes where the operation is a fitting pool, else ``None``."""
    if equation.primitive.name != "reduce_window_max" or not put_off.relu:
        return None

    parameters, (images, height, width, features) = equation.params, put_off.axes
    window = tuple(2 if axis in (height, width) else 1 for axis in range(4))
    is_plain = all(tuple(pads) == (0, 0) for pads in parameters["padding"]) and all(
        set(parameters[name]) == {1} for name in ("base_dilation", "window_dilation")
    )
    large = min(put_off.x.shape[1:3]) >= 2
    if not (
        is_plain and large and window == tuple(parameters["window_dimensions"]) == tuple(parameters["window_strides"])
    ):
        return None

    bias = jnp.zeros(put_off.kernel.shape[-1], put_off.kernel.dtype) if put_off.bias is None else put_off.bias
    pooled = conv_relu_pool(put_off.x, put_off.kernel, bias)
    order = sorted(range(4), key=(images, height, width, features).__getitem__)
    return jnp.transpose(pooled, order)
