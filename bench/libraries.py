"""The same network trained in Epochal and in each library's own way: iterations a second, in turns.

    python bench/libraries.py [--rounds 5] [--batch-sizes 1 100] [--only keras torch] [--out FILE]

The network is 784-128-10 with plain SGD on MNIST (on digits-60k where there is none). Each contender is a process of
its own, which compiles, then trains so many iterations in each round; ratios are taken within a round, of the library's
time to that of the same module in Epochal. ``--out`` keeps the numbers as JSON: `make bench` makes a table of them.
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

import numpy as np

LIBRARIES = ("nnx", "linen", "equinox", "keras", "haiku", "torch")
NAMES = {
    "nnx": "Flax NNX, `nnx.jit` step",
    "linen": "Flax Linen, `jax.jit` step",
    "equinox": "Equinox, `filter_jit` step",
    "keras": "Keras on JAX, `fit`",
    "haiku": "Haiku, `jax.jit` step",
    "torch": "PyTorch, eager",
}
RATE, WIDTH = 0.1, 128
Step = Callable[[Any, Any], Any]


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Return the training images as floats and their classes."""
    from epochal import load_data

    folder = os.environ.get("EPOCHAL_DATA")
    data = load_data("mnist" if folder and (Path(folder) / "mnist").is_dir() else "digits-60k")
    return np.asarray(data.preprocessing(data.train.x)), data.train.y


# --- modules, and each library's own step ---------------------------------------------------------------------------


def make(library: str) -> Any:
    """Return the network as a module of the library."""
    import jax

    if library == "nnx":
        from flax import nnx

        first, last = nnx.Linear(784, WIDTH, rngs=nnx.Rngs(0)), nnx.Linear(WIDTH, 10, rngs=nnx.Rngs(1))
        return nnx.Sequential(lambda x: x.reshape(len(x), 784), first, nnx.relu, last)
    if library == "linen":
        from flax import linen

        return linen.Sequential([lambda x: x.reshape(len(x), 784), linen.Dense(WIDTH), linen.relu, linen.Dense(10)])
    if library == "equinox":
        import equinox as eqx

        layers = [eqx.nn.Lambda(jax.numpy.ravel), eqx.nn.MLP(784, 10, WIDTH, 1, key=jax.random.key(0))]
        return eqx.nn.Sequential(layers)
    if library == "keras":
        from keras import Input, Sequential, layers

        return Sequential([Input((28, 28)), layers.Flatten(), layers.Dense(WIDTH, "relu"), layers.Dense(10)])
    if library == "haiku":
        import haiku as hk

        return hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([WIDTH, 10])(hk.Flatten()(x))))
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))


def own_step(library: str) -> Step:
    """Return one update by a batch, as the library's own pages write it."""
    import jax
    import optax

    module, loss_of = make(library), optax.softmax_cross_entropy_with_integer_labels
    if library == "torch":
        import torch

        optimizer = torch.optim.SGD(module.parameters(), RATE)

        def torch_step(x: Any, y: Any) -> Any:
            loss = torch.nn.functional.cross_entropy(module(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return torch_step
    if library == "nnx":
        from flax import nnx

        optimizer = nnx.Optimizer(module, optax.sgd(RATE), wrt=nnx.Param)

        @nnx.jit
        def nnx_step(module: Any, optimizer: Any, x: Any, y: Any) -> Any:
            loss, gradient = nnx.value_and_grad(lambda module: loss_of(module(x), y).mean())(module)
            optimizer.update(module, gradient)
            return loss

        return lambda x, y: nnx_step(module, optimizer, x, y)

    update = optax.sgd(RATE)
    if library == "equinox":
        import equinox as eqx

        @eqx.filter_jit
        def eqx_step(module: Any, state: Any, x: Any, y: Any) -> Any:
            loss, gradient = eqx.filter_value_and_grad(lambda module: loss_of(jax.vmap(module)(x), y).mean())(module)
            changes, state = update.update(gradient, state)
            return eqx.apply_updates(module, changes), state, loss

        held = [module, update.init(eqx.filter(module, eqx.is_array))]
        return _carried(eqx_step, held)

    params = module.init(jax.random.key(0), np.zeros((1, 28, 28), np.float32))

    @jax.jit
    def jax_step(params: Any, state: Any, x: Any, y: Any) -> Any:
        loss, gradient = jax.value_and_grad(lambda params: loss_of(module.apply(params, x), y).mean())(params)
        changes, state = update.update(gradient, state)
        return optax.apply_updates(params, changes), state, loss

    return _carried(jax_step, [params, update.init(params)])


def _carried(step: Callable[..., Any], held: list[Any]) -> Step:
    def carried(x: Any, y: Any) -> Any:
        held[0], held[1], loss = step(*held, x, y)
        return loss

    return carried


def own_trainer(library: str, batch_size: int) -> Callable[[int], float]:
    """Return what trains so many iterations in the library's own way, and returns the seconds."""
    x, y = arrays()
    if library == "keras":
        import keras

        module = make("keras")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        module.compile(optimizer=keras.optimizers.SGD(RATE), loss=loss)

        def fit(iterations: int) -> float:
            rows = min(len(x), iterations * batch_size)
            started = time.perf_counter()
            module.fit(x[:rows], y[:rows], batch_size=batch_size, epochs=1, verbose=0)
            return time.perf_counter() - started

        return fit
    step, random = own_step(library), np.random.default_rng(0)
    if library == "torch":
        import torch

        x, y = torch.tensor(x), torch.tensor(y.astype(np.int64))

    def train(iterations: int) -> float:
        order = random.permutation(len(y))
        started = time.perf_counter()
        for number in range(iterations):
            at = number * batch_size % (len(y) - batch_size)
            batch = order[at : at + batch_size]
            loss = step(x[batch], y[batch])
        float(loss if loss is not None else 0)  # waits for the last one
        return time.perf_counter() - started

    return train


def epochal_trainer(library: str, batch_size: int) -> Callable[[int], float]:
    """Return what trains so many iterations of the library's module in Epochal, and returns the seconds."""
    from epochal import train

    x, y = arrays()
    model = "mlp" if library == "mlp" else make(library)

    def trained(iterations: int) -> float:
        run = train(
            (x, y), model=model, test=0.01, lr=RATE, batch_size=batch_size, iterations=iterations, run=False,
            progress=False, evaluate_every=10**6,
        )  # fmt: skip
        return iterations / run.iterations_per_second

    return trained


def serve(library: str, who: str, batch_size: int) -> None:
    """Train when a line asks for so many iterations, and answer with the seconds that they took."""
    trainer = (epochal_trainer if who == "epochal" else own_trainer)(library, batch_size)
    for line in sys.stdin:
        print(json.dumps(trainer(int(line))), flush=True)


# --- the turns ------------------------------------------------------------------------------------------------------


def measure(library: str, batch_size: int, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Return the seconds an iteration of each round, by module and who trains it: of some tenths of a second each."""
    iterations = {"own": 4_000, "epochal": 40_000} if batch_size == 1 else {"own": 600, "epochal": 3_000}
    pairs = [("mlp", "epochal"), (library, "epochal"), (library, "own")]
    seconds: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    servers = {
        pair: subprocess.Popen(
            [sys.executable, __file__, "--serve", *pair, str(batch_size)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )
        for pair in pairs
    }  # fmt: skip

    try:
        for number in range(rounds + 1):  # the first one compiles
            for pair, server in servers.items():
                assert server.stdin is not None
                assert server.stdout is not None
                count = iterations[pair[1]]
                server.stdin.write(f"{count}\n")
                server.stdin.flush()
                answer = json.loads(server.stdout.readline())
                if number:
                    seconds[pair].append(answer / count)
    finally:
        for server in servers.values():
            server.kill()
            server.wait()
    return seconds


def row(library: str, batch_size: int, rounds: int) -> dict[str, Any]:
    """Return what was measured of a library: microseconds an iteration, and the ratio with its middle half."""
    seconds = measure(library, batch_size, rounds)
    own, here, mlp = (seconds[pair] for pair in ((library, "own"), (library, "epochal"), ("mlp", "epochal")))
    ratios = sorted(a / b for a, b in zip(own, here, strict=True))
    return {
        "library": NAMES[library],
        "batch_size": batch_size,
        "own": 1e6 * statistics.median(own),
        "in_epochal": 1e6 * statistics.median(here),
        "mlp": 1e6 * statistics.median(mlp),
        "ratio": [ratios[len(ratios) // 4], statistics.median(ratios), ratios[-1 - len(ratios) // 4]],
    }


def main() -> None:
    """Measure, print, and keep the numbers where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--only", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        library, who, batch_size = options.serve
        serve(library, who, int(batch_size))
        return

    rows = []
    for batch_size in options.batch_sizes:
        for library in options.only:
            one = row(library, batch_size, options.rounds)
            low, middle, high = one["ratio"]
            own, here, mlp = (f"{one[name]:8,.0f} µs" for name in ("own", "in_epochal", "mlp"))
            ratio = f"{middle:6.1f}× ({low:.1f} – {high:.1f})"
            print(f"{one['library']:28} B={batch_size:<4} own {own}  in Epochal {here}  {ratio}  mlp {mlp}", flush=True)
            rows.append(one)
    if options.out:
        options.out.write_text(json.dumps({"rounds": options.rounds, "rows": rows}))


if __name__ == "__main__":
    main()
