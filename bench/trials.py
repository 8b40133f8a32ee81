"""Measure again what was tried for speed, beside what stands in the code.

    python bench/trials.py [shards] [rnn] [products] [gather] [narrow]

Each trial is a compiled loop; all of a group run in turns. Shown are the median and the least microseconds of an
iteration, and the processors' microseconds, which other work on the machine changes less (`taskset -c 0` for one
processor alone). What they led to is in docs/performance.md.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from epochal.clock import Position
from epochal.data import from_arrays
from epochal.engine import Engine, build_optimizer, build_task, offer_cores
from epochal.models import build_model
from epochal.models.rnn import remember
from epochal.order import Order

Step = Callable[[Any, Array], Any]
Loop = Callable[[], Any]
ROUNDS, SAMPLES, BATCH = 11, 60_000, 100
SHARDED = (("rnn", 32, 40), ("rnn", 100, 40), ("rnn", 1000, 4), ("cnn", 32, 10), ("cnn", 100, 4), ("mlp", 100, 300))


def compare(steps: dict[str, tuple[Step, Any]], iterations: int) -> None:
    """Compile each step's loop, run all in turns, and print what they took."""
    loops: dict[str, Loop] = {}
    for name, (step, start) in steps.items():
        loop = jax.jit(lambda start, step=step: lax.fori_loop(0, iterations, lambda i, carry: step(carry, i), start))
        loops[name] = partial(loop.lower(start).compile(), start)
    take_turns(loops, iterations)


def take_turns(loops: dict[str, Loop], iterations: int) -> None:
    """Run all loops in turns, and print what an iteration took."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    busy: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(ROUNDS):
        for name, loop in loops.items():
            before, processor = time.perf_counter(), time.process_time()
            jax.block_until_ready(loop())
            seconds[name].append(time.perf_counter() - before)
            busy[name].append(time.process_time() - processor)
    for name, times in seconds.items():
        median, least = (1e6 * value / iterations for value in (statistics.median(times), min(times)))
        used, fewest = (1e6 * value / iterations for value in (statistics.median(busy[name]), min(busy[name])))
        print(f"  {name:34s} {median:8,.0f} µs, least {least:8,.0f}; processors {used:8,.0f}, least {fewest:8,.0f}")


def shards() -> None:
    """Time training, its batches whole and cut into two and four shards."""
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (SAMPLES, 28, 28), np.uint8), random.integers(0, 10, SAMPLES, np.int32)
    data = from_arrays(x, y, test=(x[:100], y[:100]))
    task, optimizer, order = build_task(data), build_optimizer("sgd"), Order(SAMPLES, 0)
    for model, batch_size, iterations in SHARDED:
        loops = {}
        for count in (1, 2, 4):
            net = build_model(model, (28, 28), 10)
            engine = Engine(net, data, task, optimizer, order, rate=0.01, shards=count)
            if engine.cut(batch_size).count == count:
                loops[f"{model}, B = {batch_size}, {count} shards"] = Trained(engine, batch_size, iterations)
        for loop in loops.values():
            loop()
        take_turns(loops, iterations)


class Trained:
    """A training that goes on by some iterations at each call, always on the same samples."""

    def __init__(self, engine: Engine, batch_size: int, iterations: int) -> None:
        self.engine, self.state, self.size = engine, engine.initial_state(), (batch_size, iterations)

    def __call__(self) -> Any:
        self.state, _ = self.engine.run(self.state, Position(), *self.size)
        return self.state


def random_batch(x: Array, i: Array) -> Array:
    """Return the indices of a batch, each iteration others."""
    return (i * BATCH + jnp.arange(BATCH)) * 7919 % len(x)


def rnn() -> None:
    """Time a whole step of SGD of `rnn`, with its loop over the rows written in other ways."""
    key = jax.random.key(0)
    params, _ = build_model("rnn", (28, 28), 10).init(key)
    x = jax.random.randint(key, (SAMPLES, 28, 28), 0, 256).astype(jnp.uint8)
    y = jax.random.randint(key, (SAMPLES,), 0, 10)

    def unrolled(drive: Array, recurrent: Array) -> Array:
        memory = jnp.zeros_like(drive[0])
        for row in drive:
            memory = jnp.tanh(row + memory @ recurrent)
        return memory

    def halves(drive: Array, recurrent: Array) -> Array:
        return jnp.concatenate([remember(half, recurrent) for half in jnp.split(drive, 2, axis=1)])

    def step_with(remember: Callable[[Array, Array], Array]) -> Step:
        def loss(params: Any, x: Array, y: Array) -> Array:
            rows = x.swapaxes(0, 1).reshape(-1, 28)
            drive = (rows @ params["input"]["weights"] + params["input"]["bias"]).reshape(28, len(x), -1)
            scores = remember(drive, params["recurrent"]) @ params["output"]["weights"] + params["output"]["bias"]
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1))

        def step(params: Any, i: Array) -> Any:
            rows = random_batch(x, i)
            gradient = jax.grad(loss)(params, x[rows].astype(jnp.float32) / 255, y[rows])
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)

        return step

    ways = {"as it is": remember, "all 28 rows unrolled": unrolled, "two halves of the batch": halves}
    compare({name: (step_with(way), params) for name, way in ways.items()}, 40)


def products() -> None:
    """Time the two large products of `mlp` at B = 100, with the weights one way and the other."""
    key = jax.random.key(0)
    x, w, h = (jax.random.normal(key, shape) for shape in ((BATCH, 784), (784, 128), (BATCH, 128)))
    wt = w.T.copy()

    def with_product(product: Callable[..., tuple[Array, Array]]) -> Step:
        def step(carry: tuple[Array, Array, Array], i: Array) -> tuple[Array, Array, Array]:
            x, w, h = carry
            w, h = product(x, w, h)
            return lax.dynamic_update_slice(x, 1e-3 * h[:1, :1], (0, 0)), w, h  # so that none leaves the loop

        return step

    steps = {
        "forward, x @ w": (with_product(lambda x, w, h: (w, jnp.tanh(x @ w) + 1e-9 * h)), (x, w, h)),
        "forward, x @ wᵀ, w transposed": (with_product(lambda x, w, h: (w, jnp.tanh(x @ w.T) + 1e-9 * h)), (x, wt, h)),
        "gradient, xᵀ @ h": (with_product(lambda x, w, h: (w - 1e-6 * (x.T @ h), 0.99 * h)), (x, w, h)),
        "gradient, hᵀ @ x, w transposed": (with_product(lambda x, w, h: (w - 1e-6 * (h.T @ x), 0.99 * h)), (x, wt, h)),
    }
    compare(steps, 300)


def gather() -> None:
    """Time the gathering of a batch: bytes, the same as words of four bytes, and a batch that lies together."""
    images = jax.random.randint(jax.random.key(0), (SAMPLES, 784), 0, 256).astype(jnp.uint8)
    words = lax.bitcast_convert_type(images.reshape(SAMPLES, 196, 4), jnp.uint32)
    weights = jnp.ones((784, 128))

    def step_with(take: Callable[[Array], Array]) -> Step:
        def step(weights: Array, i: Array) -> Array:
            x = (take(i).astype(jnp.float32) - 33.0) / 78.0
            return weights + 1e-9 * (x[:8].T @ x[:8, :128])

        return step

    def as_words(i: Array) -> Array:
        return lax.bitcast_convert_type(words[random_batch(words, i)], jnp.uint8).reshape(BATCH, 784)

    ways = {
        "bytes": lambda i: images[random_batch(images, i)],
        "words of four bytes": as_words,
        "no gathering: neighbours": lambda i: lax.dynamic_slice_in_dim(images, i, BATCH),
    }
    compare({name: (step_with(way), weights) for name, way in ways.items()}, 200)


def narrow() -> None:
    """Time a whole step of SGD of `linear` at B = 100, with its two narrow products in other forms."""
    key = jax.random.key(0)
    images = jax.random.randint(key, (SAMPLES, 784), 0, 256).astype(jnp.uint8)
    labels = jax.random.randint(key, (SAMPLES,), 0, 10)

    def step_with(scores_of: Callable[[Array, Array], Array], gradient_of: Callable[[Array, Array], Array]) -> Step:
        def step(w: Array, i: Array) -> Array:
            rows = random_batch(images, i)
            x = images[rows].astype(jnp.float32) / 255
            error = jax.nn.softmax(scores_of(x, w)) - jax.nn.one_hot(labels[rows], 10)
            return w - 0.1 / BATCH * gradient_of(x, error)

        return step

    def padded(error: Array) -> Array:
        return jnp.pad(error, ((0, 0), (0, 6)))

    def forward(x: Array, w: Array) -> Array:
        return x @ w

    def gradient(x: Array, error: Array) -> Array:
        return x.T @ error

    weights = jnp.zeros((784, 10))
    compare(
        {
            "as it was": (step_with(forward, gradient), weights),
            "no products": (step_with(lambda x, w: x[:, :10] + w[:1], lambda x, error: x[:1].T + error[:1]), weights),
            "forward alone": (step_with(forward, lambda x, error: x[:1].T + error[:1]), weights),
            "gradient alone": (step_with(lambda x, w: x[:, :10] + w[:1], gradient), weights),
            "gradient as (errorᵀ @ x)ᵀ": (step_with(forward, lambda x, error: (error.T @ x).T), weights),
            "the same, kept apart from ᵀ": (
                step_with(forward, lambda x, error: lax.optimization_barrier(error.T @ x).T),
                weights,
            ),
            "both products so, as it is": (
                step_with(
                    lambda x, w: x @ lax.optimization_barrier(w.T).T,
                    lambda x, error: lax.optimization_barrier(error.T @ x).T,
                ),
                weights,
            ),
            "w transposed": (step_with(lambda x, w: x @ w.T, lambda x, error: error.T @ x), weights.T.copy()),
            "w padded to 16 columns": (
                step_with(lambda x, w: (x @ w)[:, :10], lambda x, error: x.T @ padded(error)),
                jnp.zeros((784, 16)),
            ),
        },
        300,
    )


TRIALS = {"shards": shards, "rnn": rnn, "products": products, "gather": gather, "narrow": narrow}


def main() -> None:
    offer_cores()
    for name in sys.argv[1:] or TRIALS:
        print(TRIALS[name].__doc__.split("\n")[0])
        TRIALS[name]()


if __name__ == "__main__":
    main()
