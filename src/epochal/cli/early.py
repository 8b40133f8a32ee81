"""What makes a command start sooner: no looking for garbage, and imports beside the reading of data."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Final

_ALLOCATIONS: Final = 50_000
"""New objects between two collections: importing makes a million, of which hardly any is garbage."""

_SLOW: Final = ("jax.numpy", "optax")
_LAUNCHERS: Final = ("JAX_COORDINATOR_", "JAX_NUM_PROC", "JAX_PROCESS_ID", "JOB_COMPLETION_INDEX", "SLURM_", "OMPI_")
"""How the variables begin that `epochal.engine.joining` reads."""


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for garbage less often while the block runs: an eighth of a start otherwise."""
    before = gc.get_threshold()
    gc.set_threshold(max(_ALLOCATIONS, before[0]) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Look for no garbage while the block imports, and do not look through what it leaves later on.

    Modules are there to stay. To freeze objects and thaw them again makes them old ones, which are seldom looked at.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


@contextmanager
def imported_beside() -> Iterator[None]:
    """Import JAX in another thread while the block reads data, which is mostly unpacking and hashing outside of Python.

    Libraries alone, and not Epochal's own modules: two threads that import those could wait for each other.
    """

    def work() -> None:
        with suppress(Exception):  # said where it is imported next
            for name in _SLOW:
                import_module(name)

    importing = threading.Thread(target=work, name="imports")
    importing.start()
    try:
        yield
    finally:
        importing.join()


def may_be_launched() -> bool:
    """Return whether a launcher may have started this process as one of several; without importing JAX."""
    return any(name.startswith(_LAUNCHERS) for name in os.environ)
