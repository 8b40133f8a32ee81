"""What a model gets wrong: its confusion matrix, and the wrong answers that it is surest of."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from epochal.data import Split
from epochal.study.records import Mistake, Predictions

MISTAKES_SHOWN = 15
_LARGEST_IMAGE = 256


def judge(
    scores: Float[np.ndarray, "samples classes"], test: Split, class_names: tuple[str, ...], iteration: int
) -> Predictions:
    """Compare a model's scores for the test samples with their classes.

    >>> test = Split(np.zeros((3, 2), np.float32), np.array([0, 1, 1], np.int32))
    >>> judge(np.array([[9.0, 0.0], [0.0, 9.0], [2.0, 1.0]]), test, ("cat", "dog"), 10).confusion.tolist()
    [[1, 0], [1, 1]]

    Args:
        scores: before the softmax; the largest is the answer.
        test: the samples, as stored, and their classes.
        class_names: one for each class.
        iteration: the updates that the weights had.
    """
    answers = scores.argmax(axis=1)
    confusion = np.zeros((len(class_names), len(class_names)), np.int64)
    np.add.at(confusion, (test.y, answers), 1)
    wrong = np.flatnonzero(answers != test.y)
    confidence = _softmax(scores[wrong].astype(np.float64)).max(axis=1, initial=0.0)
    surest = np.argsort(-confidence, kind="stable")[:MISTAKES_SHOWN]
    mistakes = tuple(
        Mistake(
            index=int(wrong[place]),
            true=int(test.y[wrong[place]]),
            predicted=int(answers[wrong[place]]),
            confidence=float(confidence[place]),
            image=as_image(test.x[wrong[place]]),
        )
        for place in surest
    )
    return Predictions(iteration, class_names, confusion, mistakes)


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


def _softmax(scores: Float[np.ndarray, "samples classes"]) -> Float[np.ndarray, "samples classes"]:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf))
    shares: Float[np.ndarray, "samples classes"] = powers / powers.sum(axis=1, keepdims=True)
    return shares
