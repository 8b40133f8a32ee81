"""Checkpoints: everything that decides the next iteration, in one safetensors file that commits by one rename.

A file's name holds the SHA-256 of its content, so a truncated or altered file never passes for a checkpoint, and one
rename commits content and checksum together. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float32, Shaped
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from epochal.audit import Audit
from epochal.clock import Position
from epochal.config.command_words import shell_word
from epochal.errors import RunError, brief
from epochal.held_folder import HeldFolder
from epochal.record.fields import Field, either, matching, several, table, text, whole
from epochal.record.folder import no_longer_there

Arrays: TypeAlias = dict[str, Shaped[np.ndarray, "..."]]

FORMAT = 1
WEIGHTS, OPTIMIZER = ".params", ".optimizer_state"
"""How the names of the weights' and the optimizer's arrays begin; what else there is belongs to the model."""
_LONGEST_HEADER = 8_000_000  # bytes; each array takes about a hundred of them
_NAME = re.compile(r"([0-9]{12,})-([0-9a-f]{32})\.safetensors")
_HEXADECIMAL = matching(r"-?(0x[0-9a-f.]{1,20}p[+-]?[0-9]{1,5}|inf|nan)", "a float in hexadecimal")
_WORD = whole(0, 2**64 - 1)
_ABOUT = table(
    {
        "format": whole(1),
        "iteration": whole(),
        "epoch": whole(),
        "offset": whole(),
        "loss_sum": _HEXADECIMAL,
        "iterations": whole(),
        "seconds": _HEXADECIMAL,
        "audit": several(_WORD, 3),
        "origin": Field("a table", lambda origin: type(origin) is dict),
    },
    {"types": table({}, others=several(either(text(100), whole())))},
)


@dataclass(frozen=True, slots=True)
class EpochSums:
    """The sums of the current epoch: they decide its row, so a checkpoint inside the epoch carries them."""

    loss_sum: float = 0.0
    iterations: int = 0
    seconds: float = 0.0
    audit: Audit = field(default_factory=Audit)

    def add(
        self, losses: Float32[np.ndarray, " iterations"], batch_size: int, seconds: float, audit: Audit
    ) -> EpochSums:
        """Add a chunk. Losses are added one after another, so that chunks of any length give bit-identical sums."""
        terms = np.concatenate([[self.loss_sum], losses.astype(np.float64) * batch_size])
        return EpochSums(
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
    """A point that training can continue from: state on the host, position, and the sums of the current epoch.

    Attributes:
        arrays: the state's arrays by their path, such as ``.params['w1']``.
        origin: what decided the state (`RunFile.origin`), so that it is never continued under anything else.
    """

    position: Position
    sums: EpochSums
    arrays: Arrays
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights_sha256(self) -> str:
        """The SHA-256 of the weights, sorted by name: each array's name, type, shape and bytes."""
        return weights_sha256(self.arrays)

    @property
    def weights(self) -> Checkpoint:
        """The same point with the model's weights and state alone, not the optimizer's."""
        kept = {name: array for name, array in self.arrays.items() if not name.startswith(OPTIMIZER)}
        return Checkpoint(self.position, self.sums, kept, self.origin)

    def is_finite(self) -> bool:
        """Return whether every number in it is finite."""
        numbers = (
            array if array.dtype.isbuiltin == 1 else array.astype(np.float32)
            for array in self.arrays.values()
            if array.dtype.kind in "fcV"
        )
        return all(np.isfinite(array).all() for array in numbers)


def weights_sha256(arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> str:
    """Return the SHA-256 of the weights among a state's arrays, sorted by name: name, type, shape, bytes."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        if name.startswith(WEIGHTS):
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def save_checkpoint(run: HeldFolder, name: str, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a folder of the run's, such as ``checkpoints``: all of it or nothing; return its file."""
    content = to_bytes(checkpoint)
    file = f"{checkpoint.position.iteration:012d}-{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
    try:
        with run.inside(name, make=True) as folder:
            folder.write_file(file, content)
    except OSError as error:
        if not run.is_in_place():
            raise no_longer_there(run) from error
        raise RunError(
            f"cannot save a checkpoint in {run.path / name}: {error.strerror}; the ones before are intact, and "
            f"`epochal resume {shell_word(run.path)}` continues from there"
        ) from error
    return run.path / name / file


def checkpoint_names(folder: HeldFolder) -> list[str]:
    """Return the names of the folder's checkpoint files, the newest position first."""
    found = [(int(match[1]), name) for name in folder.names() if (match := _NAME.fullmatch(name))]
    return [name for _, name in sorted(found, reverse=True)]


def checkpoint_files(folder: Path) -> list[Path]:
    """Return the checkpoint files of a folder, the newest position first; none where there is no folder.

    Raises `RunError` for a link in its place.
    """
    try:
        with HeldFolder.own(folder) as held:
            return [folder / name for name in checkpoint_names(held)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read {folder}: {error.strerror}") from error


def iteration_of(file: Path | str) -> int:
    """Return the iteration in a checkpoint file's name."""
    return int(Path(file).name.split("-")[0])


def checksum_of(path: Path) -> str:
    """Return the checksum in a checkpoint file's name."""
    return path.stem.split("-")[1]


def newest_checkpoint(
    folder: Path, recorded: Callable[[], int], warn: Callable[[str], None] = lambda text: None
) -> Checkpoint | None:
    """Return the newest undamaged checkpoint that the history reaches, or ``None`` where none was ever saved.

    ``recorded`` counts the history's iterations; ``warn`` is told what is passed over. Raises `RunError` where there
    are some and none of them can be used.
    """
    files = checkpoint_files(folder)
    iterations = recorded()  # after the files were listed: a process at work puts the history first

    problems = []
    for path in files:
        try:
            if iteration_of(path) > iterations:
                raise RunError(f"checkpoint {path} is newer than the history, which has {iterations:,} iterations")
            return load_checkpoint(path)
        except RunError as error:
            if not path.exists():  # a process at work has newer ones by now
                return newest_checkpoint(folder, recorded, warn)
            problems.append(str(error))
            warn(f"{error}; passed over for the one before")

    if files:
        raise RunError(f"none of the checkpoints in {folder} can be used: {problems[0]}")
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint. Raises `RunError` where its content is not what was saved."""
    try:
        with HeldFolder.own(path.parent) as folder:
            content = folder.read(path.name)
    except OSError as error:
        raise RunError(f"cannot read checkpoint {path}: {error.strerror}") from error
    match = _NAME.fullmatch(path.name)
    if match is None or hashlib.sha256(content).hexdigest()[:32] != match[2]:
        raise RunError(f"checkpoint {path} is damaged: its content does not have the checksum in its name")
    try:
        checkpoint = from_bytes(content)
        _check_name(path, checkpoint.position)
        return checkpoint
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise RunError(f"checkpoint {path} has another format: {brief(error)}") from error


def _check_name(path: Path, position: Position) -> None:
    """Raise `ValueError` where a file's name has another iteration than its content: it would pass for a newer one."""
    if position.iteration != iteration_of(path):
        raise ValueError(f"it is of iteration {position.iteration:,}, and its name says {iteration_of(path):,}")


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """Return the content of a checkpoint's file."""
    position, sums = checkpoint.position, checkpoint.sums
    about = {
        "format": FORMAT,
        "iteration": position.iteration,
        "epoch": position.epoch,
        "offset": position.offset,
        "loss_sum": sums.loss_sum.hex(),
        "iterations": sums.iterations,
        "seconds": sums.seconds.hex(),
        "audit": [sums.audit.samples, sums.audit.low, sums.audit.high],
        "origin": checkpoint.origin,
    }

    # types that NumPy does not have itself, such as bfloat16, as bytes
    others = {name: array for name, array in checkpoint.arrays.items() if not _is_plain(array.dtype)}
    if others:
        about["types"] = {name: [array.dtype.name, *array.shape] for name, array in others.items()}
    as_bytes = {name: np.frombuffer(array.tobytes(), np.uint8) for name, array in others.items()}

    # with one item of metadata: several would stand in random order
    content: bytes = save_tensors({**checkpoint.arrays, **as_bytes}, metadata={"epochal": json.dumps(about)})
    return content


def read_header(path: Path) -> tuple[Position, Mapping[str, Any]]:
    """Read a checkpoint's position and origin from its header, without its arrays."""
    try:
        with HeldFolder.own(path.parent) as folder, folder.open_file(path.name) as file:
            about = _about(file.read(8), file.read)
        position = Position(about["iteration"], about["epoch"], about["offset"])
        _check_name(path, position)
        return position, about["origin"]
    except OSError as error:
        raise RunError(f"cannot read checkpoint {path}: {error.strerror}") from error
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise RunError(f"cannot read checkpoint {path}: {brief(error)}") from error


def from_bytes(content: bytes) -> Checkpoint:
    """Return what `to_bytes` was given."""
    about = _about(content[:8], lambda size: content[8 : 8 + size])
    sums = EpochSums(
        float.fromhex(about["loss_sum"]), about["iterations"], float.fromhex(about["seconds"]), Audit(*about["audit"])
    )
    position = Position(about["iteration"], about["epoch"], about["offset"])
    arrays = load_tensors(content)
    for name, (kind, *shape) in about.get("types", {}).items():
        arrays[name] = np.frombuffer(arrays[name].tobytes(), _dtype(kind)).reshape(shape)
    return Checkpoint(position, sums, arrays, about["origin"])


def _is_plain(kind: np.dtype[Any]) -> bool:
    """Return whether arrays of this type stand in a file as they are."""
    return kind.isbuiltin == 1 and kind.kind in "biuf"


def _dtype(name: str) -> np.dtype[Any]:
    """Return a type by its name, also one of those that NumPy learns from `ml_dtypes`."""
    import ml_dtypes  # comes with JAX; without such an array nobody waits for it

    return np.dtype(getattr(ml_dtypes, name, name))


def _about(size: bytes, read: Callable[[int], bytes]) -> dict[str, Any]:
    """Return Epochal's part of a safetensors header."""
    length = int.from_bytes(size, "little")
    if length > _LONGEST_HEADER:
        raise ValueError("it does not begin as a safetensors file does")

    about: dict[str, Any] = json.loads(json.loads(read(length))["__metadata__"]["epochal"])
    _ABOUT.require("epochal", about)
    if about["format"] > FORMAT:
        raise ValueError(f"it has format {about['format']}, and this Epochal reads up to {FORMAT}")
    return about
