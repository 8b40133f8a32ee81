"""What has to be known of data to predict without them: shapes, preprocessing, names; numbers and texts in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from epochal.data.dataset import Dataset, Preprocessing, Split, TargetScaling, frozen
from epochal.data.encodings import Encoding, read_encoding
from epochal.errors import DataError

FORMAT = 1
_TYPES = {name: np.dtype(name) for name in ("uint8", "float32", "int32")}


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """What samples and targets are, and how they become model input.

    Attributes:
        sample_shape: of one stored sample.
        sample_type: uint8, float32 or int32.
        target_shape: of one target; ``()`` for class numbers.
        preprocessing: turns stored samples into model input.
        class_names: of each class number; ``None`` for a regression.
        target_scaling: how training saw the targets of a regression; ``None``: as they are.
        encoding: how a row of a table or a picture becomes a stored sample.
    """

    sample_shape: tuple[int, ...]
    sample_type: np.dtype
    target_shape: tuple[int, ...]
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None
    target_scaling: TargetScaling | None = None
    encoding: Encoding | None = None

    @classmethod
    def of(cls, data: Dataset) -> Schema:
        """Return the schema of a data set."""
        return cls(
            data.sample_shape,
            data.train.x.dtype,
            data.train.y.shape[1:],
            data.preprocessing,
            data.class_names,
            data.target_scaling,
            data.encoding,
        )

    def without_samples(self, name: str) -> Dataset:
        """Return a data set of this schema that holds nothing: enough to predict, not to train."""
        y_type = np.float32 if self.class_names is None else np.int32
        nothing = Split(np.zeros((0, *self.sample_shape), self.sample_type), np.zeros((0, *self.target_shape), y_type))
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

        content = {
            "format": FORMAT,
            "samples": {"shape": list(self.sample_shape), "type": str(self.sample_type)},
            "preprocessing": {"shift": _plain(self.preprocessing.shift), "scale": _plain(self.preprocessing.scale)},
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
            raise DataError(f"damaged: {' '.join(str(error).split())}") from error

    @classmethod
    def _from_dict(cls, content: Mapping[str, Any]) -> Schema:
        samples, targets, encoding = content["samples"], content["targets"], content["encoding"]
        sample_shape, classes = _shape(samples["shape"]), targets.get("classes")
        if classes is not None and not (classes and all(isinstance(name, str) for name in classes)):
            raise DataError("its class names are no texts")

        outputs = prod(_shape(targets["shape"])) if classes is None else len(classes)
        preprocessing = Preprocessing(*(_array(content["preprocessing"][name], sample_shape) for name in _PAIR))
        scaling = TargetScaling(*(_array(targets[name], (outputs,)) for name in _PAIR)) if "shift" in targets else None
        return cls(
            sample_shape,
            _TYPES[samples["type"]],
            _shape(targets["shape"]),
            preprocessing,
            None if classes is None else tuple(classes),
            scaling,
            None if encoding is None else read_encoding(encoding),
        )


_PAIR = ("shift", "scale")


def _plain(array: np.ndarray) -> Any:
    """Return a float32 array as numbers or nested lists of them, each of which reads back exactly."""
    return array.astype(np.float64).tolist()


def _shape(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(isinstance(n, int) and 0 <= n <= 2**31 for n in values):
        raise DataError(f"a shape is {values!s:.40}")
    return tuple(values)


def _array(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers as a float32 array that broadcasts to a shape."""
    array = np.asarray(values, np.float32)
    if not np.isfinite(array).all() or np.broadcast_shapes(array.shape, shape) != shape:
        raise DataError(f"numbers of shape {array.shape} do not fit {shape}, or are not finite")
    return frozen(array)
