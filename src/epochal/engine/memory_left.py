"""How much memory this process can still take, and a word before a training that needs more than that.

A container's share is that of its control group, which may be far less than what the machine has. Where it is spent,
the system ends a process without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import jax

from epochal.data import Dataset

_NUMBERS_A_PARAMETER = 5  # itself, its gradient, up to two of the optimizer's, and its copy for a checkpoint
_BYTES_A_NUMBER = 4


def words_of_need(data: Dataset, parameters: int) -> tuple[str, ...]:
    """Return a warning where a training on the CPU will need more memory than is left; none elsewhere.

    What is counted: the data's copy for the device, and what a model of so many parameters and its optimizer take.
    """
    warnings: list[str] = []
    needed = data.nbytes_in_memory + _NUMBERS_A_PARAMETER * _BYTES_A_NUMBER * parameters
    left = memory_left() if jax.default_backend() == "cpu" else None

    if left is not None and needed > left:
        warnings.append(
            f"this training needs about {needed / 1e9:,.2f} GB of memory more, and {left / 1e9:,.2f} GB are left: the "
            "system may end it without a word; pack the data (epochal data pack), take a smaller model, or allow more"
        )
    return tuple(warnings)


def memory_left(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process can still take; ``None`` where the system does not tell.

    ``root`` is where the system's own files lie.
    """
    found = [*_of_machine(root), *_of_groups(root)]
    return max(0, min(found)) if found else None


def _of_machine(root: Path) -> Iterator[int]:
    with suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield 1024 * int(line.split()[1])


def _of_groups(root: Path) -> Iterator[int]:
    """Yield what each control group above this process leaves; those of version 1 and of version 2."""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)

            if kinds == "" or "memory" in kinds.split(","):
                top = root / "sys/fs/cgroup" / ("memory" if kinds else "")
                group = top / path.lstrip("/")
                for one in (group, *group.parents):
                    yield from _of_group(one, ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else
                                         ("memory.max", "memory.current"))  # fmt: skip
                    if one == top:
                        break


def _of_group(group: Path, names: tuple[str, str]) -> Iterator[int]:
    """Yield what is left of a limit; files that are only kept in memory make room."""
    with suppress(OSError, ValueError):  # such as "max", for no limit
        limit, used = (int((group / name).read_text()) for name in names)
        kept = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        yield limit - used + int(kept.get("total_inactive_file", kept.get("inactive_file", 0)))
