"""A model or a loss of the user's own, tried on a few real samples before anything is trained or written.

Built-in parts are not tried. What shapes and types can tell is said by `checks`; here the numbers speak: whether an
output depends on another sample, a loss on another output, and whether there is any gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Shaped

from epochal.data import Dataset
from epochal.engine.feed import put_on_device
from epochal.engine.state import Params, State
from epochal.engine.task import Task
from epochal.errors import ModelError
from epochal.models import Model
from epochal.models.model import in_full

_MOST = 4
_NEAR = 1e-5  # of the largest number: rounding is smaller, and the influence of a sample larger
_NEAR_OF_ANOTHER = 0.05  # between two programs, whose rounding in bfloat16 differs; a sum over the batch by a quarter
_MEASURED = 128  # so many samples of a batch, at most, have an operation measured
_SHIFTS = (0.0, 0.1, 0.1, 0.5)  # how far the weights are moved at random for each trial; the first is where they start


class Samples(NamedTuple):
    """Some samples as the model sees them, and the same with another one as the last; targets likewise."""

    x: PyTree[Shaped[Array, "few ..."]]
    y: Shaped[Array, "few *target"]
    other_x: PyTree[Shaped[Array, "few ..."]]
    other_y: Shaped[Array, "few *target"]


class Findings(NamedTuple):
    """What a trial has found that does not stop a training.

    Attributes:
        depends: whether an output depends on other samples of its batch.
        learns: whether the loss depends on the weights at all.
        slow: operations that are slow in a loop on this CPU, a sentence each.
        are_probabilities: whether all outputs are from 0 to 1, and a sample's add up to 1, as after a softmax.
    """

    depends: bool = False
    learns: bool = True
    are_probabilities: bool = False
    slow: tuple[str, ...] = ()


class _Trial(NamedTuple):
    """What a model did with some samples, their loss, and its gradient."""

    outputs: PyTree[Shaped[Array, "few ..."]]
    loss: Float[Array, ""]
    gradient: Params


_Try: TypeAlias = Callable[[Params, PyTree[Shaped[Array, "few ..."]], Shaped[Array, "few *target"]], _Trial]


def try_samples(data: Dataset) -> Samples | None:
    """Return up to four samples from all over the training set; ``None`` where there are fewer than two."""
    count = min(len(data.train), _MOST + 1) - 1
    if count < 1:
        return None
    rows = np.linspace(0, len(data.train) - 1, count + 1).astype(int)
    few = put_on_device(data.train.take(rows), data)
    x, y = few.preprocess(few.x), few.y if few.units is None else few.units.standardise(few.y)
    first, other = np.arange(count), np.array([*range(count - 1), count])
    return Samples(_rows(x, first), y[first], _rows(x, other), y[other])


def try_loss(task: Task, samples: Samples, outputs: PyTree[jax.ShapeDtypeStruct]) -> None:
    """Raise `ModelError` where the loss of one sample depends on another one's output or target.

    ``outputs`` are shapes and types of what the model returns.
    """
    count = len(samples.y)
    leaves, structure = jax.tree.flatten(outputs)
    for seed in range(2):
        drawn = [
            jax.random.normal(key, (count, *leaf.shape[1:])).astype(leaf.dtype)
            for leaf, key in zip(leaves, jax.random.split(jax.random.key(seed), len(leaves)), strict=True)
        ]
        drawn = [jax.nn.softmax(one) if seed and jnp.issubdtype(one.dtype, jnp.floating) else one for one in drawn]
        outputs = jax.tree.unflatten(structure, drawn)
        others = jax.tree.map(lambda one: one.at[-1].add(1), outputs)

        losses, changed = task.losses(outputs, samples.y), task.losses(others, samples.other_y)
        if _differ(losses[:-1], changed[:-1]):
            raise ModelError(
                f"loss '{task.loss}' of one sample depends on other samples; often outputs (b, 1) and targets (b,) are "
                "broadcast to (b, b): compare outputs[:, 0] with targets, and return one loss a sample"
            )


def try_model(model: Model, task: Task, state: State, samples: Samples) -> Findings:
    """Return what is found of a model at its first weights and near them.

    Raises `ModelError` where the loss depends on the weights, or is not finite, and there is no gradient to follow.
    """
    attempt = jax.jit(_trial(model, task, state.model_state))
    depends = has_gradient = False
    are_probabilities = True
    losses = []

    for params in _weights_near(state.params):
        one = attempt(params, samples.x, samples.y)
        other = attempt(params, samples.other_x, samples.other_y)
        losses.append(float(one.loss))
        depends = depends or _differ(_rows(one.outputs, slice(-1)), _rows(other.outputs, slice(-1)))
        are_probabilities = are_probabilities and _are_probabilities(one.outputs)
        has_gradient = has_gradient or _is_any(one.gradient) or _is_any(other.gradient)

    # the same loss wherever the weights are: a mistake, or a probe that only looks at the samples
    learns = has_gradient or any(loss != losses[0] for loss in losses)
    if learns and not has_gradient:
        raise ModelError(
            f"the loss '{task.loss}' of model '{model.name}' has no gradient: it is zero or not finite for every "
            "weight, wherever they start; is there an argmax, a rounding, a comparison or a stop_gradient on the way?"
        )
    depends = depends or (not model.needs_rng and _depends_on_the_number(model, state, samples))
    return Findings(depends, learns, are_probabilities)


def slow_operations_of(model: Model, task: Task, state: State, samples: Samples, batch_size: int) -> tuple[str, ...]:
    """Return what is slow in a loop of the model's gradient by a batch, a sentence for each operation."""
    from epochal.engine.fast_forms.slow_operations import slow_operations  # a built-in model never needs it

    count = min(batch_size, _MEASURED)

    def batch(few: Shaped[Array, "few ..."]) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((count, *few.shape[1:]), few.dtype)

    attempt = _trial(model, task, state.model_state)
    x, y = jax.tree.map(batch, (samples.x, samples.y))
    return tuple(map(str, slow_operations(attempt, state.params, x, y)))


def _trial(model: Model, task: Task, model_state: PyTree[Any]) -> _Try:
    """Return the function of weights and samples that computes a trial, in training and always with the same key."""
    key = jax.random.key(0) if model.needs_rng else None

    def attempt(params: Params, x: PyTree[Shaped[Array, "few ..."]], y: Shaped[Array, "few *target"]) -> _Trial:
        def loss(params: Params) -> tuple[Float[Array, ""], PyTree[Shaped[Array, "few ..."]]]:
            outputs, _ = model.apply(params, model_state, x, key, True)
            return jnp.sum(task.training_losses(in_full(outputs), y)), outputs

        (value, outputs), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return _Trial(outputs, value, gradient)

    return attempt


def _depends_on_the_number(model: Model, state: State, samples: Samples) -> bool:
    """Return whether a sample has another output in a batch of another size, as where a sum is taken over the batch."""
    if len(samples.y) < 2:
        return False
    outputs = jax.jit(lambda params, x: model.apply(params, state.model_state, x, None, True)[0])
    *_, params = _weights_near(state.params)
    whole, part = outputs(params, samples.x), outputs(params, _rows(samples.x, slice(-1)))
    return _differ(_rows(whole, slice(-1)), part, near=_NEAR_OF_ANOTHER)


def predicts_apart(model: Model, state: State, samples: Samples | None) -> bool:
    """Return whether a sample's output outside training is the same beside other samples, as far as a trial can tell.

    Batch normalization is of that kind: it then has its averages.
    """
    if samples is None or len(samples.y) < 2:
        return False
    outputs = jax.jit(lambda params, x: model.apply(params, state.model_state, x, None, False)[0])
    *_, params = _weights_near(state.params)
    one, other = outputs(params, samples.x), outputs(params, samples.other_x)
    return not _differ(_rows(one, slice(-1)), _rows(other, slice(-1)))


def _weights_near(params: Params) -> Iterator[Params]:
    """Yield weights: the first ones, which may be all zero or alike, and others around them."""
    leaves, structure = jax.tree.flatten(params)
    for number, shift in enumerate(_SHIFTS):
        keys = jax.random.split(jax.random.key(number), len(leaves))
        moved = [
            (_wide(leaf) + shift * jax.random.normal(key, leaf.shape)).astype(leaf.dtype)
            for key, leaf in zip(keys, leaves, strict=True)
        ]
        yield jax.tree.unflatten(structure, moved)


def _rows(tree: PyTree[Shaped[Array, "..."]], which: Any) -> PyTree[Shaped[Array, "..."]]:
    """Return some samples' rows of each array."""
    return jax.tree.map(lambda array: array[which], tree)


def _differ(one: PyTree[Shaped[Array, "..."]], other: PyTree[Shaped[Array, "..."]], near: float = _NEAR) -> bool:
    """Return whether two trees differ in a finite number by more than rounding."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return any(_arrays_differ(*pair, near) for pair in pairs)


def _arrays_differ(one: Shaped[Array, "..."], other: Shaped[Array, "..."], near: float) -> bool:
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    both = np.isfinite(a) & np.isfinite(b)
    largest = max((np.abs(values[both]).max(initial=0.0) for values in (a, b)), default=0.0)
    return bool(np.any(np.abs(a - b)[both] > near * largest))


def _are_probabilities(outputs: PyTree[Shaped[Array, "few ..."]]) -> bool:
    """Return whether each sample's outputs are shares of 1."""
    leaves = jax.tree.leaves(outputs)
    if len(leaves) != 1 or leaves[0].ndim != 2 or leaves[0].shape[1] < 2:
        return False
    values = np.asarray(_wide(leaves[0]))
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3))


def _is_any(gradient: Params) -> bool:
    """Return whether any number of a gradient is finite and not zero."""
    arrays = (np.asarray(_wide(leaf)) for leaf in jax.tree.leaves(gradient))
    return any(bool(np.any(np.isfinite(array) & (array != 0))) for array in arrays)


def _wide(leaf: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """Return an array in float32 where its own type is shorter, as some of those are added to no other."""
    return leaf.astype(jnp.float32) if leaf.dtype.itemsize < 4 else leaf
