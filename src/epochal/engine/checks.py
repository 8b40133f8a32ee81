"""Whether model, task and batches fit each other: what can be said in a sentence before anything is compiled."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from epochal.engine.metrics import Metric
from epochal.engine.micro_batch import device_memory
from epochal.engine.optimizer import Optimizer
from epochal.engine.state import State
from epochal.engine.task import Task
from epochal.errors import EpochalError, ModelError, OptionError
from epochal.models import Model
from epochal.models.model import in_full


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


def check_outputs(model: Model, task: Task, state: State) -> PyTree[jax.ShapeDtypeStruct]:
    """Return shapes and types of what the model makes of two samples.

    Raises `ModelError` unless they are what the task needs, in training and in evaluation, and the state after training
    has the form that it had. Two samples, since one has no batch statistics.
    """
    key = jax.random.key(0)

    for training in (True, False):
        outputs, after = jax.eval_shape(
            lambda x, training=training: model.apply(
                state.params, state.model_state, x, key if training and model.needs_rng else None, training
            ),
            task.inputs,
        )
        if task.has_own_loss:
            _check_own_outputs(model, outputs)
        else:
            _check_rows(model, task, outputs)
        if training and (change := _change(state.model_state, after)):
            raise ModelError(
                f"apply of model '{model.name}' returns a state of another form than it was given: {change}; "
                "return the same arrays, of the same shapes and types"
            )

    return outputs


def _check_rows(model: Model, task: Task, outputs: Any) -> None:
    """Refuse outputs that a named loss does not take: anything but as many floats for each sample as the task needs."""
    if not isinstance(outputs, jax.ShapeDtypeStruct):
        raise ModelError(
            f"model '{model.name}' returns a {type(outputs).__name__}; its outputs must be one array, unless you give "
            "a loss of your own, which gets what the model returns"
        )
    wanted = {(2, task.outputs), (2, *task.target_shape) if task.kind == "regression" else (2, task.outputs)}
    if outputs.shape not in wanted:
        raise ModelError(
            f"model '{model.name}' returns shape {outputs.shape} for two samples of '{task.data}'; "
            f"{' or '.join(map(str, sorted(wanted)))} is needed"
        )
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        raise ModelError(f"model '{model.name}' returns {outputs.dtype}, which has no gradient; outputs must be floats")


def _check_own_outputs(model: Model, outputs: Any) -> None:
    """Refuse outputs, for a loss of the user's own, that are not arrays with a row for each sample."""
    leaves = jax.tree.leaves(outputs)
    odd = [leaf.shape for leaf in leaves if leaf.shape[:1] != (2,)]
    if odd or not leaves:
        raise ModelError(
            f"model '{model.name}' returns shape {odd[0] if odd else 'nothing'} for two samples; every output needs a "
            "first axis of the batch"
        )
    if not any(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves):
        raise ModelError(
            f"model '{model.name}' returns {leaves[0].dtype}, which has no gradient; one of its outputs must be floats"
        )


def with_fitting_metrics(task: Task, model: Model) -> Task:
    """Return the task without those metrics that cannot be taken of what a model returns to a loss of the user's own.

    They are the defaults, which nobody asked for.
    """
    params, state = jax.eval_shape(model.init, jax.random.key(0))
    outputs, _ = jax.eval_shape(lambda *three: model.apply(three[0], three[1], three[2], None, False),
                                params, state, task.inputs)  # fmt: skip
    targets = jax.ShapeDtypeStruct((2, *task.target_shape), task.target_type)

    def fits(metric: Metric) -> bool:
        try:
            jax.eval_shape(lambda *pair: metric.of(in_full(pair[0]), pair[1]), outputs, targets)
        except (TypeError, ValueError, AttributeError):
            return False
        return True

    return dataclasses.replace(task, metrics=tuple(filter(fits, task.metrics)))


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


def check_task(task: Task, outputs: PyTree[jax.ShapeDtypeStruct]) -> None:
    """Try the loss and the metrics on the shapes of two samples and of a model's outputs: raises `ModelError`."""
    outputs = jax.eval_shape(in_full, outputs)
    targets = jax.ShapeDtypeStruct((2, *task.target_shape), task.target_type)
    shown = jax.tree.map(lambda leaf: leaf.shape, outputs)
    shapes = f"outputs of shape {shown} and targets of shape {targets.shape}"

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
