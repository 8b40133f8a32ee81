"""A pack as a data set: the training samples stay on the disk, and what is small comes into memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from epochal.data.dataset import Dataset
from epochal.data.packed.journal import JOURNAL
from epochal.data.packed.manifest import MANIFEST, Manifest, SplitName
from epochal.data.packed.source import PackedSource
from epochal.data.row_source import AnySplit, StoredSplit
from epochal.data.split import Split
from epochal.data.trees import frozen, map_arrays
from epochal.errors import DataError

RESIDENT = 256 << 20
"""Bytes up to which test and validation samples are kept in memory."""


def is_pack(folder: Path) -> bool:
    """Return whether a folder holds a pack, or an interrupted packing."""
    return (folder / MANIFEST).is_file() or (folder / JOURNAL).is_file()


def load_pack(folder: Path) -> Dataset:
    """Return the data set in a pack. Raises `DataError` where it is damaged, not whole, or of a newer version."""
    if not (folder / MANIFEST).exists() and (folder / JOURNAL).exists():
        raise DataError(f"{folder} is an interrupted packing; give its epochal data pack command again, which goes on")

    manifest = Manifest.read(folder)
    schema = manifest.schema
    return Dataset(
        manifest.name,
        StoredSplit(PackedSource.open(folder, manifest, "train")),
        _held_out(folder, manifest, "test"),
        schema.preprocessing,
        schema.class_names,
        _held_out(folder, manifest, "validation") if "validation" in manifest.splits else None,
        schema.target_scaling,
        schema.encoding,
        manifest.notes,
    )


def _held_out(folder: Path, manifest: Manifest, split: SplitName) -> AnySplit:
    """Return test or validation samples: in memory if they are few."""
    stored = StoredSplit(PackedSource.open(folder, manifest, split, has_weight=False))
    if max(manifest.splits[split].bytes, len(stored) * manifest.record.bytes_read) > RESIDENT:
        return stored
    taken = stored.take(np.arange(len(stored)))
    return Split(map_arrays(frozen, taken.x), frozen(taken.y))
