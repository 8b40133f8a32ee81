"""A training small enough to be logged in every way, in this process and in one that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from epochal.data import Dataset, from_arrays

SAMPLES, BATCH = 95, 10  # ten iterations an epoch, the last one smaller
EPOCHS = 6


def clouds() -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(SAMPLES + 20, dtype=np.int32) % 3
    x = (rng.normal(0, 0.5, (y.size, 4)) + 2 * np.eye(3, 4)[y]).astype(np.float32)
    n = SAMPLES
    return from_arrays(x[:n], y[:n], test=(x[n:], y[n:]), name="clouds")


OPTIONS: dict[str, Any] = {"model": "linear", "batch_size": BATCH, "epochs": EPOCHS, "progress": False}

_KILLED = """
import os, pathlib, signal, sys, time
sys.path[:0] = {paths!r}
from epochal import Callback, train
from following import OPTIONS, clouds
import epochal.loggers as loggers

class Kill(Callback):
    def next_stop(self, position):
        return position.iteration + 1
    def on_point(self, point):
        checkpoints = pathlib.Path("run/checkpoints")
        while point.position.iteration == {kill} - 4 and not list(checkpoints.glob("*.safetensors")):
            time.sleep(0.001)
    def on_chunk(self, chunk):
        if chunk.position.iteration == {kill}:
            os.kill(os.getpid(), signal.SIGKILL)

train(clouds(), run="run", callbacks=[loggers.{logger}, Kill()], checkpoint_every=0.001, **OPTIONS)
"""


def killed(folder: Path, logger: str, kill: int = 37) -> Path:
    """Train in another process with a logger, kill it after so many iterations, and return the run folder."""
    code = _KILLED.format(paths=[str(Path(__file__).parent)], logger=logger, kill=kill)
    own = {name: value for name, value in os.environ.items() if "WANDB_SERVICE" not in name}  # not this process's
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, env=own
    )
    assert done.returncode == -9, done.stderr
    return folder / "run"
