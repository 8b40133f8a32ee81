"""Networks of Keras and Flax NNX trained by Epochal, beside the built-in cnn, Keras' own `fit` and eager PyTorch.

    python bench/own_models.py [--networks cnn resnet mobile] [--batch-sizes 1 100] [--cores 1] [--plain]

Each contender is a process of its own, bound to the same cores, and trains so many iterations when it has its turn; all
of them have their turns in each round. Shown are the median of the milliseconds an iteration by the wall and the
quartiles, the median of the processor's milliseconds, and the ratio of these to the first row of each table: on a busy
machine, look at the processor's on one core. ``--plain`` adds Epochal without its fast forms (minutes long).
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
from typing import Any

SAMPLES, RATE = 6_000, 0.01
CONTENDERS = ("epochal cnn", "epochal keras", "epochal nnx", "keras fit", "torch")
Train = Callable[[int], int]  # iterations that are wanted → that were done


def data_for(network: str) -> tuple[Any, Any]:
    """Return random images (uint8) and classes: what they show costs nothing."""
    import numpy as np

    from foreign_models import SHAPES

    random = np.random.default_rng(0)
    x = random.integers(0, 256, (SAMPLES, *SHAPES[network]), dtype=np.uint8)
    return x, random.integers(0, 10, SAMPLES, dtype=np.int32)


def epochal_trainer(contender: str, network: str, batch_size: int) -> Train:
    """Return what trains in Epochal's engine."""
    import foreign_models
    from epochal.clock import Position
    from epochal.data import from_arrays
    from epochal.engine import Engine, build_optimizer, build_task
    from epochal.engine.chunk import CAPACITY
    from epochal.engine.task import input_spec
    from epochal.models import build_model
    from epochal.models.adapters.recognise import adapt
    from epochal.order import Order

    x, y = data_for(network)
    data = from_arrays(x, y, test=(x[:100], y[:100]), name="random")
    if contender == "epochal cnn":
        model = build_model("cnn", x.shape[1:], 10)
    else:
        make = foreign_models.keras_network if "keras" in contender else foreign_models.nnx_network
        model = adapt(make(network), input_spec(data, count=2))

    order = Order(SAMPLES, 0)
    engine = Engine(model, data, build_task(data), build_optimizer("sgd", {}), order, rate=RATE)
    state = engine.initial_state()
    engine.prepare(state, batch_size)

    def train(iterations: int) -> int:
        nonlocal state
        done = 0
        while done < iterations:
            count = min(iterations - done, SAMPLES // batch_size, CAPACITY)
            state, _ = engine.run(state, Position(), batch_size, count)
            done += count
        return done

    return train


def keras_trainer(contender: str, network: str, batch_size: int) -> Train:
    """Return what trains by Keras' own `fit`."""
    import keras

    from foreign_models import keras_network

    x, y = data_for(network)
    x = x.astype("float32") / 255
    model = keras_network(network)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss, steps_per_execution=1)

    def train(iterations: int) -> int:
        model.fit(x, y, batch_size=batch_size, epochs=1, steps_per_epoch=iterations, verbose=0)
        return iterations

    return train


def torch_trainer(contender: str, network: str, batch_size: int) -> Train:
    """Return what trains by PyTorch's eager loop over tensors in memory."""
    import torch
    from torch.nn.functional import cross_entropy

    from foreign_models import torch_network

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    images, classes = data_for(network)
    x, y = torch.tensor(images.transpose(0, 3, 1, 2)).float().contiguous() / 255, torch.tensor(classes).long()
    net = torch_network(network)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)

    def train(iterations: int) -> int:
        order = torch.randperm(SAMPLES)
        for i in range(iterations):
            start = i * batch_size % (SAMPLES - batch_size + 1)
            rows = order[start : start + batch_size]
            loss = cross_entropy(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return iterations

    return train


def serve(contender: str, network: str, batch_size: int) -> None:
    """Answer each line, a number of iterations, with the wall's and the processor's seconds an iteration."""
    if contender.endswith("plain"):
        from epochal.engine.fast_forms import fast_model

        fast_model.jax.default_backend = lambda: "none"  # type: ignore[attr-defined]
    makers = {"keras fit": keras_trainer, "torch": torch_trainer}
    train = makers.get(contender, epochal_trainer)(contender, network, batch_size)
    train(1)
    print("ready", flush=True)
    for line in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        done = train(int(line))
        print(json.dumps([(time.perf_counter() - wall) / done, (time.process_time() - processor) / done]), flush=True)


class Contender:
    """A contender's process."""

    def __init__(self, name: str, network: str, batch_size: int, cores: int) -> None:
        settings = {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(cores)}
        command = [sys.executable, __file__, "--serve", name, network, str(batch_size)]
        chosen = sorted(os.sched_getaffinity(0))[-cores:]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | settings,
            preexec_fn=lambda: os.sched_setaffinity(0, chosen),
        )
        self.times: list[list[float]] = []
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"{name} cannot train {network}")

    def train(self, iterations: int) -> list[float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(iterations, file=self.process.stdin, flush=True)
        times: list[float] = json.loads(self.process.stdout.readline())
        return times

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(network: str, batch_size: int, names: list[str], options: argparse.Namespace) -> None:
    """Measure one network at one batch size, and print its table."""
    contenders = {name: Contender(name, network, batch_size, options.cores) for name in names}
    counts = {}
    for name, one in contenders.items():
        counts[name] = max(1, round(options.seconds / one.train(2)[0]))
    for _ in range(options.rounds):
        for name, one in contenders.items():
            one.times.append(one.train(counts[name]))

    print(f"\n{network}, B = {batch_size}, {options.cores} core(s); ms an iteration, {options.rounds} rounds")
    print(f"{'':16}{'wall':>9}{'quartiles':>20}{'processor':>11}{'ratio':>8}")
    first = None
    for name, one in contenders.items():
        one.close()
        wall, processor = ([1e3 * t for t in times] for times in zip(*one.times, strict=True))
        low, _, high = statistics.quantiles(wall, n=4) if len(wall) > 1 else wall * 3
        middle = statistics.median(processor)
        first = first or middle
        spread = f"{low:.2f} – {high:.2f}"
        print(f"{name:16}{statistics.median(wall):9.2f}{spread:>20}{middle:11.2f}{middle / first:8.2f}", flush=True)


def main() -> None:
    """Print a table for each network and batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["cnn", "resnet", "mobile"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 100])
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS))
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one turn, at least one iteration")
    parser.add_argument("--plain", action="store_true", help="also Epochal without its fast forms")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], options.serve[1], int(options.serve[2]))
        return

    names = options.contenders + (["epochal keras plain"] if options.plain else [])
    for network in options.networks:
        for batch_size in options.batch_sizes:
            compare(network, batch_size, [n for n in names if n != "epochal cnn" or network == "cnn"], options)


if __name__ == "__main__":
    main()
