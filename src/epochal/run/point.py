"""A point of training: everything that decides what follows, on the device; and to and from a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from epochal.clock import Position
from epochal.engine import ChunkResult, State, check_process, named_leaves
from epochal.errors import RunError
from epochal.record.checkpoint_file import Checkpoint, EpochSums
from epochal.record.history import History


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Where training stands.

    Attributes:
        sums: of the current epoch.
        seconds: of training so far, in chunks alone.
    """

    state: State
    position: Position = field(default_factory=Position)
    sums: EpochSums = field(default_factory=EpochSums)
    seconds: float = 0.0

    def after(self, state: State, position: Position, chunk: ChunkResult, batch_size: int) -> Point:
        """Return the point after a chunk of iterations of one batch size."""
        sums = self.sums.add(chunk.losses, batch_size, chunk.seconds, chunk.audit)
        return Point(state, position, sums, self.seconds + chunk.seconds)

    def next_epoch(self) -> Point:
        """Return the same point at the beginning of an epoch, whose sums are still empty."""
        return Point(self.state, self.position, EpochSums(), self.seconds)

    def checkpoint(self, origin: Mapping[str, Any] | None = None) -> Checkpoint:
        """Copy it to the host."""
        arrays = {name: np.array(array, order="C") for name, array in named_leaves(self.state).items()}
        return Checkpoint(self.position, self.sums, arrays, origin or {})


def restored(checkpoint: Checkpoint, initial: Callable[[], State], history: History) -> Point:
    """Return a checkpoint as a point; its history says how long training took until then."""
    done = checkpoint.position.iteration
    complete = (row.seconds for row in history.epochs if row.complete and row.end_iteration <= done)
    seconds = math.fsum(complete) + checkpoint.sums.seconds
    return Point(restored_state(checkpoint, initial), checkpoint.position, checkpoint.sums, seconds)


def restored_weights(checkpoint: Checkpoint, initial: Callable[[], State]) -> State:
    """Return the weights and the model's state alone, on the device, as `restored_state` does; no optimizer's state."""
    return restored_state(checkpoint.weights, lambda: initial()._replace(optimizer_state=()))


def restored_state(checkpoint: Checkpoint, initial: Callable[[], State]) -> State:
    """Return the state on the device, with the structure of what ``initial`` would return; it is not computed.

    Raises `RunError` where the arrays are others.
    """
    check_process()
    paths, structure = jax.tree_util.tree_flatten_with_path(jax.eval_shape(initial))
    wanted = {jax.tree_util.keystr(path): leaf for path, leaf in paths}
    found = {name: (array.shape, array.dtype) for name, array in checkpoint.arrays.items()}
    if found != {name: (leaf.shape, leaf.dtype) for name, leaf in wanted.items()}:
        raise RunError("the checkpoint's arrays are not those of this model and optimizer; was run.toml changed?")
    leaves = [jax.numpy.asarray(checkpoint.arrays[name]) for name in wanted]
    state: State = jax.tree_util.tree_unflatten(structure, leaves)
    return state
