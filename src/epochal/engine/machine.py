"""The machine that programs are compiled for: its processor, and how many of its cores this process may use."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, Final

_CHOSEN_BY: Final = (
    "vendor_id", "cpu family", "model", "stepping", "flags", "CPU ", "Features", "features", "isa", "uarch", "cpu\t",
)  # fmt: skip
"""How the lines begin by which a compiler chooses instructions: x86, ARM, then others."""


def available_cores() -> int:
    """Return how many CPU cores this process may use: on a CPU they decide how products are split, so last bits."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """Return what a CPU's programs are compiled for: a home folder may be that of several machines.

    With the number of cores, since loops are cut for so many.
    """
    return f"{_processor()} {available_cores()} cores"


@cache
def _processor() -> str:
    said = [platform.system(), platform.machine(), os.environ.get("PROCESSOR_IDENTIFIER", "")]  # the last by Windows
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        said += processor_lines(file)
    return " ".join((*said, *_features()))


def processor_lines(cpuinfo: Iterable[str]) -> Iterator[str]:
    """Yield what Linux says of the first core, but for what changes from moment to moment; the others are alike.

    A name is not enough: a virtual machine may have that of another with a different model, or fewer instructions.
    """
    for line in cpuinfo:
        if line.startswith(_CHOSEN_BY):
            yield line.strip()
        if not line.strip():
            return


def _features() -> list[str]:
    """Return the instructions that NumPy found in the processor itself, on any system."""
    core: Any = import_module("numpy._core._multiarray_umath")  # no public name gives them without printing
    found: dict[str, bool] = getattr(core, "__cpu_features__", {})
    return sorted(name for name, is_there in found.items() if is_there)
