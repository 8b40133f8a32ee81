"""Whether model, task and batches fit each other: what can be said in a sentence before anything is compiled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np

from epochal.engine.micro_batch import device_memory
from epochal.engine.state import State
from epochal.engine.task import Task
from epochal.errors import ModelError
from epochal.models import Model


@contextmanager
def must_fit(problem: str) -> Iterator[None]:
    """Turn what JAX says of shapes that do not fit into a `ModelError` of one line."""
    try:
        yield
    except ModelError:
        raise
    except (TypeError, ValueError) as error:
        first_line = str(error).strip().split("\n", 1)[0]
        raise ModelError(f"{problem}: {first_line}") from error


def check_outputs(model: Model, task: Task, state: State) -> None:
    """Raise `ModelError` unless the model turns one sample into as many outputs as the task needs."""
    x = jax.ShapeDtypeStruct((1, *task.sample_shape), np.float32)
    key = jax.random.key(0)
    outputs, _ = jax.eval_shape(lambda x: model.apply(state.params, state.model_state, x, key, True), x)
    if outputs.shape != (1, task.outputs):
        raise ModelError(
            f"model '{model.name}' returns shape {outputs.shape} for one sample of '{task.data}'; "
            f"(1, {task.outputs}) is needed"
        )


def check_task(task: Task) -> None:
    """Try the loss and the metrics on the shapes of two samples: raises `ModelError`."""
    outputs = jax.ShapeDtypeStruct((2, task.outputs), np.float32)
    targets = jax.ShapeDtypeStruct((2, *task.target_shape), task.target_type)
    shapes = f"outputs of shape {outputs.shape} and targets of shape {targets.shape}"

    with must_fit(f"loss '{task.loss}' does not fit {shapes}"):
        jax.eval_shape(lambda *pair: task.losses(*pair), outputs, targets)
    for metric in task.metrics:
        with must_fit(f"metric '{metric.name}' does not fit {shapes}"):
            jax.eval_shape(lambda *pair, metric=metric: metric.of(*pair), outputs, targets)


def count_parameters(model: Model, state: State) -> int:
    """Return how many numbers training adjusts, from the shapes of a state.

    Raises `ModelError` where the memory does not hold the state.
    """
    count: int = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))
    needed = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    memory = device_memory()
    if memory is not None and needed > memory:
        raise ModelError(
            f"model '{model.name}' has {count:,} parameters and needs {needed / 1e9:,.0f} GB with its "
            f"optimizer, more than the {memory / 1e9:,.0f} GB there are; make it smaller"
        )
    return count


def check_shards(model: Model, state: State, count: int) -> None:
    """Reject sharding for models with batch statistics or sequential state: raises `ModelError`."""
    if model.uses_batch_statistics:
        problem = f"model '{model.name}' uses batch statistics"
    elif jax.tree.leaves(state.model_state):
        problem = f"model '{model.name}' updates its own state sample by sample"
    else:
        return
    raise ModelError(
        f"{problem}, so a batch cannot be split into {count} shards without changing the result; leave shards out"
    )


def check_micro_batch(model: Model, batch_size: int, micro_batch: int) -> None:
    """Reject micro-batches for models with batch statistics: raises `ModelError`."""
    if model.uses_batch_statistics and micro_batch < batch_size:
        raise ModelError(
            f"model '{model.name}' uses batch statistics, so a batch of {batch_size} cannot be split into "
            f"micro-batches of {micro_batch} without changing the result; leave micro_batch out"
        )
