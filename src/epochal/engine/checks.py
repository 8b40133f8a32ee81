"""Whether model, task and batches fit each other: what can be said in a sentence before anything is compiled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from epochal.engine.micro_batch import device_memory
from epochal.engine.optimizer import Optimizer
from epochal.engine.state import State
from epochal.engine.task import Task
from epochal.errors import EpochalError, ModelError, OptionError
from epochal.models import Model


@contextmanager
def must_fit(problem: str) -> Iterator[None]:
    """Turn what JAX says of shapes that do not fit into a `ModelError` of one line."""
    try:
        yield
    except EpochalError:
        raise
    except (TypeError, ValueError) as error:
        first_line = str(error).strip().split("\n", 1)[0]
        raise ModelError(f"{problem}: {first_line}") from error


def check_outputs(model: Model, task: Task, state: State) -> None:
    """Raise `ModelError` unless the model turns one sample into the outputs that the task needs.

    It must do so in training and in evaluation, and in training return a state of the same form.
    """
    x = jax.ShapeDtypeStruct((1, *task.sample_shape), task.input_type)
    key = jax.random.key(0)

    for training in (True, False):
        outputs, after = jax.eval_shape(
            lambda x, training=training: model.apply(
                state.params, state.model_state, x, key if training and model.needs_rng else None, training
            ),
            x,
        )
        if not isinstance(outputs, jax.ShapeDtypeStruct):
            raise ModelError(f"model '{model.name}' returns a {type(outputs).__name__}; its outputs must be one array")
        if outputs.shape != (1, task.outputs):
            raise ModelError(
                f"model '{model.name}' returns shape {outputs.shape} for one sample of '{task.data}'; "
                f"(1, {task.outputs}) is needed"
            )
        if not jnp.issubdtype(outputs.dtype, jnp.floating):
            raise ModelError(
                f"model '{model.name}' returns {outputs.dtype}, which has no gradient; outputs must be floats"
            )
        if training and (change := _change(state.model_state, after)):
            raise ModelError(
                f"apply of model '{model.name}' returns a state of another form than it was given: {change}; "
                "return the same arrays, of the same shapes and types"
            )


def check_optimizer(optimizer: Optimizer, state: State) -> None:
    """Try an optimizer on the shapes of a state: raises `OptionError`.

    Only one of the user's can fail, or one whose weights are of another type than float32.
    """
    kinds = {leaf.dtype for leaf in jax.tree.leaves(state.params)} - {np.dtype(np.float32)}
    if optimizer.is_built_in and not kinds:
        return

    def update(rate: Any, state: State) -> tuple[Any, Any]:
        changes, after = optimizer.with_rate(rate).update(state.params, state.optimizer_state, state.params)
        if optimizer.is_built_in:
            optax.apply_updates(state.params, changes)
        return changes, after

    try:
        changes, after = jax.eval_shape(update, jax.ShapeDtypeStruct((), np.float32), state)
    except Exception as error:
        first_line = (str(error).strip() or type(error).__name__).split("\n", 1)[0][:160]
        cause = "Epochal calls update(gradient, state, params), without more, such as a value of the loss"
        if optimizer.is_built_in:
            cause = f"the weights are {' and '.join(sorted(kind.name for kind in kinds))}; take longer ones"
        raise OptionError(f"the optimizer cannot be used: {first_line} ({cause})") from error

    for what, before, then in (("changes", state.params, changes), ("state", state.optimizer_state, after)):
        if change := _change(before, then, shapes_alone=what == "changes"):
            raise OptionError(f"the optimizer returns {what} of another form than it was given: {change}")


def _change(before: Any, after: Any, *, shapes_alone: bool = False) -> str:
    """Say in which array one tree differs from another in structure, shape or type; nothing where it does not."""
    known, found = (dict(jax.tree_util.tree_flatten_with_path(tree)[0]) for tree in (before, after))
    if len({str(jax.tree.structure(tree)) for tree in (before, after)}) > 1:
        others = [jax.tree_util.keystr(path) for path in known.keys() ^ found.keys()]
        return f"{min(others)} is in one of them alone" if others else "their containers differ"

    for path, leaf in known.items():
        other = found[path]
        if leaf.shape != other.shape or (leaf.dtype != other.dtype and not shapes_alone):
            place = jax.tree_util.keystr(path) or "it"
            return f"{place} was {leaf.dtype}{list(leaf.shape)} and is {other.dtype}{list(other.shape)}"
    return ""


def check_task(task: Task) -> None:
    """Try the loss and the metrics on the shapes of two samples: raises `ModelError`."""
    outputs = jax.ShapeDtypeStruct((2, task.outputs), np.float32)
    targets = jax.ShapeDtypeStruct((2, *task.target_shape), task.target_type)
    shapes = f"outputs of shape {outputs.shape} and targets of shape {targets.shape}"

    with must_fit(f"loss '{task.loss}' does not fit {shapes}"):
        losses = jax.eval_shape(lambda *pair: task.losses(*pair), outputs, targets)
    if not jnp.issubdtype(losses.dtype, jnp.floating):
        raise ModelError(
            f"loss '{task.loss}' returns {losses.dtype}, which has no gradient; return floating-point numbers"
        )
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
