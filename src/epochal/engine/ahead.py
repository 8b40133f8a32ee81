"""Whole programs on the disk, by what they are made of: a second start neither traces nor lowers them.

JAX keeps what it compiles by the lowered program, which must be made before it can be looked up: longer than all the
rest that is left of a training's start. Here a program of the package's own parts alone is kept by a text that
says all that decides it: the parts' names and values, the arguments' shapes, JAX's settings, versions, the processor's
cores, and which source files of this package there were. Where a part is of the user's own there is no such text, and
nothing is kept.

A text cannot see that somebody replaced a function of this package in a running process. So programs are kept this way
while the command line trains (`Programs.kept_whole`), where nobody can, and not from Python.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import os
import pickle
import platform
import zlib
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.experimental import serialize_executable
from jaxlib.version import __version__ as jaxlib_version

from epochal.engine.kept_programs import KeptPrograms
from epochal.engine.runtime import available_cores
from epochal.models import Model
from epochal.version import __version__

_OWN = ("epochal.", "optax.")
_SOURCES = ("", "data", "engine", "engine/fast_forms", "models", "models/kernels")
"""Folders of the package whose functions are compiled."""


class Kept(NamedTuple):
    """Where a program is kept.

    Attributes:
        name: its key.
        device: the one that executes it.
    """

    programs: KeptPrograms
    name: str
    device: jax.Device

    def load(self) -> jax.stages.Compiled | None:
        """Return the program, or ``None`` where it is not there, or not of use."""
        content = self.programs.get(self.name)
        if content is None:
            return None
        try:
            # checked by its hash, in a folder of the user's alone
            program, inside, outside = pickle.loads(zlib.decompress(content))
            loaded: jax.stages.Compiled = serialize_executable.deserialize_and_load(
                program, inside, outside, execution_devices=[self.device]
            )
        except Exception:  # whatever another version may say; it is compiled again
            return None
        return loaded

    def compile(self, lowered: jax.stages.Lowered, options: dict[str, Any] | None) -> jax.stages.Compiled:
        """Compile a program and keep it; one that cannot be written down is not kept.

        It is compiled indeed: a program that JAX found in its cache, written down again, lacks functions (jaxlib 0.10).
        One that calls functions outside of it, as LAPACK's, is not kept: JAX makes them known when it lowers a program,
        and a process that does not would call nothing, and end.
        """
        with self.programs.made_anew():
            compiled = lowered.compile(options)
        if "custom_call" in lowered.as_text():
            return compiled
        with suppress(Exception):  # a program with a callback, or a device that writes none down
            content = pickle.dumps(serialize_executable.serialize(compiled))
            self.programs.put(self.name, zlib.compress(content, 1))
        return compiled


def place_of(programs: KeptPrograms | None, parts: Hashable) -> Kept | None:
    """Return where the program of these parts is kept; ``None`` where they do not say it all."""
    if programs is None or jax.process_count() > 1:
        return None

    devices: list[jax.Device] = []
    try:
        text = "\n".join((_described(parts, devices), *_surroundings()))
    except _UnknownError:
        return None
    if len(set(devices)) != 1:
        return None
    return Kept(programs, f"ahead {hashlib.sha256(text.encode()).hexdigest()}", devices[0])


class _UnknownError(Exception):
    """A part that no text describes."""


def _described(part: Any, devices: list[jax.Device]) -> str:
    """Return all that decides what a part does; devices are added to the list. Raises `_UnknownError`."""

    def inside(parts: Iterable[Any]) -> str:
        return f"({', '.join(_described(one, devices) for one in parts)})"

    if part is None or isinstance(part, (bool, int, float, str, np.dtype, jax.tree_util.PyTreeDef)):
        return repr(part)
    if isinstance(part, (tuple, list)):
        return f"{type(part).__name__}{inside(part)}"

    # what parts are made of
    if isinstance(part, jax.Device):
        devices.append(part)
        return f"{part} of {part.client.platform_version}"
    if isinstance(part, partial):
        return f"partial{inside((part.func, part.args, sorted(part.keywords.items())))}"

    # of the package's own alone
    if isinstance(part, Model) and part.is_built_in:
        functions = [_function(one, inside) for one in (part.init, part.apply)]
        return f"Model{inside((part.name, *functions, repr(part.options), part.needs_rng, part.shards))}"
    if dataclasses.is_dataclass(part) and type(part).__module__.startswith(_OWN) and not isinstance(part, Model):
        fields = ((field.name, getattr(part, field.name)) for field in dataclasses.fields(part))
        return f"{type(part).__qualname__}{inside(fields)}"
    return _name(part)


def _function(part: Any, inside: Callable[[Iterable[Any]], str]) -> str:
    """Return which function of a built-in model it is, and the values that it took from where it was made.

    The sizes of a model's layers are such values: no argument of the program that makes the first weights shows them.
    """
    part = inspect.unwrap(part)  # without checks of its types, which may be around it
    if not isinstance(part, FunctionType) or not part.__module__.startswith(_OWN):
        raise _UnknownError

    values = [cell.cell_contents for cell in part.__closure__ or ()]
    taken = [_function(one, inside) if isinstance(one, FunctionType) else inside((one,)) for one in values]
    given = inside((*(part.__defaults__ or ()), *sorted((part.__kwdefaults__ or {}).items())))
    return f"{part.__module__}.{part.__qualname__}:{part.__code__.co_firstlineno} {taken} {given}"


def _name(part: Any) -> str:
    """Return the name of a function that the package, NumPy or Optax has at its top. Raises `_UnknownError`."""
    if isinstance(part, np.ufunc) or (isinstance(part, BuiltinFunctionType) and part.__module__ == "numpy"):
        return f"numpy.{part.__name__}"
    name = getattr(part, "__qualname__", "<")
    if not isinstance(part, FunctionType) or not part.__module__.startswith(_OWN) or "<" in name:
        raise _UnknownError
    return f"{part.__module__}.{name}"


def _surroundings() -> Iterable[str]:
    """Yield what decides a compiled program beside its parts."""
    yield f"{__version__} {platform.python_version()} {jax.__version__} {jaxlib_version} {optax.__version__}"
    yield f"{available_cores()} {os.environ.get('XLA_FLAGS', '')}"
    yield repr(sorted((name, str(value)) for name, value in jax.config.values.items()))
    yield _sources()


@cache
def _sources() -> str:
    """Return which source files of the package there are, with their sizes and times."""
    package = Path(__file__).parents[1]
    files = sorted(file for folder in _SOURCES for file in (package / folder).glob("*.py"))
    return "\n".join(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)
