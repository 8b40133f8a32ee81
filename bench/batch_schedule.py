"""What a change of batch size costs beside its compilation: a planned one, and one that a resume makes.

    python bench/batch_schedule.py

It prints, for each change of a schedule, the time between the last chunk before it and the first chunk after it, with
evaluation and checkpoints off their way, beside the seconds between two other chunks; and what was compiled meanwhile.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from epochal import train
from epochal.clock import Position
from epochal.engine import Engine
from epochal.run.callbacks import Callback, ChunkEnd, Start

SCHEDULE = "100,200@150it,400@300it,800@450it"
CHANGES = (150, 300, 450)


@dataclass
class Gaps(Callback):
    """Remembers the host's time between chunks, the chunks' own not counted."""

    gaps: list[tuple[int, int, float]] = field(default_factory=list)
    _ended: float | None = None

    def next_stop(self, position: Position) -> int:
        return position.iteration + 10

    def on_start(self, start: Start) -> None:
        self.compile_seconds = start.compile_seconds

    def on_chunk(self, chunk: ChunkEnd) -> None:
        now = time.perf_counter()
        if self._ended is not None:
            self.gaps.append((chunk.first, chunk.batch_size, now - self._ended - chunk.seconds))
        self._ended = now


def main() -> None:
    late: list[float] = []
    whole = Engine.prepare

    def prepare(self: Engine, state: object, batch_size: int) -> int:
        before = self.compile_seconds
        answer = whole(self, state, batch_size)  # type: ignore[arg-type]
        late.append(self.compile_seconds - before)
        return answer

    Engine.prepare = prepare  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        gaps = Gaps()
        run = train(
            "digits-60k", batch_size=SCHEDULE, iterations=600, evaluate_every=1000, checkpoint_every=1e6,
            run=Path(folder) / "run", callbacks=gaps, progress=False,
        )  # fmt: skip
        assert run.status == "finished"

    usual = [seconds for first, _, seconds in gaps.gaps if first not in CHANGES]
    print(f"{SCHEDULE} of digits-60k: {sum(late):.2f} s of compilation, all of it before the first iteration")
    print(f"between two chunks of one size: median {1e3 * np.median(usual):.2f} ms, most {1e3 * max(usual):.2f} ms")
    for first, size, seconds in gaps.gaps:
        if first in CHANGES:
            print(f"to batches of {size} at iteration {first}: {1e3 * seconds:.2f} ms")


if __name__ == "__main__":
    main()
