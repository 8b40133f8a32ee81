"""Every annotation of the package is checked when it is called, in tests only: types by beartype, shapes by jaxtyping.

jaxtyping's own wrapper checks all arguments twice, and binds them in Python for shapes that most functions do not name:
it took a quarter of the time of all tests. So a function gets that wrapper only where its annotations hold an array's.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import beartype
from jaxtyping import AbstractArray, PyTree, config

_WITH_SHAPES = jaxtyping.jaxtyped


def check_annotations(package: str) -> None:
    """Check all functions and dataclasses of a package that is not imported yet."""
    jaxtyping.jaxtyped = _checked  # type: ignore[assignment]  # what the hook puts before each of them
    jaxtyping.install_import_hook(package, "beartype.beartype")


def _checked(*, typechecker: Any) -> Callable[[Any], Any]:
    with_shapes = _WITH_SHAPES(typechecker=typechecker)

    def decorate(known: Any) -> Any:
        if inspect.isclass(known) and dataclasses.is_dataclass(known) and isinstance(known.__init__, FunctionType):
            if (quick := _without_shapes(known.__init__)) is not None:
                known.__init__ = quick  # type: ignore[misc]
                return known
        elif isinstance(known, FunctionType) and (quick := _without_shapes(known)) is not None:
            return quick
        return with_shapes(known)

    return decorate


def _without_shapes(function: FunctionType) -> FunctionType | None:
    """Return a function that checks its types; ``None`` where they hold shapes too."""
    hints = {name: _read(name, hint, function.__globals__) for name, hint in function.__annotations__.items()}
    if any(_holds_arrays(hint) for hint in hints.values()):
        return None

    # a copy: the function itself keeps its annotations as they are written
    copied = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copied.__kwdefaults__, copied.__annotations__ = function.__kwdefaults__, hints
    copied.__qualname__, copied.__module__ = function.__qualname__, function.__module__
    checked = beartype(copied)

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        return (function if config.jaxtyping_disable else checked)(*args, **options)

    return call  # type: ignore[return-value]


def _read(name: str, hint: Any, names: dict[str, Any]) -> Any:
    """Return what an annotation stands for; anything, where it names what only a type checker imports."""
    try:
        return get_type_hints(SimpleNamespace(__annotations__={name: hint}), names, include_extras=True)[name]
    except Exception:  # as jaxtyping does
        return Any


def _holds_arrays(hint: Any) -> bool:
    if inspect.isclass(hint) and (issubclass(hint, AbstractArray) or issubclass(hint, PyTree)):
        return True
    parts = hint if isinstance(hint, list) else get_args(hint)
    return any(_holds_arrays(part) for part in parts)
