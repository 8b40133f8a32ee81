"""Compares a data set that was packed with the one in memory: everything that decides a training's bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from epochal.data import Dataset, pack
from epochal.data.packed.loading import load_pack
from epochal.data.trees import arrays_of


def packed(source: Any, folder: Path, **options: Any) -> Dataset:
    return load_pack(pack(source, folder, **options))


def assert_same(given: Dataset, data: Dataset) -> None:
    """Same rows in the same order, same types, preprocessing, names and encoding."""
    for name in ("train", "test", "validation"):
        wanted, split = getattr(given, name), getattr(data, name)
        assert (wanted is None) == (split is None), name
        if wanted is None:
            continue
        assert len(wanted) == len(split), name
        taken, wanted = split.take(np.arange(len(split))), wanted.take(np.arange(len(wanted)))
        for array, other in zip([*arrays_of(wanted.x), wanted.y], [*arrays_of(taken.x), taken.y], strict=True):
            assert array.dtype == other.dtype
            np.testing.assert_array_equal(array, other, err_msg=name)

    for part in ("shift", "scale"):
        for one, other in zip(
            arrays_of(getattr(given.preprocessing, part)), arrays_of(getattr(data.preprocessing, part)), strict=True
        ):
            np.testing.assert_array_equal(one, other, err_msg=part)
        if given.target_scaling is not None:
            np.testing.assert_array_equal(getattr(given.target_scaling, part), getattr(data.target_scaling, part))
    assert (given.class_names, given.encoding) == (data.class_names, data.encoding)
