"""Whose a user's model is, by its type alone: no library is imported to find out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from epochal.counts import shown
from epochal.errors import EpochalError, ModelError
from epochal.models.model import Model

Spec: TypeAlias = PyTree[jax.ShapeDtypeStruct]
"""Shapes and types of a batch of samples, as the model sees them."""


@dataclass(frozen=True, slots=True)
class Library:
    """A library whose models are taken.

    Attributes:
        name: as users call it.
        adapter: the module here that knows it.
        base: module and name of the class, or of a prefix of the module, from which its models come.
    """

    name: str
    adapter: str
    base: tuple[str, str]

    def made(self, kind: type) -> bool:
        """Return whether a class is, or comes from, one of the library's models."""
        module, name = self.base
        return any(f"{one.__module__}.".startswith(module) and one.__name__ == name for one in kind.__mro__)


LIBRARIES = (
    Library("Flax NNX", "flax_nnx", ("flax.nnx.", "Module")),
    Library("Flax Linen", "flax_linen", ("flax.linen.", "Module")),
    Library("Equinox", "equinox_module", ("equinox.", "Module")),
    Library("Keras", "keras_model", ("keras.", "Model")),
    Library("Haiku", "haiku_transform", ("haiku.", "Transformed")),
    Library("Haiku", "haiku_transform", ("haiku.", "TransformedWithState")),
    Library("PyTorch", "torch_module", ("torch.nn.modules.module.", "Module")),
)

TAKES = (
    "a name, a Model (epochal.from_functions), a module of Flax, Equinox, Keras, Haiku or PyTorch, or "
    "'file.py:function'"
)


def library_of(thing: Any) -> Library | None:
    """Return the library that a model comes from; a pair counts as its first part, the second being its state."""
    kind = type(_module_of(thing))
    return next((library for library in LIBRARIES if library.made(kind)), None)


def _module_of(thing: Any) -> Any:
    """Return the module of a pair with its state or variables; anything else as it is, Haiku's own tuples too."""
    return thing[0] if type(thing) is tuple and len(thing) == 2 else thing


def check_known(thing: Any) -> None:
    """Raise `ModelError` for what is no model, without importing anything."""
    if isinstance(thing, Model) or library_of(thing) is not None:
        return
    if isinstance(thing, type):
        raise ModelError(f"model is the class {thing.__name__}; give an object of it, such as {thing.__name__}(…)")
    raise ModelError(f"model {shown(thing)} is none that can be trained; give {TAKES}")


def adapt(thing: Any, samples: Spec) -> Model:
    """Return a user's model as the engine needs it.

    Args:
        thing: a `Model`, or a module of one of `LIBRARIES`; or a pair of a module and its state or variables.
        samples: shapes and types of a batch of two samples, for models whose weights depend on them.

    Raises:
        ModelError: for anything else, and for a module that cannot be trained as it is, with the cause and the fix.
    """
    check_known(thing)
    library = library_of(thing)
    if library is None:
        known: Model = thing
        return known
    try:
        model: Model = import_module(f"epochal.models.adapters.{library.adapter}").adapt(thing, samples)
    except EpochalError:
        raise
    except Exception as error:
        raise ModelError(f"the {library.name} model {name_of(thing)} cannot be used: {first_line(error)}") from error
    return model


def name_of(thing: Any) -> str:
    """Return what a model is called: the name that it has itself, or that of its class."""
    module = _module_of(thing)
    own = getattr(module, "name", None)
    return own if isinstance(own, str) and own else type(module).__name__


def first_line(error: BaseException, most: int = 200) -> str:
    """Return what an error says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:most]


def zeros(samples: Spec) -> Any:
    """Return a batch of samples that are all zero."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), samples)


def copied(tree: Any) -> Any:
    """Return a tree with a copy of each array, so that nobody else's change it or are changed by it."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), tree)
