"""Convolutions in forms that XLA's CPU computes fast inside a loop, those of gradients included.

However an operation is written, as a forward convolution, as a gradient, or with groups of images or of features, it is
brought into one form first (`_Parts`), and from there into the fastest one for its shapes:

- as XLA's own convolution in its canonical layout;
- zeros between the pixels (a transposed convolution, or the gradient of a strided one): as several convolutions
  without zeros, one for each remainder of an output's place;
- one channel a group (`depthwise.py`): as sums of products of slices;
- several channels a group: as convolutions of a few groups at a time, whose kernels have zeros between groups;
- gradients of kernels (`kernel_gradients.py`): as matrix products.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import JaxprEqn

from epochal.engine.fast_forms import depthwise, kernel_gradients
from epochal.engine.fast_forms.rewriting import Form, shapes
from epochal.engine.fast_forms.windows import Windows, interleave, pad

_BUNDLE = 16
"""So many channels at least are convolved at a time, where groups have fewer."""

_SHORT = ("bfloat16", "float16")
_MOST_PLACES = 125
"""Kernels of more places are no sums of slices."""

_GRADIENT = 2
"""A kernel with so many times the places of the outputs is the gradient of another operation's."""


def conv_form(equation: JaxprEqn) -> Form | None:
    """Return the fast form of a convolution, or ``None`` for other operations."""
    if equation.primitive.name != "conv_general_dilated":
        return None
    sizes = [value.shape for value in shapes(equation)]
    types = {value.dtype.name for value in shapes(equation)}
    is_empty = len(sizes[0]) < 3 or any(0 in size for size in sizes)
    if is_empty or not (types == {"float64"} or types <= {"float32", *_SHORT}):
        return None
    form = partial(_convolve, out_shape=sizes[2])
    return form if types <= {"float32", "float64"} else partial(_in_float32, form, shapes(equation)[2].dtype)


def _in_float32(form: Form, kind: Any, x: Array, kernel: Array, **parameters: Any) -> Array:
    """Compute a convolution of shorter types in float32, as the CPU does anyway, and return it in its own."""
    result: Array = form(x.astype(jnp.float32), kernel.astype(jnp.float32), **parameters).astype(kind)
    return result


@dataclass(frozen=True, slots=True)
class _Parts:
    """A convolution of ``groups`` groups, with its places in the order of the images' axes.

    Attributes:
        x: (images, *places, groups · channels).
        kernel: (*sides, channels, groups · features).
        outputs: how many places the outputs have along each axis.
        window: strides, padding, lhs_dilation and rhs_dilation, one each for an axis of places.
    """

    x: Array
    kernel: Array
    groups: int
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    x_dilation: tuple[int, ...]
    kernel_dilation: tuple[int, ...]
    outputs: tuple[int, ...]
    precision: Any = None

    @property
    def channels(self) -> int:
        """How many channels a group has."""
        return int(self.kernel.shape[-2])

    @property
    def features(self) -> int:
        """How many features a group has."""
        return int(self.kernel.shape[-1]) // self.groups

    @property
    def sides(self) -> tuple[int, ...]:
        """The kernel's sides."""
        return tuple(self.kernel.shape[:-2])


def _convolve(x: Array, kernel: Array, *, out_shape: tuple[int, ...], **parameters: Any) -> Array:
    numbers, images = parameters["dimension_numbers"], parameters["batch_group_count"]
    groups = parameters["feature_group_count"] * images
    (batch, channel, *places), (out, into, *sides) = numbers.lhs_spec, numbers.rhs_spec
    x = jnp.transpose(x, (batch, *places, channel))
    kernel = jnp.transpose(kernel, (*sides, into, out))
    if images > 1:  # a group of images meets its own features only: as a group of channels, it is the same
        shape = x.shape
        x = jnp.moveaxis(x.reshape(images, shape[0] // images, *shape[1:]), 0, -2)
        x = x.reshape(shape[0] // images, *shape[1:-1], images * shape[-1])

    parts = _Parts(
        x,
        kernel,
        groups,
        tuple(parameters["window_strides"]),
        tuple((int(low), int(high)) for low, high in parameters["padding"]),
        tuple(parameters["lhs_dilation"]),
        tuple(parameters["rhs_dilation"]),
        tuple(out_shape[axis] for axis in numbers.out_spec[2:]),
        parameters["precision"],
    )
    if len(places) == 1:
        parts = _with_a_row(parts)
    # only a gradient of a kernel with groups has groups of images
    result = _kernel_gradient(parts) if images > 1 and len(places) < 3 else _outputs(parts)
    result = result[:, 0] if len(places) == 1 else result  # (images, *places, groups · features)
    batch, feature, *places = numbers.out_spec
    order = sorted(range(result.ndim), key=(batch, *places, feature).__getitem__)
    return jnp.transpose(result, order)


def _outputs(parts: _Parts) -> Array:
    if parts.groups == 1 and len(parts.outputs) == 2 and _is_gradient(parts):
        return _kernel_gradient(parts)
    if any(dilation > 1 for dilation in parts.x_dilation):
        return _in_phases(parts)
    if parts.groups == 1:
        return _canonical(parts)
    is_small = math.prod(parts.sides) <= _MOST_PLACES
    return _of_one_channel(parts) if parts.channels == 1 and is_small else _in_bundles(parts)


def _is_gradient(parts: _Parts) -> bool:
    return math.prod(parts.sides) >= _GRADIENT * math.prod(parts.outputs)


def _with_a_row(parts: _Parts) -> _Parts:
    """Return a convolution of sequences as one of images of a single row."""
    return replace(
        parts,
        x=parts.x[:, None],
        kernel=parts.kernel[None],
        strides=(1, *parts.strides),
        padding=((0, 0), *parts.padding),
        x_dilation=(1, *parts.x_dilation),
        kernel_dilation=(1, *parts.kernel_dilation),
        outputs=(1, *parts.outputs),
    )


def _canonical(parts: _Parts) -> Array:
    """Return what XLA's own convolution computes, in the layout that it needs."""
    cut = [(min(low, 0), min(high, 0)) for low, high in parts.padding]
    x = pad(parts.x, [(0, 0), *cut, (0, 0)], (1,) * parts.x.ndim)
    places = "DHW"[-len(parts.outputs) :]
    return lax.conv_general_dilated(
        x,
        parts.kernel,
        parts.strides,
        [(max(low, 0), max(high, 0)) for low, high in parts.padding],
        rhs_dilation=parts.kernel_dilation,
        dimension_numbers=(f"N{places}C", f"{places}IO", f"N{places}C"),
        precision=parts.precision,
    )


def _in_phases(parts: _Parts) -> Array:
    """Return a convolution of images with zeros between their pixels, without computing with those zeros.

    Output o of an axis is the sum over k of ``kernel[k] · x̂[o · stride + k · spread − low]``, and x̂ is x at multiples
    of its dilation. Outputs whose o has the same remainder need the same places of the kernel.
    """
    axes = [
        _Phases.of(parts.strides[a], parts.x_dilation[a], parts.kernel_dilation[a], parts.padding[a][0], parts.sides[a])
        for a in range(len(parts.outputs))
    ]
    phases = {}
    for phase in itertools.product(*(range(axis.count) for axis in axes)):
        counts = [-(-(n - p) // axis.count) for n, p, axis in zip(parts.outputs, phase, axes, strict=True)]
        phases[(0, *phase, 0)] = _one_phase(
            parts, [axis.starts[p] for axis, p in zip(axes, phase, strict=True)], axes, counts
        )
    shape = (parts.x.shape[0], *parts.outputs, parts.groups * parts.features)
    return interleave(phases, (1, *(axis.count for axis in axes), 1), shape)


@dataclass(frozen=True, slots=True)
class _Phases:
    """Along one axis: after how many outputs the places of the kernel repeat that meet no zeros, and which they are.

    Attributes:
        starts: for each phase, the first place of the kernel and the pixel that it meets; ``None`` for zeros alone.
        step: from one place of the kernel to the next.
        stride: pixels from one output of a phase to the next.
        spread: pixels from one place of the kernel to the next.
    """

    count: int
    step: int
    stride: int
    spread: int
    starts: tuple[tuple[int, int] | None, ...]

    @classmethod
    def of(cls, stride: int, dilation: int, spread: int, low: int, side: int) -> _Phases:
        """Return them for one axis."""
        count, step = dilation // math.gcd(stride, dilation), dilation // math.gcd(spread, dilation)
        starts = tuple(
            next(
                (
                    (k, (phase * stride + k * spread - low) // dilation)
                    for k in range(min(step, side))
                    if (phase * stride + k * spread - low) % dilation == 0
                ),
                None,
            )
            for phase in range(count)
        )
        return cls(count, step, count * stride // dilation, step * spread // dilation, starts)


def _one_phase(
    parts: _Parts, starts: Sequence[tuple[int, int] | None], axes: Sequence[_Phases], counts: Sequence[int]
) -> Array:
    met = [start for start in starts if start is not None]
    if len(met) < len(starts) or 0 in counts:
        return jnp.zeros((parts.x.shape[0], *counts, parts.groups * parts.features), parts.x.dtype)

    kernel = parts.kernel[tuple(slice(k, None, axis.step) for (k, _), axis in zip(met, axes, strict=True))]
    padding = []
    for (_, first), axis, count, side, length in zip(
        met, axes, counts, kernel.shape, parts.x.shape[1:-1], strict=False
    ):
        last = first + (count - 1) * axis.stride + (side - 1) * axis.spread
        padding.append((-first, last + 1 - length))

    return _outputs(
        replace(
            parts,
            kernel=kernel,
            strides=tuple(axis.stride for axis in axes),
            padding=tuple(padding),
            x_dilation=(1,) * len(axes),
            kernel_dilation=tuple(axis.spread for axis in axes),
            outputs=tuple(counts),
        )
    )


def _windows(parts: _Parts) -> Windows:
    return Windows(
        (1, *parts.sides, 1),
        (1, *parts.strides, 1),
        (1, *parts.kernel_dilation, 1),
        (parts.x.shape[0], *parts.outputs, parts.x.shape[-1]),
    )


def _padded(parts: _Parts) -> Array:
    return pad(parts.x, [(0, 0), *parts.padding, (0, 0)], (1, *parts.x_dilation, 1))


def _of_one_channel(parts: _Parts) -> Array:
    kernel = parts.kernel.reshape(*parts.sides, parts.groups, parts.features)
    return depthwise.outputs(_padded(parts), kernel, _windows(parts))


def _in_bundles(parts: _Parts) -> Array:
    """Return a convolution in groups of several channels, a few groups at a time."""
    size = max(1, min(parts.groups, _BUNDLE // parts.channels))
    while parts.groups % size:
        size -= 1
    bundles = []
    for first in range(0, parts.groups, size):
        x = lax.slice_in_dim(parts.x, first * parts.channels, (first + size) * parts.channels, axis=-1)
        kernel = lax.slice_in_dim(parts.kernel, first * parts.features, (first + size) * parts.features, axis=-1)
        bundles.append(_canonical(replace(parts, x=x, kernel=_block_diagonal(kernel, size), groups=1)))
    return jnp.concatenate(bundles, -1)


def _block_diagonal(kernel: Array, groups: int) -> Array:
    """Return (*sides, channels, groups · features) as (*sides, groups · channels, groups · features), else zeros."""
    *sides, channels, features = kernel.shape
    split = kernel.reshape(*sides, 1, channels, groups, features // groups)
    mask = jnp.eye(groups, dtype=kernel.dtype).reshape(groups, 1, groups, 1)
    return (split * mask).reshape(*sides, groups * channels, features)


def _kernel_gradient(parts: _Parts) -> Array:
    """Return the gradient of a kernel, which is written as a convolution: images there are channels of the kernel.

    The images' samples stand as its channels, and so do those of its kernel, the gradient of the outputs.
    """
    groups, samples, features = parts.groups, parts.channels, parts.features
    x = parts.x.reshape(*parts.x.shape[:-1], groups, samples)
    x = jnp.moveaxis(x, -1, 0)  # (samples, channels, *places, groups)
    x = jnp.moveaxis(x, 1, -1)  # (samples, *places, groups, channels)
    gradient = jnp.moveaxis(parts.kernel, -2, 0)
    gradient = gradient.reshape(*gradient.shape[:-1], groups, features)  # (samples, *places, groups, features)

    result = kernel_gradients.gradient(
        x, gradient, parts.outputs, parts.strides, parts.kernel_dilation, parts.padding, parts.x_dilation
    )
    return jnp.moveaxis(result, -3, 0).reshape(-1, *parts.outputs, groups * features)
