"""What a data set is: splits of samples, and the preprocessing that turns a stored sample into model input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Shaped

from epochal.config.train_config import Task
from epochal.data.row_source import AnySplit, StoredSplit
from epochal.data.split import Split
from epochal.data.trees import Tree, frozen, is_several, labelled, map_arrays, shape_of
from epochal.errors import DataError
from epochal.files import is_utf8
from epochal.formats import plural
from epochal.lazy import drawn_by

if TYPE_CHECKING:
    from epochal.data.encodings import Encoding


@dataclass(frozen=True, slots=True, eq=False)
class Preprocessing:
    """How a stored sample becomes model input: ``(x - shift) * scale`` in float32; int32 and bool stay what they are.

    >>> Preprocessing.of(shift=0, scale=1 / 16)(np.array([0, 8, 16], np.uint8))
    array([0. , 0.5, 1. ], dtype=float32)

    Attributes:
        shift: float32, of a shape that broadcasts to one sample; ``()`` for images. For samples of several parts, a
            tree of them.
        scale: float32, likewise.
    """

    shift: Tree
    scale: Tree

    @classmethod
    def of(cls, shift: Any, scale: Any) -> Preprocessing:
        """Return the preprocessing with these numbers or arrays as float32."""
        return cls(frozen(np.asarray(shift, np.float32)), frozen(np.asarray(scale, np.float32)))

    def __call__(self, x: Any) -> Any:
        """Return ``x``, a NumPy or JAX array of any number of samples, as model input."""
        return to_input(x, self.shift, self.scale)


@dataclass(frozen=True, slots=True, eq=False)
class TargetScaling:
    """The targets of a regression as training sees them: ``(y - shift) / scale``, mean 0 and deviation 1.

    Losses, metrics and predictions are in the targets' own units all the same.

    Attributes:
        shift: float32 ``(outputs,)``, each target's mean over the training split.
        scale: float32 ``(outputs,)``, each target's deviation; 1 for a constant one.
    """

    shift: Float32[np.ndarray, " outputs"]
    scale: Float32[np.ndarray, " outputs"]


def to_input(x: Any, shift: Any, scale: Any) -> Any:
    """Return stored samples as model input, for NumPy and the compiled loop alike: float32, or as `input_type` says."""

    def prepared(x: Any, shift: Any, scale: Any) -> Any:
        return x if input_type(x.dtype) != np.float32 else (x.astype(np.float32) - shift) * scale

    return map_arrays(prepared, x, shift, scale)


def input_type(stored: Any) -> np.dtype:
    """Return the type in which a model sees samples that are stored in a type."""
    return np.dtype(stored) if stored in (np.int32, np.bool_) else np.dtype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Training and test samples in storage type, with everything needed to feed a model.

    `epochal.data.from_arrays` builds one from arrays and checks them; `epochal.data.load_data` finds one by name.

    Attributes:
        name: what the user calls it.
        train: the N samples that an epoch visits.
        test: samples that training never sees, and that nothing is selected by.
        preprocessing: turns stored samples into model input.
        class_names: one name for each class number; ``None`` for regression.
        validation: samples that training does not use, but by which the best weights are chosen; ``None`` for none.
        target_scaling: of a regression, how training sees the targets; ``None``: as they are.
        encoding: how a row of a table or a picture becomes a stored sample; ``None`` where samples came as arrays.
        notes: what the user should know of how the data were taken, a sentence each.
    """

    name: str
    train: AnySplit
    test: AnySplit
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None
    validation: AnySplit | None = None
    target_scaling: TargetScaling | None = None
    encoding: Encoding | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, names in (("the class", self.class_names or ()), ("the data set", (self.name,))):
            for name in names:
                if not is_utf8(name):
                    raise DataError(
                        f"{what} '{name}' has a name whose bytes are no UTF-8, which no record can keep; rename its "
                        "folder or file (convmv -f gbk -t utf-8 does so for many)"
                    )

    def with_encoding(self, encoding: Encoding, notes: tuple[str, ...] = ()) -> Dataset:
        """Return the data set with how its samples came about, and what is to be said of that."""
        return replace(self, encoding=encoding, notes=(*notes, *self.notes))

    @property
    def task(self) -> Task:
        """``"classification"`` or ``"regression"``."""
        return "regression" if self.class_names is None else "classification"

    @property
    def sample_shape(self) -> Any:
        """The shape of one sample, such as ``(28, 28)``; a tree of shapes for samples of several parts."""
        return shape_of(self.train.layout.x)

    @property
    def outputs(self) -> int:
        """How many numbers a model must put out: one for each class or each regression target."""
        return prod(self.train.layout.y.shape[1:]) if self.class_names is None else len(self.class_names)

    @property
    def is_table(self) -> bool:
        """Whether a sample is a row of numbers, and not a picture, a signal or a text."""
        x = self.train.layout.x
        return not is_several(x) and x.ndim == 2 and x.dtype != np.uint8

    @property
    def nbytes(self) -> int:
        """Bytes that all splits take, in memory or where they are stored."""
        stored = sum(split.nbytes for _, split in self._splits() if isinstance(split, StoredSplit))
        return stored + self.nbytes_in_memory

    @property
    def nbytes_in_memory(self) -> int:
        """Bytes of the splits that are held in memory."""
        return sum(array.nbytes for _, array in self._arrays())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content: every array with its type and shape, and the class names, but not the name.

        Equal fingerprints mean equal bytes on every machine. It costs about a second for a gigabyte in memory; samples
        that are stored elsewhere have a fingerprint of their own.
        """
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        for label, split in self._splits():
            if isinstance(split, StoredSplit):
                digest.update(f"\n{label} {split.source.fingerprint} {len(split)}\n".encode())
        for label, array in self._arrays():
            portable = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
            digest.update(f"\n{label} {portable.dtype.str} {array.shape}\n".encode())
            digest.update(portable.data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        sizes = f"{len(self.train):,} training and {len(self.test):,} test samples of shape {self.sample_shape}"
        return f"Dataset '{self.name}': {sizes}, {self.task} with {plural(self.outputs, 'output')}"

    def _repr_html_(self) -> str:
        return str(drawn_by("shown:dataset", self))

    def _splits(self) -> Iterator[tuple[str, AnySplit]]:
        yield "train", self.train
        yield "test", self.test
        if self.validation is not None:
            yield "validation", self.validation

    def _arrays(self) -> Iterator[tuple[str, Shaped[np.ndarray, ...]]]:
        for name, split in self._splits():
            if isinstance(split, Split):
                yield from labelled(split.x, f"{name}.x")
                yield f"{name}.y", split.y
        if isinstance(self.train, Split) and self.train.weight is not None:
            yield "weight", self.train.weight
        yield from labelled(self.preprocessing.shift, "shift")
        yield from labelled(self.preprocessing.scale, "scale")
