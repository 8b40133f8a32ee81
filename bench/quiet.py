"""Whether the machine was quiet: how much of its processors others used while something was measured."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class Busy:
    """Processor seconds so far: the whole machine's, and one process's."""

    machine: float
    process: float

    @classmethod
    def now(cls, pid: int) -> Self:
        """Read them from /proc; zeros where there is none."""
        try:
            first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
            own = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return cls(0.0, 0.0)
        user, nice, system, irq, soft, steal = (int(first[i]) for i in (1, 2, 3, 6, 7, 8))
        return cls((user + nice + system + irq + soft + steal) / _TICKS, (int(own[11]) + int(own[12])) / _TICKS)

    def others(self, later: Busy, seconds: float, processors: int) -> float:
        """Return the share of the processors that other processes used from here until ``later``."""
        used = (later.machine - self.machine) - (later.process - self.process)
        return max(0.0, used / (seconds * processors))
