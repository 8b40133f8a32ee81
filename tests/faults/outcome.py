"""What a run ended with, for comparison with the run that was never disturbed."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epochal import Run
from epochal.errors import AlteredWarning
from epochal.record.rows import EvaluationRow
from epochal.record.run_record import RunRecord


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that a disturbance must not change; wall-clock seconds may differ.

    Attributes:
        problems: what is wrong with the folder: nothing, whatever was done to its training.
    """

    status: str | None
    weights: str
    losses: bytes
    epochs: tuple[tuple[object, ...], ...]
    evaluations: tuple[EvaluationRow, ...]
    problems: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> Outcome:
        """Read a run folder."""
        record = RunRecord.read(path, check=True)
        history = record.history
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AlteredWarning)  # they are kept as problems
            weights = Run.open(path).weights_sha256
        epochs = [dataclasses.replace(row, seconds=0.0) for row in history.epochs]
        return cls(
            history.last_status,
            weights,
            history.losses.tobytes(),
            tuple(dataclasses.astuple(row) for row in epochs),
            history.evaluations,
            record.problems,
        )

    def differences(self, other: Outcome) -> list[str]:
        """Return what differs, in words; nothing where all is the same."""
        found = []
        if self.losses != other.losses:
            found.append(_first_difference(self.losses, other.losses))
        for name in ("status", "weights", "epochs", "evaluations", "problems"):
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                found.append(f"{name}: {_shortened(mine, its)}")
        return found


def _first_difference(mine: bytes, its: bytes) -> str:
    a, b = np.frombuffer(mine, "<f4"), np.frombuffer(its, "<f4")
    common = min(a.size, b.size)
    differing = np.flatnonzero(a[:common].view("<u4") != b[:common].view("<u4"))
    where = differing[0] if differing.size else common
    return f"losses: {a.size} and {b.size}, the same up to iteration {where}"


def _shortened(mine: object, its: object) -> str:
    if isinstance(mine, tuple) and isinstance(its, tuple):
        pairs = [(a, b) for a, b in zip(mine, its, strict=False) if a != b]
        return f"{len(mine)} and {len(its)}, first difference {pairs[:1]}"
    return f"{mine} and {its}"
