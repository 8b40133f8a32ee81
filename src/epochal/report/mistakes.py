"""What a model gets wrong: its confusion matrix and its most confident errors."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped, UInt8
from scipy.special import softmax

from epochal.record.outputs_record import OutputsRecord
from epochal.report.page_model import Mistake, Predictions

MISTAKES_SHOWN = 15
_LARGEST_IMAGE = 256


def predictions_of(record: OutputsRecord) -> Predictions:
    """Compare a classifier's outputs with the true classes.

    >>> outputs = np.array([[9.0, 0.0], [0.0, 9.0], [2.0, 1.0]])
    >>> record = OutputsRecord(10, outputs, np.zeros((3, 2)), np.array([0, 1, 1]), ("cat", "dog"))
    >>> predictions_of(record).confusion.tolist()
    [[1, 0], [1, 1]]
    """
    outputs, y = record.outputs, record.y
    predicted = outputs.argmax(axis=1)
    confusion = np.zeros((len(record.class_names), len(record.class_names)), np.int64)
    np.add.at(confusion, (y, predicted), 1)

    wrong = np.flatnonzero(predicted != y)
    confidence = softmax(outputs[wrong].astype(np.float64), axis=1).max(axis=1, initial=0.0)
    most_confident = np.argsort(-confidence, kind="stable")[:MISTAKES_SHOWN]

    mistakes = tuple(
        Mistake(
            index=int(wrong[place]),
            true=int(y[wrong[place]]),
            predicted=int(predicted[wrong[place]]),
            confidence=float(confidence[place]),
            image=as_image(record.x[wrong[place]]),
        )
        for place in most_confident
    )
    return Predictions(record.iteration, record.class_names, confusion, mistakes)


def as_image(sample: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "height width *colours"] | None:
    """Return a stored sample as uint8 pixels, grey or red-green-blue; ``None`` for what is no picture.

    Values that are no bytes are stretched from the sample's lowest to its highest.
    """
    pixels = sample[..., 0] if sample.ndim == 3 and sample.shape[2] == 1 else sample
    is_colour = pixels.ndim == 3 and pixels.shape[2] == 3
    if not (pixels.ndim == 2 or is_colour) or not 2 <= min(pixels.shape[:2]) <= max(pixels.shape[:2]) <= _LARGEST_IMAGE:
        return None
    if pixels.dtype == np.uint8 and pixels.max() > 16:
        return pixels

    low, high = float(pixels.min()), float(pixels.max())
    stretched = (pixels.astype(np.float64) - low) / (high - low or 1.0) * 255
    return np.nan_to_num(stretched).round().astype(np.uint8)
