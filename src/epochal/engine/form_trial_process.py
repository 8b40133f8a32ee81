"""What the process does that tries a form: limit itself, then read, compile and compute what may do it harm."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from jax import export

from epochal.engine.exported import deserialized
from epochal.engine.form_trial import MOST_SAID, REFUSED
from epochal.errors import ModelError, brief

_SAMPLES: Final = 2
_CORES: Final = 4
"""A process on several cores has so many times the seconds of the clock, should nobody be left to end it."""
_MOST_ZEROS: Final = 512 << 20
"""Bytes of arguments; a form that takes more is compiled and not computed."""


def main(memory: int, seconds: float) -> None:
    """Try the form on standard input; end with status 0, or with `REFUSED` and the reason on standard output."""
    _limit(memory, seconds)
    try:
        _compute(deserialized(sys.stdin.buffer.read()))
    except ModelError as error:
        sys.stdout.buffer.write(str(error).encode(errors="replace")[:MOST_SAID])
        sys.exit(REFUSED)


def _limit(memory: int, seconds: float) -> None:
    """Let this process take no more than so many bytes beyond what it has, and leave no image of itself behind."""
    try:
        import resource
    except ImportError:  # on Windows, where only the clock limits it
        return

    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: int(_CORES * seconds) + 1}
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        wanted[resource.RLIMIT_AS] = pages * resource.getpagesize() + memory
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        with suppress(OSError, ValueError):
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))


def _compute(form: export.Exported) -> None:
    """Compile a form for a few samples, and compute it of zeros. Raises `ModelError` where that fails."""
    arguments, _ = jax.tree.unflatten(form.in_tree, form.in_avals)
    shapes = jax.tree.map(_few, arguments)
    needed = sum(one.dtype.itemsize * int(np.prod(one.shape)) for one in jax.tree.leaves(shapes))
    try:
        program = jax.jit(form.call).lower(*shapes).compile()
        if needed <= _MOST_ZEROS:
            zeros = jax.tree.map(lambda one: np.zeros(one.shape, one.dtype), shapes)
            jax.block_until_ready(program(*zeros))
    except Exception as error:  # of many kinds, out of JAX and XLA
        raise ModelError(f"the exported model cannot be computed by JAX {jax.__version__}: {brief(error)}") from error


def _few(array: Any) -> jax.ShapeDtypeStruct:
    """Return the shape of an argument, of which a form that takes any number of samples is given a few."""
    sizes = tuple(size if isinstance(size, int) else _SAMPLES for size in array.shape)
    return jax.ShapeDtypeStruct(sizes, array.dtype)
