"""Which training samples a page holds as images and labels, so that its strips can show what a batch was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from epochal.order import EpochOrder
from epochal.record.outputs_record import SamplesRecord
from epochal.report.mistakes import as_image
from epochal.report.page_model import TrainingSamples
from epochal.report.timeline import Timeline

IMAGE_LIMIT = 1_500_000
"""Bytes of pixels that the images of training samples may take together on a page, before they are compressed."""

_MOST_LABELS = 100_000


def training_samples(
    record: SamplesRecord, runs: Sequence[tuple[Timeline, EpochOrder]], limit: int = IMAGE_LIMIT
) -> TrainingSamples:
    """Choose what the page shows of one training set.

    All images where they fit within ``limit`` bytes; else those of the first and the last batch of the first and the
    last epoch of each run, each batch shortened to its fair part.

    Args:
        record: the training set.
        runs: the runs on it, each with its order.
        limit: bytes of pixels.
    """
    number = len(record.y)
    example = None if record.x is None or not number else as_image(record.x[0])
    room = 0 if example is None else limit // example.nbytes
    all_fit = room >= number
    chosen = np.arange(number) if all_fit else _ends(number, runs, room)

    images = None
    if record.x is not None and example is not None:
        images = np.stack([_image(record.x[index], example) for index in chosen]) if chosen.size else None
    labelled = np.arange(number) if number <= _MOST_LABELS else chosen
    return TrainingSamples(
        number, None if all_fit else chosen, images,
        None if labelled.size == number else labelled, _labels(record.y[labelled]), record.class_names,
    )  # fmt: skip


def atlas(images: UInt8[np.ndarray, "n height width *colours"]) -> UInt8[np.ndarray, "rows columns *colours"]:
    """Lay images side by side in one picture, about as wide as high: row by row, the rest black.

    >>> atlas(np.arange(3, dtype=np.uint8).reshape(3, 1, 1)).tolist()
    [[0, 1], [2, 0]]
    """
    number, height, width, *colours = images.shape
    across = max(1, math.isqrt(number * height // width))
    across = min(number, across + (across * across * width < number * height))
    down = -(-number // across)
    filled = np.zeros((across * down, height, width, *colours), np.uint8)
    filled[:number] = images
    rows = filled.reshape(down, across, height, width, *colours).swapaxes(1, 2)
    return rows.reshape(down * height, across * width, *colours)


def _ends(number: int, runs: Sequence[tuple[Timeline, EpochOrder]], room: int) -> Int64[np.ndarray, " chosen"]:
    """Return the samples of the first and last batches of the first and last epochs, in order, at most ``room``."""
    each = room // max(4 * len(runs), 1)
    wanted: list[Int64[np.ndarray, " batch"]] = [np.zeros(0, np.int64)]
    for timeline, order in runs:
        for epoch, start, stop in _end_batches(timeline):
            wanted.append(order.indices(epoch, start, min(stop, start + each)))
    return np.unique(np.concatenate(wanted))


def _end_batches(timeline: Timeline) -> Iterator[tuple[int, int, int]]:
    """Yield epoch, start and stop of each of those batches of a run."""
    last = timeline.epochs_begun - 1
    for epoch in dict.fromkeys((0, last)) if last >= 0 else ():
        done = min(timeline.batches(epoch), timeline.done - timeline.first_iteration(epoch))
        for batch in dict.fromkeys((0, done - 1)):
            yield epoch, *timeline.positions(epoch, batch)


def _image(
    sample: Shaped[np.ndarray, "..."], example: UInt8[np.ndarray, "height width *colours"]
) -> UInt8[np.ndarray, "height width *colours"]:
    image = as_image(sample)
    return np.zeros_like(example) if image is None else image


def _labels(y: Shaped[np.ndarray, "samples *targets"]) -> Shaped[np.ndarray, " samples"] | None:
    """Return class numbers as uint16, single targets as float32, and nothing of several targets."""
    if y.ndim > 1 and math.prod(y.shape[1:]) != 1:
        return None
    flat = y.reshape(len(y))
    return flat.astype(np.uint16) if np.issubdtype(y.dtype, np.integer) else flat.astype(np.float32)
