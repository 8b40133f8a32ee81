"""What has to be known of data to predict without them: shapes, preprocessing, names; numbers and texts in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from epochal.data.dataset import Dataset, Preprocessing, TargetScaling
from epochal.data.encodings import Encoding, read_encoding
from epochal.data.split import Split
from epochal.data.trees import Tree, frozen, is_several, map_arrays, type_of
from epochal.errors import DataError, brief

FORMAT = 1
_TYPES = {name: np.dtype(name) for name in ("uint8", "float32", "int32", "bool")}
_DEEPEST = 16
_MOST_DIMENSIONS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """What samples and targets are, and how they become model input.

    Attributes:
        sample_shape: of one stored sample; a tree of shapes for samples of several parts.
        sample_type: uint8, float32, int32 or bool; likewise.
        target_shape: of one target; ``()`` for class numbers.
        preprocessing: turns stored samples into model input.
        class_names: of each class number; ``None`` for a regression.
        target_scaling: how training saw the targets of a regression; ``None``: as they are.
        encoding: how a row of a table or a picture becomes a stored sample.
        has_whole_targets: whether the targets of a regression are whole numbers that stay what they are.
    """

    sample_shape: Tree
    sample_type: Tree
    target_shape: tuple[int, ...]
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None
    target_scaling: TargetScaling | None = None
    encoding: Encoding | None = None
    has_whole_targets: bool = False

    @classmethod
    def of(cls, data: Dataset) -> Schema:
        """Return the schema of a data set."""
        layout = data.train.layout
        return cls(
            data.sample_shape,
            type_of(layout.x),
            layout.y.shape[1:],
            data.preprocessing,
            data.class_names,
            data.target_scaling,
            data.encoding,
            data.class_names is None and layout.y.dtype.kind == "i",
        )

    def without_samples(self, name: str) -> Dataset:
        """Return a data set of this schema that holds nothing: enough to predict, not to train."""
        x = map_arrays(lambda kind, shape: np.zeros((0, *shape), kind), self.sample_type, self.sample_shape)
        nothing = Split(x, np.zeros((0, *self.target_shape), self.target_type))
        return Dataset(
            name,
            nothing,
            nothing,
            self.preprocessing,
            self.class_names,
            target_scaling=self.target_scaling,
            encoding=self.encoding,
        )

    @property
    def has_parts(self) -> bool:
        """Whether a sample is a dictionary or a tuple of arrays."""
        return is_several(self.sample_type)

    @property
    def target_type(self) -> np.dtype:
        """The type of targets: int32 for classes and for whole numbers of a model of one's own, else float32."""
        return np.dtype(np.float32 if self.class_names is None and not self.has_whole_targets else np.int32)

    @property
    def highest(self) -> int:
        """The value of a stored picture in bytes that becomes 1: 255, or 16 for ``digits``."""
        shift, scale = self.preprocessing.shift, self.preprocessing.scale
        return round(1 / float(scale)) if scale.ndim == 0 and not shift.any() and 1 / 255 <= scale <= 1 else 255

    @property
    def outputs(self) -> int:
        """How many numbers a model returns for a sample."""
        return prod(self.target_shape) if self.class_names is None else len(self.class_names)

    def to_json(self) -> str:
        """Return the schema as JSON; every float32 comes back as it was."""
        targets: dict[str, Any] = {"shape": list(self.target_shape)}
        if self.class_names is not None:
            targets["classes"] = list(self.class_names)
        if self.target_scaling is not None:
            targets["shift"] = _plain(self.target_scaling.shift)
            targets["scale"] = _plain(self.target_scaling.scale)

        if self.has_whole_targets:
            targets["type"] = "int32"

        one = (self.sample_shape, self.sample_type, self.preprocessing.shift, self.preprocessing.scale)
        content = {
            "format": FORMAT,
            **(_part(*one) if not self.has_parts else {"parts": _parts(*one)}),
            "targets": targets,
            "encoding": None if self.encoding is None else self.encoding.to_dict(),
        }
        return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Schema:
        """Read `to_json`'s result. Raises `DataError` where it is damaged, or of a later format."""
        try:
            content = json.loads(text)
            if content["format"] > FORMAT:
                raise DataError(f"format {content['format']}; this Epochal reads up to {FORMAT}: update it")
            return cls._from_dict(content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"damaged: {brief(error)}") from error

    @classmethod
    def _from_dict(cls, content: Mapping[str, Any]) -> Schema:
        targets, encoding = content["targets"], content["encoding"]
        parts, classes = content.get("parts", {"array": content}), targets.get("classes")
        if classes is not None and not (classes and all(isinstance(name, str) for name in classes)):
            raise DataError("its class names are no texts")

        outputs = prod(_shape(targets["shape"])) if classes is None else len(classes)
        shift, scale = (_read_parts(parts, partial(_read_numbers, name)) for name in _PAIR)
        scaling = TargetScaling(*(_array(targets[name], (outputs,)) for name in _PAIR)) if "shift" in targets else None

        return cls(
            _read_parts(parts, _read_shape),
            _read_parts(parts, lambda part: _TYPES[part["samples"]["type"]]),
            _shape(targets["shape"]),
            Preprocessing(shift, scale),
            None if classes is None else tuple(classes),
            scaling,
            None if encoding is None else read_encoding(encoding),
            targets.get("type") == "int32",
        )


_PAIR = ("shift", "scale")


def _part(shape: tuple[int, ...], kind: np.dtype, shift: np.ndarray, scale: np.ndarray) -> dict[str, Any]:
    """Return what is said of an array of samples."""
    return {
        "samples": {"shape": list(shape), "type": str(kind)},
        "preprocessing": {"shift": _plain(shift), "scale": _plain(scale)},
    }


def _parts(shape: Tree, kind: Tree, shift: Tree, scale: Tree) -> Any:
    """Return what is said of samples of several parts; each level says whether it is a dictionary, tuple or array."""
    if isinstance(kind, dict):
        return {"dict": {name: _parts(shape[name], kind[name], shift[name], scale[name]) for name in kind}}
    if isinstance(kind, tuple):
        return {"tuple": [_parts(*one) for one in zip(shape, kind, shift, scale, strict=True)]}
    return {"array": _part(shape, kind, shift, scale)}


def _read_parts(parts: Any, read: Callable[[Any], Any], depth: int = 0) -> Tree:
    """Return a tree with what is read of each array."""
    if depth > _DEEPEST:
        raise DataError("its samples have parts within parts within parts")
    if "dict" in parts:
        return {str(name): _read_parts(part, read, depth + 1) for name, part in parts["dict"].items()}
    if "tuple" in parts:
        return tuple(_read_parts(part, read, depth + 1) for part in parts["tuple"])
    return read(parts["array"])


def _read_shape(part: Mapping[str, Any]) -> tuple[int, ...]:
    return _shape(part["samples"]["shape"])


def _read_numbers(name: str, part: Mapping[str, Any]) -> np.ndarray:
    return _array(part["preprocessing"][name], _read_shape(part))


def _plain(array: np.ndarray) -> Any:
    """Return a float32 array as numbers or nested lists of them, each of which reads back exactly."""
    return array.astype(np.float64).tolist()


def _shape(values: Any) -> tuple[int, ...]:
    is_shape = isinstance(values, list) and all(isinstance(n, int) and 0 <= n <= 2**31 for n in values)
    if not is_shape or len(values) > _MOST_DIMENSIONS:
        raise DataError(f"a shape is {values!s:.40}")
    return tuple(values)


def _array(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers as a float32 array that broadcasts to a shape."""
    array = np.asarray(values, np.float32)
    fits = array.ndim <= len(shape) and np.broadcast_shapes(array.shape, shape) == shape
    if not fits or not np.isfinite(array).all():
        raise DataError(f"numbers of shape {array.shape} do not fit {shape}, or are not finite")
    return frozen(array)
