"""Small engines whose every number can be checked, and the loop that drives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from epochal.audit import Audit
from epochal.clock import Plan, Position, Span
from epochal.data import Dataset, from_arrays
from epochal.data.dataset import Preprocessing
from epochal.engine import CAPACITY, ChunkResult, Engine, Optimizer, State, build_task
from epochal.engine.compile import PROGRAMS, Programs
from epochal.models import Model
from epochal.order import Order

DESCENT = optax.sgd(0.1)


def labelled(n: int = 103, test: int = 23, seed: int = 0) -> Dataset:
    """Samples of four features in three classes, whose losses differ widely."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 2, (n + test, 4)).astype(np.float32)
    y = np.concatenate([np.arange(3), rng.integers(0, 3, n + test - 3)]).astype(np.int32)
    return from_arrays(x[:n], y[:n], test=(x[n:], y[n:]), name="labelled", class_names=("a", "b", "c"))


def numbered(n: int, test: int = 1) -> Dataset:
    """Samples whose target is their own number, so that a loss tells which samples a batch had."""
    number = np.arange(max(n, test), dtype=np.float32)
    parts = (number[:n, None], number[:n]), (number[:test, None], number[:test])
    return from_arrays(*parts[0], test=parts[1], name="numbered", preprocessing=Preprocessing.of(0, 1))


def number_of_sample(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """A loss that is each sample's number, whatever the outputs."""
    return targets + 0 * outputs[:, 0]


def output_itself(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """A loss that is each sample's output, whatever the target."""
    return outputs[:, 0]


def linear(features: int = 4, outputs: int = 3) -> Model:
    """One matrix and one bias."""

    def init(key: jax.Array) -> tuple[Any, Any]:
        return {"bias": jnp.zeros(outputs), "matrix": jax.random.normal(key, (features, outputs))}, ()

    def apply(params: Any, state: Any, x: jax.Array, key: Any, training: bool) -> tuple[jax.Array, Any]:
        return x @ params["matrix"] + params["bias"], state

    return Model("test-linear", init, apply)


def constant(value: float = 0.0) -> Model:
    """One weight, which is the output for every sample: with `output_itself` its gradient is always 1."""

    def apply(params: Any, state: Any, x: jax.Array, key: Any, training: bool) -> tuple[jax.Array, Any]:
        return jnp.broadcast_to(params, (len(x), 1)), state

    return Model("test-constant", lambda key: (jnp.float32(value), ()), apply)


def noisy() -> Model:
    """Puts out noise from its key, a number for each sample, when it trains."""

    def apply(params: Any, state: Any, x: jax.Array, key: Any, training: bool) -> tuple[jax.Array, Any]:
        noise = jax.random.uniform(key, (len(x), 1)) if training else jnp.zeros((len(x), 1))
        return noise + 0 * params, state

    return Model("test-noisy", lambda key: (jnp.float32(0), ()), apply, needs_rng=True)


def engine_for(
    model: Model,
    data: Dataset,
    *,
    loss: Any = None,
    metrics: Any = None,
    optimizer: optax.GradientTransformation | Optimizer | None = None,
    order: Order | None = None,
    programs: Programs = PROGRAMS,
    **options: Any,
) -> Engine:
    """An engine with plain descent at rate 0.1 unless told otherwise."""
    if not isinstance(optimizer, Optimizer):
        optimizer = Optimizer(own=optimizer or DESCENT)
    order = order or Order(len(data.train), options.get("seed", 0))
    task = build_task(data, loss, metrics)
    return Engine(model, data, task, optimizer, order, programs=programs, **options)


def drive(
    engine: Engine,
    plan: Plan,
    *,
    state: State | None = None,
    position: Position | None = None,
    longest: int = CAPACITY,
    each: Callable[[Position, int, ChunkResult], None] = lambda position, batch_size, chunked: None,
) -> tuple[State, np.ndarray[Any, Any], Audit]:
    """Go to the plan's end in chunks of at most ``longest`` iterations; return state, losses and audit of all of it."""
    state = state or engine.initial_state()
    position = position or Position()
    losses, audit = [], Audit()
    while left := plan.remaining(position).amount:
        batch_size = plan.next_batch_size(position)
        count = min(longest, left, (plan.samples - position.offset) // batch_size)
        state, chunked = engine.run(state, position, batch_size, count)
        each(position, batch_size, chunked)
        losses.append(chunked.losses)
        audit += chunked.audit
        position = plan.advance(position, Span.iterations(count))
    return state, np.concatenate(losses), audit


def batches_of(plan: Plan, order: Order) -> list[np.ndarray[Any, Any]]:
    """The sample indices of each batch of the plan, from the order alone: what training must have used."""
    batches = []
    for iteration in range(plan.iterations):
        position = plan.position(iteration=iteration)
        stop = position.offset + plan.next_batch_size(position)
        batches.append(order.indices(position.epoch, position.offset, stop))
    return batches
