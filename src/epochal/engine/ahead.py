"""Whole programs on the disk, by what they are made of: a second start neither traces nor lowers them.

JAX keeps what it compiles by the lowered program, which must be made before it can be looked up: longer than all the
rest that is left of a training's start. Here a program of the package's own parts alone is kept by a text that
says all that decides it: the parts' names and values (`epochal.engine.described`), the arguments' shapes, JAX's
settings, the environment, versions, and what the source files of this package say; and the machine, which every program
is kept for (`epochal.engine.machine`). Where a part is of the user's own there is no such text, and nothing is kept.

A text cannot see that somebody replaced a function of this package in a running process. So programs are kept this way
while the command line trains (`Programs.kept_whole`), where nobody can, and not from Python.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import zlib
from collections.abc import Hashable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import numpy as np
import optax
from jax.experimental import serialize_executable
from jaxlib import version as jaxlib

from epochal.engine.described import UnknownPartError, described
from epochal.engine.kept_programs import KeptPrograms
from epochal.version import __version__

_SOURCES: Final = ("", "data", "engine", "engine/fast_forms", "models", "models/kernels")
"""Folders of the package whose functions are compiled."""

_READ_BY_COMPILERS: Final = (
    "CUBLAS_", "CUDA_", "CUDNN_", "DNNL_", "HIP_", "JAX_", "LIBTPU_", "NPROC", "NVIDIA_", "OMP_", "ONEDNN_", "PJRT_",
    "ROCM_", "TF_", "TPU_", "XLA_",
)  # fmt: skip
"""How the environment variables begin that JAX, XLA and their libraries read."""


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
        text = described(parts, devices)
        if len(set(devices)) != 1:
            return None
        text = "\n".join((text, *_surroundings(devices[0])))
    except (UnknownPartError, OSError):  # sources that cannot be read, too
        return None
    return Kept(programs, f"ahead {hashlib.sha256(text.encode()).hexdigest()}", devices[0])


def _surroundings(device: jax.Device) -> Iterator[str]:
    """Yield what decides a compiled program beside its parts and the machine. Raises `UnknownPartError`."""
    yield f"{__version__} {platform.python_version()} {jax.__version__} {np.__version__} {optax.__version__}"
    yield _compiler()
    yield _target(device)

    yield repr(sorted((name, str(value)) for name, value in jax.config.values.items()))
    yield repr(sorted(one for one in os.environ.items() if one[0].startswith(_READ_BY_COMPILERS)))
    yield _flags_of_file()
    yield _sources()


@cache
def _compiler() -> str:
    """Return which build of XLA it is: those of one version, by one distributor and another, are not the same."""
    with os.scandir(Path(jaxlib.__file__).parent) as found:
        files = sorted((one.name, one.stat().st_size) for one in found if one.is_file())
    return f"{jaxlib.__version__} {files}"


def _target(device: jax.Device) -> str:
    """Return XLA's own number of what it compiles for, such as the processor's features; JAX's keys have it too."""
    try:
        client: Any = import_module("jax._src.lib").xla_client  # no public name gives it for one device
        return str(client.get_topology_for_devices([device]).fingerprint())
    except Exception:  # some kinds of devices have none
        return "unknown"


def _flags_of_file() -> str:
    """Return the flags in the file that XLA_FLAGS names, where it is no flag itself."""
    named = os.environ.get("XLA_FLAGS", "").strip()
    if not named or named.startswith("-"):
        return ""
    try:
        return Path(named).read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise UnknownPartError from None


@cache
def _sources() -> str:
    """Return the hash of the package's source files. Raises `UnknownPartError` where there are none.

    Their times are not enough: a system image may have all files of one time, and a home folder several such images.
    """
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    files = sorted(file for folder in _SOURCES for file in (package / folder).glob("*.py"))
    if not files:
        raise UnknownPartError
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
