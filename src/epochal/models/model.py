"""What a model is to the engine: two pure functions, and what the engine has to know about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
from jaxtyping import Array, PyTree, Shaped

from epochal.errors import ModelError

Key: TypeAlias = jax.Array
Params: TypeAlias = PyTree[Any]
ModelState: TypeAlias = PyTree[Any]
Samples: TypeAlias = PyTree[Shaped[Array, "batch ..."]]
Outputs: TypeAlias = PyTree[Shaped[Array, "batch ..."]]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Model:
    """A pair of pure functions. A model equals itself alone.

    Attributes:
        name: for the record.
        init: ``key -> (params, state)``: the first weights, and the model's state beside them, ``()`` for none.
        apply: ``(params, state, x, key, training) -> (outputs, state)``: x is float32 ``(b, *sample_shape)``, or a tree
            of arrays for samples of several parts; outputs are ``(b, k)``, or what a loss of the user's own takes;
            ``key`` is ``None`` unless the model needs random numbers and is training.
        needs_rng: whether `apply` needs a key while training, as for dropout.
        uses_batch_statistics: whether an output depends on other samples of its batch, as with batch normalization;
            such a batch cannot be split into micro-batches or shards exactly.
        shards: into how many a CPU's batches are best cut: 2 where the model's products are too small for more than one
            CPU core, or come one after another.
        optimizer: the name of its default optimizer.
        options: what it was built with, for the record.
        packages: of the library that it comes from, whose versions decide its results.
        trained: ``(params, state) -> object``: the user's own object with these weights, in evaluation mode, where the
            model was made from one.
        notes: what the user should know of how it was taken, a sentence each.
        is_built_in: whether it is the package's own, whose operations are fast in a loop on a CPU as they stand.
    """

    name: str
    init: Callable[[Key], tuple[Params, ModelState]]
    apply: Callable[[Params, ModelState, Samples, Key | None, bool], tuple[Outputs, ModelState]]
    needs_rng: bool = False
    uses_batch_statistics: bool = False
    shards: int = 1
    optimizer: str = "sgd"
    options: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    trained: Callable[[Params, ModelState], Any] | None = None
    notes: tuple[str, ...] = ()
    is_built_in: bool = False


def in_full(outputs: Outputs) -> Outputs:
    """Return outputs in float32, in which losses and metrics are computed: shorter types lose too much in a sum."""
    return jax.tree.map(lambda one: one.astype("float32") if one.dtype.kind in "fV" else one, outputs)


def from_functions(
    init: Callable[[Key], Any],
    apply: Callable[..., Any],
    *,
    name: str = "custom",
    has_state: bool = False,
    needs_rng: bool = False,
    uses_batch_statistics: bool = False,
    random: bool = False,
    couples_samples: bool = False,
) -> Model:
    """Make a model of your own two functions.

    >>> import jax.numpy as jnp
    >>> model = from_functions(lambda key: jnp.zeros((4, 3)), lambda params, x: x @ params, name="mine")
    >>> model.apply(model.init(jax.random.key(0))[0], (), jnp.ones((2, 4)), None, True)[0].shape
    (2, 3)

    Args:
        init: ``key -> params``; with ``has_state``, ``key -> (params, state)``.
        apply: ``(params, x) -> outputs``; with ``has_state``, ``(params, state, x, training) -> (outputs, state)``;
            with ``needs_rng``, a last argument ``key``, which is ``None`` outside training.
        name: for the record.
        has_state: the model keeps a state beside its weights, such as running averages.
        needs_rng: the model needs a key for random numbers while training.
        uses_batch_statistics: outputs depend on other samples of the batch, as with batch normalization.
        random: the former name of ``needs_rng``.
        couples_samples: the former name of ``uses_batch_statistics``.

    The model's functions raise `ModelError` where, with ``has_state``, yours do not return a pair.
    """
    needs_rng, uses_batch_statistics = needs_rng or random, uses_batch_statistics or couples_samples

    def init_both(key: Key) -> tuple[Params, ModelState]:
        return _pair(init(key), name, "init", "(params, state)") if has_state else (init(key), ())

    def apply_both(
        params: Params, state: ModelState, x: Samples, key: Key | None, training: bool
    ) -> tuple[Outputs, ModelState]:
        keys = (key if training else None,) if needs_rng else ()
        if has_state:
            return _pair(apply(params, state, x, training, *keys), name, "apply", "(outputs, state)")
        return apply(params, x, *keys), state

    return Model(name, init_both, apply_both, needs_rng, uses_batch_statistics)


def _pair(value: Any, name: str, function: str, form: str) -> tuple[Any, Any]:
    if isinstance(value, tuple) and len(value) == 2:
        return value
    raise ModelError(f"{function} of model '{name}' must return {form}, because has_state is set; got a {type(value)}")
