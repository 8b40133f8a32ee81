"""Weights as vectors: the snapshots of a run's trajectory, and their place in one fixed order of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree, Shaped

from epochal.engine import Engine
from epochal.errors import RunError
from epochal.record.checkpoint_file import WEIGHTS
from epochal.record.landscape_record import Place
from epochal.run.run import Run, Snapshot

Vector: TypeAlias = Float[np.ndarray, " weights"]
Vectors: TypeAlias = Float[np.ndarray, "vectors weights"]
Arrays: TypeAlias = Mapping[str, Shaped[np.ndarray, "..."]]


@dataclass(frozen=True, slots=True)
class WeightSpace:
    """One model's weights as vectors, array after array in the model's own order.

    Attributes:
        shapes: each array's shape by its name in checkpoints, such as ``.params['w1']``.
        structure: the model's own structure of them.
    """

    shapes: dict[str, tuple[int, ...]]
    structure: Any

    @classmethod
    def of(cls, engine: Engine) -> WeightSpace:
        """Return the space of this engine's model."""
        state = jax.eval_shape(engine.initial_state)
        paths, _ = jax.tree_util.tree_flatten_with_path(state)
        named = {jax.tree_util.keystr(path): leaf.shape for path, leaf in paths}
        shapes = {name: shape for name, shape in named.items() if name.startswith(WEIGHTS)}
        return cls(shapes, jax.tree.structure(state.params))

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def holds(self, arrays: Arrays) -> bool:
        """Return whether these named arrays are weights of this model."""
        return {name: array.shape for name, array in arrays.items() if name.startswith(WEIGHTS)} == self.shapes

    def vector(self, arrays: Arrays) -> Vector:
        """Return named arrays as one float32 vector."""
        return np.concatenate([np.asarray(arrays[name], np.float32).ravel() for name in self.shapes])

    def arrays(self, vectors: Vector | Vectors) -> list[Float[np.ndarray, "..."]]:
        """Return the arrays of a vector, or of several with their number as the first axis, in the space's order."""
        parts = []
        start = 0
        for shape in self.shapes.values():
            size = math.prod(shape)
            parts.append(vectors[..., start : start + size].reshape(*vectors.shape[:-1], *shape))
            start += size
        return parts

    def params(self, vectors: Vector | Vectors) -> PyTree[jax.Array]:
        """Return the same as float32 on the device, with the model's own structure."""
        arrays = [jnp.asarray(array, jnp.float32) for array in self.arrays(vectors)]
        return jax.tree.unflatten(self.structure, arrays)


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A point of a run's trajectory: where it is, and its weights."""

    place: Place
    weights: Vector


def read_trajectory(name: str, run: Run, space: WeightSpace) -> tuple[Point, ...]:
    """Read the weights that a run kept while training.

    Raises `RunError` where it kept none, they belong to another model, or one of their files is damaged.
    """
    if not run.snapshots:
        raise RunError("it kept no weights while training; train it with --snapshots")
    return tuple(_read_point(name, run, snapshot, space) for snapshot in run.snapshots)


def _read_point(name: str, run: Run, snapshot: Snapshot, space: WeightSpace) -> Point:
    arrays = snapshot.load()
    if not space.holds(arrays):
        raise RunError("its model has other weights than the first run's")
    epoch = snapshot.epoch + snapshot.offset / run.plan.samples
    return Point(Place(name, snapshot.iteration, epoch), space.vector(arrays))
