"""A whole process of Epochal: from its start to a test accuracy, through the public interface.

    python bench/whole_epochal.py MODEL GOAL

Prints one JSON object: seconds since 1970 of the first update and of reaching the goal, and what was reached.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time

import epochal
from epochal.run.callbacks import Callback, ChunkEnd, EpochEnd

model, goal, optimizer, lr = sys.argv[1], float(sys.argv[2]), sys.argv[3], float(sys.argv[4])
seen: dict[str, float] = {}


class UntilGoal(Callback):
    """Stops the training at the goal."""

    def on_chunk(self, chunk: ChunkEnd) -> None:
        seen.setdefault("first_update", time.time())

    def on_epoch(self, epoch: EpochEnd) -> None:
        if (epoch.row.test_accuracy or 0) >= goal:
            seen.setdefault("goal", time.time())
            self.should_stop = True


with tempfile.TemporaryDirectory() as folder:
    run = epochal.train(
        "mnist", model=model, optimizer=optimizer, lr=lr, batch_size=100, epochs=30, seed=int(sys.argv[5]),
        run=f"{folder}/run", callbacks=UntilGoal(),
    )  # fmt: skip
    last = run.history.epochs[-1]
print(json.dumps({**seen, "accuracy": last.test_accuracy, "epochs": last.epoch}))
