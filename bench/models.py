"""How long a training iteration of a model takes, beside PyTorch's best loop over tensors, alternating in one run.

    python bench/models.py [--models cnn rnn] [--batch-sizes 1 100] [--torch-python .bench-venv/bin/python]

Each of them gathers a batch from the images in memory (uint8), goes forward and backward, and takes a step of SGD.
Epochal's models run in the least loop that can hold them: what is measured is the model, not the engine. PyTorch runs
in an interpreter of its own, in each variant that its documentation names; the fastest one counts. Shown are the
median and the least time of one iteration, and the ratios of both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SAMPLES, LR = 60_000, 0.01
TORCH_VARIANTS = {
    "cnn": ("uint8", "float32", "uint8, channels_last", "float32, channels_last"),
    "rnn": ("uint8, nn.RNN", "float32, nn.RNN", "float32, RNNCell"),
    "mlp": ("uint8", "float32"),
    "linear": ("uint8", "float32"),
}
Train = Callable[[int], float]  # iterations → seconds


def epochal_trainer(name: str, batch_size: int, facts: dict[str, float]) -> Train:
    """Return a function that trains so many iterations and returns the seconds; fills in facts of the compilation."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import lax

    from epochal.models import build_model

    model = build_model(name, (28, 28), 10)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.integers(0, 256, (SAMPLES, 28, 28), dtype=np.uint8))
    y = jnp.asarray(random.integers(0, 10, SAMPLES, dtype=np.int32))
    order = jnp.asarray(random.permutation(SAMPLES).astype(np.int32))

    def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        scores = jax.nn.log_softmax(model.apply(params, (), x, None, True)[0])
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], 1))

    def run(params: Any, x: jax.Array, y: jax.Array, order: jax.Array, count: jax.Array) -> Any:
        def iterate(i: jax.Array, params: Any) -> Any:
            rows = lax.dynamic_slice(order, ((i * batch_size) % (SAMPLES - batch_size + 1),), (batch_size,))
            gradient = jax.grad(loss)(params, x[rows].astype(jnp.float32) / 255, y[rows])
            return jax.tree.map(lambda p, g: p - LR * g, params, gradient)

        return lax.fori_loop(0, count, iterate, params)

    params = model.init(jax.random.key(0))[0]
    started = time.perf_counter()
    compiled = jax.jit(run, donate_argnums=0).lower(params, x, y, order, jnp.int32(1)).compile()
    facts["compile_s"] = time.perf_counter() - started
    facts["temp_mib"] = compiled.memory_analysis().temp_size_in_bytes / 2**20

    def train(iterations: int) -> float:
        nonlocal params
        started = time.perf_counter()
        params = jax.block_until_ready(compiled(params, x, y, order, jnp.int32(iterations)))
        return time.perf_counter() - started

    return train


def torch_trainer(name: str, batch_size: int, variant: str) -> Train:
    """Return the same for PyTorch, indexing tensors, in one of its variants."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    torch.manual_seed(0)
    channels_last = torch.channels_last if "channels_last" in variant else torch.contiguous_format

    class Rows(nn.Module):
        """Reads an image row by row."""

        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.RNNCell(28, 128) if "RNNCell" in variant else nn.RNN(28, 128, batch_first=True)
            self.output = nn.Linear(128, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.squeeze(1)
            if isinstance(self.cell, nn.RNN):
                return self.output(self.cell(x)[1][0])
            state = torch.zeros(len(x), 128)
            for row in x.unbind(1):
                state = self.cell(row, state)
            return self.output(state)

    layers: dict[str, Callable[[], list[nn.Module]]] = {
        "linear": lambda: [nn.Flatten(), nn.Linear(784, 10)],
        "mlp": lambda: [nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)],
        "cnn": lambda: [
            *(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(3136, 256), nn.ReLU(), nn.Linear(256, 10)),
        ],
        "rnn": lambda: [Rows()],
    }
    net = nn.Sequential(*layers[name]()).to(memory_format=channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=LR)
    x, y = torch.randint(0, 256, (SAMPLES, 1, 28, 28), dtype=torch.uint8), torch.randint(0, 10, (SAMPLES,))
    order, place = torch.randperm(SAMPLES), 0
    if "float32" in variant:
        x = x.float() / 255

    def train(iterations: int) -> float:
        nonlocal place
        started = time.perf_counter()
        for _ in range(iterations):
            rows = order[place : place + batch_size]
            place = (place + batch_size) % (SAMPLES - batch_size + 1)
            batch = x[rows] if "float32" in variant else x[rows].float() / 255
            loss = cross_entropy(net(batch.contiguous(memory_format=channels_last)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return time.perf_counter() - started

    return train


def serve_torch() -> None:
    """Answer each line of JSON [model, batch size, variant, iterations] with seconds."""
    trainers: dict[tuple[str, int, str], Train] = {}
    for line in sys.stdin:
        name, batch_size, variant, iterations = json.loads(line)
        if (name, batch_size, variant) not in trainers:
            trainers = {k: v for k, v in trainers.items() if k[:2] == (name, batch_size)}
            trainers[name, batch_size, variant] = torch_trainer(name, batch_size, variant)
        print(trainers[name, batch_size, variant](iterations), flush=True)


class Torch:
    """PyTorch in its own process; `None` of it where it is not installed."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, __file__, "--serve-torch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @classmethod
    def find(cls, python: str) -> Torch | None:
        try:
            missing = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode
        except OSError:
            missing = 1
        return None if missing else cls(python)

    def trainer(self, name: str, batch_size: int, variant: str) -> Train:
        def train(iterations: int) -> float:
            assert self.process.stdin
            assert self.process.stdout
            self.process.stdin.write(json.dumps([name, batch_size, variant, iterations]) + "\n")
            self.process.stdin.flush()
            return float(self.process.stdout.readline())

        return train


def measure(trainers: dict[str, Train], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return each contender's seconds an iteration, in rounds in which each has its turn."""
    counts = {}
    for contender, train in trainers.items():
        train(2)
        counts[contender] = max(1, round(seconds / (train(2) / 2)))
    times: dict[str, list[float]] = {contender: [] for contender in trainers}
    for _ in range(rounds):
        for contender, train in trainers.items():
            times[contender].append(train(counts[contender]) / counts[contender])
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["cnn", "rnn"], choices=sorted(TORCH_VARIANTS))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.15, help="length of one turn, at least one iteration")
    local = Path(__file__).parents[1] / ".bench-venv" / "bin" / "python"
    parser.add_argument("--torch-python", default=str(local) if local.exists() else sys.executable)
    parser.add_argument("--serve-torch", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_torch:
        serve_torch()
        return
    torch = Torch.find(options.torch_python)
    import jax

    print(
        f"{jax.devices()[0].device_kind}, {os.cpu_count()} CPUs, jax {jax.__version__}; ms an iteration: median (least)"
    )
    print(f"{'':12}{'epochal':>18}{'torch':>18}  {'ratio':14}{'compile':>8}{'memory':>9}")
    for name in options.models:
        for size in options.batch_sizes:
            facts: dict[str, float] = {}
            trainers = {"epochal": epochal_trainer(name, size, facts)}
            if torch:
                trainers |= {variant: torch.trainer(name, size, variant) for variant in TORCH_VARIANTS[name]}
            print(row(f"{name} B={size}", measure(trainers, options.rounds, options.seconds), facts), flush=True)


def row(title: str, times: dict[str, list[float]], facts: dict[str, float]) -> str:
    """Return a line of the table; the fastest variant of PyTorch is the one with the least median."""
    ours = times.pop("epochal")
    line = f"{title:12}{shown(ours):>18}"
    if times:
        best = min(times, key=lambda variant: statistics.median(times[variant]))
        middle = statistics.median(times[best]) / statistics.median(ours)
        least = min(min(t) for t in times.values()) / min(ours)
        line += f"{shown(times[best]):>18}  {f'{middle:.2f} ({least:.2f})':14}"
    else:
        best = "torch is not installed"
        line += f"{'n/a':>18}  {'':14}"
    return line + f"{facts['compile_s']:>6.1f} s{facts['temp_mib']:>5.0f} MiB  {best}"


def shown(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:.2f} ({min(times) * 1e3:.2f})"


if __name__ == "__main__":
    main()
