"""Samples of the training set that are held out, so that a search is judged by what it did not train on."""

from __future__ import annotations

import dataclasses

import numpy as np

from epochal.data import Dataset
from epochal.errors import DataError
from epochal.order import Order

_SHARE_HELD_OUT, _MOST_HELD_OUT = 6, 10_000
_HELD_OUT = 2**63  # the order of an epoch that no training reaches says which samples are held out


def validation_split(data: Dataset, seed: int) -> Dataset:
    """Return the training set alone, split in two: what is trained on, and as its test set the held-out samples.

    These are a sixth, and at most 10,000. Raises `DataError` where the training set is too small.
    """
    samples = len(data.train)
    held_out = min(samples // _SHARE_HELD_OUT, _MOST_HELD_OUT)
    if not held_out:
        raise DataError(f"{samples} training samples are too few to hold any out; give the learning rates with --lr")
    shuffled = Order(samples, seed).indices(_HELD_OUT, 0, samples)
    validation, rest = np.sort(shuffled[:held_out]), np.sort(shuffled[held_out:])
    return dataclasses.replace(data, train=data.train.take(rest), test=data.train.take(validation), validation=None)
