"""The contenders: each a short file, as its own documentation writes a training, tuned where that says how.

Each has one or more classes with the same three methods:

- ``__init__(problem, device)`` builds the model with fresh weights and its optimizer;
- ``train(iterations)`` runs that many updates (or a few more) and returns `Done`: how many, in how many seconds;
- ``predict(x)`` returns the predicted class of each of ``(n, 28, 28)`` images.

One that holds more than memory also has ``close()``.

All use the same weight initialisation, optimizer, learning rate and batch size, and a fresh random order each epoch.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

clock = time.process_time if os.environ.get("BENCH_CLOCK") == "cpu" else time.perf_counter
"""What all are measured with: seconds as they pass or, on a machine that is never quiet, the process's own."""


class Done(NamedTuple):
    """What a call of ``train`` did."""

    iterations: int
    seconds: float


CONTENDERS = {
    "Epochal": "epochal_train.Epochal",
    "JAX loop by hand": "jax_loop.Loop",
    "JAX loop, plain convolution": "jax_loop.PlainConvolutionLoop",
    "PyTorch, DataLoader": "torch_loops.Loader",
    "PyTorch, indexing": "torch_loops.Indexing",
    "PyTorch, torch.compile": "torch_loops.Compiled",
    "Lightning": "lightning_trainer.Lightning",
    "Keras on JAX": "keras_fit.Keras",
    "Keras on JAX, tuned": "keras_fit.TunedKeras",
    "scikit-learn": "sklearn_mlp.ScikitLearn",
    "skorch": "skorch_net.Skorch",
    "NumPy": "numpy_loop.NumPy",
}
"""Name → module and class; a contender whose packages are missing, or which cannot do a work, is left out."""

OURS, FLOORS, LOADER = "Epochal", ("JAX loop by hand", "JAX loop, plain convolution"), "PyTorch, DataLoader"


class CannotDoError(Exception):
    """Raised by a contender that cannot do a work; the message says why."""
