"""What a part of a program is, as a text: its name, its values, and what its functions took from where they were made.

Equal texts are for parts that do the same, as far as they are of this package, NumPy's or Optax's; what anything else
does, no text says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

import jax
import numpy as np

from epochal.models import Model

_OWN: Final = ("epochal.", "optax.")
_CHECKERS: Final = ("jaxtyping._decorator", "checking")
"""The modules that check a function's arguments and are around it, in tests only."""

_Inside = Callable[[Iterable[Any]], str]


class UnknownPartError(Exception):
    """A part that no text describes."""


def described(part: Any, devices: list[jax.Device]) -> str:
    """Return all that decides what a part does; devices are added to the list. Raises `UnknownPartError`."""

    def inside(parts: Iterable[Any]) -> str:
        return f"({', '.join(described(one, devices) for one in parts)})"

    if part is None or isinstance(part, (bool, int, float, str, np.dtype, jax.tree_util.PyTreeDef)):
        return repr(part)

    # what parts are made of
    if isinstance(part, (tuple, list)):
        return f"{type(part).__name__}{inside(part)}"
    if isinstance(part, Mapping):
        return f"{type(part).__name__}{inside(part.items())}"
    if isinstance(part, partial):
        return f"partial{inside((part.func, part.args, sorted(part.keywords.items())))}"
    if isinstance(part, jax.Device):
        devices.append(part)
        return f"{part}, a {part.device_kind} of {part.client.platform_version}"

    # every field of it, so that none can be forgotten
    if dataclasses.is_dataclass(part) and _is_own(type(part).__module__):
        if isinstance(part, Model) and not part.is_built_in:
            raise UnknownPartError
        fields = ((field.name, getattr(part, field.name)) for field in dataclasses.fields(part))
        return f"{type(part).__module__}.{type(part).__qualname__}{inside(fields)}"
    return _function(part, inside)


def _function(part: Any, inside: _Inside) -> str:
    """Return which function it is, and the values that it took from where it was made. Raises `UnknownPartError`.

    The sizes of a model's layers are such values: no argument of the program that makes the first weights shows them.
    A function says itself of which module it is, and of which another one that it wraps; its globals are its own.
    """
    if isinstance(part, np.ufunc) or (isinstance(part, BuiltinFunctionType) and part.__module__ == "numpy"):
        return f"numpy.{part.__name__}"
    while isinstance(part, FunctionType) and _module(part) in _CHECKERS and hasattr(part, "__wrapped__"):
        part = part.__wrapped__
    if not isinstance(part, FunctionType) or not _is_own(_module(part)):
        raise UnknownPartError

    place = str(part.__code__.co_firstlineno)
    if part.__name__ == "<lambda>":  # of which several may stand in one line
        columns = [column for *_, column in part.__code__.co_positions() if column]
        if not columns:  # as with -X no_debug_ranges
            raise UnknownPartError
        place = f"{place}:{columns}"
    try:
        taken = inside([cell.cell_contents for cell in part.__closure__ or ()])
    except (ValueError, RecursionError):  # not yet filled, or holding itself
        raise UnknownPartError from None
    given = inside((part.__defaults__, part.__kwdefaults__))
    return f"{_module(part)}.{part.__qualname__}:{place}{taken}{given}"


def _module(function: FunctionType) -> str:
    return str(function.__globals__.get("__name__", ""))


def _is_own(module: str) -> bool:
    return module.startswith(_OWN)
