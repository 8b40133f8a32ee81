"""Checkpoints: everything that decides the next iteration, in one safetensors file that commits by one rename.

A file's name holds the SHA-256 of its content, so a truncated or altered file never passes for a checkpoint, and one
rename commits content and checksum together. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from epochal.clock import Position
from epochal.engine import Audit, State, named_leaves
from epochal.errors import RunError

_NAME = re.compile(r"([0-9]{12,})-([0-9a-f]{32})\.safetensors")


@dataclass(frozen=True, slots=True)
class EpochSoFar:
    """The sums of the epoch in hand: they decide its row, so a checkpoint inside the epoch carries them."""

    loss_sum: float = 0.0
    iterations: int = 0
    seconds: float = 0.0
    audit: Audit = field(default_factory=Audit)

    def add(self, losses: np.ndarray[Any, Any], batch_size: int, seconds: float, audit: Audit) -> EpochSoFar:
        """Add a chunk. Losses are added one after another, so that chunks of any length give the same bits."""
        terms = np.concatenate([[self.loss_sum], losses.astype(np.float64) * batch_size])
        return EpochSoFar(
            float(np.add.accumulate(terms)[-1]),
            self.iterations + losses.size,
            self.seconds + seconds,
            self.audit + audit,
        )

    @property
    def train_loss(self) -> float:
        """The mean loss, weighted by samples."""
        return self.loss_sum / self.audit.samples


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A point that training can go on from: state on the host, position, and the sums of the epoch in hand."""

    position: Position
    so_far: EpochSoFar
    arrays: dict[str, np.ndarray[Any, Any]]

    @classmethod
    def of(cls, state: State, position: Position, so_far: EpochSoFar) -> Checkpoint:
        """Copy the state to the host."""
        arrays = {name: np.array(array) for name, array in named_leaves(state).items()}
        return cls(position, so_far, arrays)

    def state(self, like: State) -> State:
        """Return the state on the device, with the structure of ``like``. Raises `RunError` where they differ."""
        paths, structure = jax.tree_util.tree_flatten_with_path(like)
        wanted = {jax.tree_util.keystr(path): leaf for path, leaf in paths}
        found = {name: (array.shape, array.dtype) for name, array in self.arrays.items()}
        if found != {name: (leaf.shape, leaf.dtype) for name, leaf in wanted.items()}:
            raise RunError(
                "the checkpoint holds other arrays than this model and optimizer have; was run.toml changed?"
            )
        leaves = [jax.numpy.asarray(self.arrays[name]) for name in wanted]
        state: State = jax.tree_util.tree_unflatten(structure, leaves)
        return state


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write the checkpoint so that either all of it is in the folder or nothing; return its file."""
    content = _to_bytes(checkpoint)
    name = f"{checkpoint.position.iteration:012d}-{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
    path, temporary = folder / name, folder / f"{name}.tmp"
    try:
        folder.mkdir(exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(
            f"cannot save a checkpoint in {folder}: {error.strerror}; earlier checkpoints are intact"
        ) from error
    return path


def checkpoint_files(folder: Path) -> list[Path]:
    """Return the folder's checkpoint files, the newest position first."""
    found = [(int(match[1]), path) for path in folder.glob("*.safetensors") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint. Raises `RunError` where its content is not what was saved."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read checkpoint {path}: {error.strerror}") from error
    match = _NAME.fullmatch(path.name)
    if match is None or hashlib.sha256(content).hexdigest()[:32] != match[2]:
        raise RunError(f"checkpoint {path} is damaged: its content does not have the checksum in its name")
    try:
        return _from_bytes(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise RunError(f"checkpoint {path} has another format: {error}") from error


def _to_bytes(checkpoint: Checkpoint) -> bytes:
    position, so_far = checkpoint.position, checkpoint.so_far
    about = {
        "iteration": position.iteration,
        "epoch": position.epoch,
        "offset": position.offset,
        "loss_sum": so_far.loss_sum.hex(),
        "iterations": so_far.iterations,
        "seconds": so_far.seconds.hex(),
        "audit": [so_far.audit.samples, so_far.audit.low, so_far.audit.high],
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in checkpoint.arrays.items()}
    content: bytes = save_tensors(arrays, metadata={"format": "1", "epochal": json.dumps(about)})
    return content


def _from_bytes(content: bytes) -> Checkpoint:
    header_size = int.from_bytes(content[:8], "little")
    about = json.loads(json.loads(content[8 : 8 + header_size])["__metadata__"]["epochal"])
    so_far = EpochSoFar(
        float.fromhex(about["loss_sum"]), about["iterations"], float.fromhex(about["seconds"]), Audit(*about["audit"])
    )
    return Checkpoint(Position(about["iteration"], about["epoch"], about["offset"]), so_far, load_tensors(content))


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
