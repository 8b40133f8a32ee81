"""A form from somebody else is tried in a process of its own before this one reads it.

JAX reads and compiles forms in C++, where a damaged or hostile one ends the process, never comes to an end, or takes
all of the memory. So a short-lived process of Python, started anew, does all of that first, within limits. What it has
come through is remembered by hash in the user's own folder of programs: a form is tried once.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import Final

import jax
import jaxlib.version

from epochal.engine.runtime import kept_programs
from epochal.errors import ModelError

REFUSED: Final = 3
"""The status of a trial that says, in a line, why the form is refused."""
MOST_SAID: Final = 2_000
"""Bytes of that line."""

_PROGRAM = (
    "import sys; sys.path[:] = {paths!r}; from epochal.engine.form_trial_process import main; main({memory}, {seconds})"
)
_PASSED = b"tried"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a trial may take.

    Attributes:
        seconds: by the clock.
        memory: bytes beyond those of Python and JAX, where the system can limit them.
    """

    seconds: float = 120.0
    memory: int = 4 << 30


LIMITS: Final = Limits()


def try_form(content: bytes, limits: Limits = LIMITS) -> None:
    """Have a form read, compiled and computed once by another process, unless it or this one has done so before.

    Raises `ModelError` where that process refuses it, dies, or takes more time or memory than the limits.
    """
    name = _name_of(content)
    programs = kept_programs()
    if name in _tried() or (programs is not None and programs.get(name) == _PASSED):
        return

    status, said = _try(content, limits)
    if status == REFUSED:
        raise ModelError(said)
    if status != 0:
        raise ModelError(
            f"the exported model ended the process that tried it ({_ending(status)}; {limits.memory / 1e9:,.1f} GB of "
            "memory were allowed): it is damaged, or made to do harm"
        )
    remember(content)


def remember(content: bytes) -> None:
    """Take a form as tried: this process has written it, or another one came through it."""
    name = _name_of(content)
    _tried().add(name)
    programs = kept_programs()
    if programs is not None:
        programs.put(name, _PASSED)


@cache
def _tried() -> set[str]:
    """Return the forms that are known to this process, where no folder of programs is kept."""
    return set()


def _name_of(content: bytes) -> str:
    return f"tried form {hashlib.sha256(content).hexdigest()} jax {jax.__version__} jaxlib {jaxlib.version.__version__}"


def _try(content: bytes, limits: Limits) -> tuple[int, str]:
    """Return how a process that tries a form ended, and what it said. Raises `ModelError` where it never ends."""
    # from where this process imports, but for the folder that it happens to be in
    paths = [path for path in sys.path if os.path.isabs(path)]
    program = _PROGRAM.format(paths=paths, memory=limits.memory, seconds=limits.seconds)
    own = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false", "EPOCHAL_LANG": "en"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", program],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **own},
            timeout=limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"the exported model was not tried to its end within {limits.seconds:g} s: it is damaged, made to hang, or "
            "too large"
        ) from None
    except OSError as error:
        raise ModelError(f"the exported model cannot be tried by another process: {error.strerror or error}") from error
    return done.returncode, done.stdout[:MOST_SAID].decode(errors="replace").strip()


def _ending(status: int) -> str:
    """Return a status in words: the name of a signal where it was one."""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"status {status}"
