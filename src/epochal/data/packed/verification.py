"""Reads a whole pack, and says which file and which row is not what it should be."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from epochal.data.packed.content_check import compare_content, compare_ends
from epochal.data.packed.manifest import MANIFEST, Manifest, Shard
from epochal.data.packed.opening import load_pack
from epochal.data.packed.source import PackedSource
from epochal.data.row_source import RowBuffer
from epochal.data.storage import Progress
from epochal.errors import DataError

_AT_ONCE = 4 << 20


class Verified(NamedTuple):
    """What was read and found sound: rows of all splits, bytes, and files."""

    rows: int
    bytes: int
    shards: int


def verify_pack(folder: Path, progress: Progress | None = None) -> Verified:
    """Check every row of a pack, each file's sum of checksums, and its SHA-256. Raises `DataError` for the first fault.

    ``progress`` is called with a title, the bytes that are read, and the bytes there are.
    """
    if not (folder / MANIFEST).exists():
        load_pack(folder)  # which says what is there instead
    manifest = Manifest.read(folder)
    total = sum(split.bytes for split in manifest.splits.values())
    done = 0
    for name, about in manifest.splits.items():
        source = PackedSource.open(folder, manifest, name)
        for number, shard in enumerate(about.shards):
            _verify_shard(source, number, shard)
            done += shard.bytes + (0 if shard.values is None else shard.values.bytes)
            if progress is not None:
                progress(f"{manifest.name} ({name})", done, total)
    splits = manifest.splits.values()
    return Verified(sum(one.samples for one in splits), total, sum(one.files for one in splits))


def _verify_shard(source: PackedSource, number: int, shard: Shard) -> None:
    """Check the rows of a file, then their sum and its content: a damaged row is named before its file is."""
    files, order = source.files, source.order
    assert order is not None
    compare_ends(files, number, shard)
    first, total = number * files.shard_rows, 0
    step = max(1, _AT_ONCE // files.record.bytes_read)
    for start in range(0, shard.rows, step):
        stop = min(start + step, shard.rows)
        places = np.arange(first + start, first + stop)
        files.read(places, order.indices_at(0, places), RowBuffer.of(source.layout, len(places)))
        words = files.words_of(number, start, stop)
        total = (total + int(files.record.stored_checksums(words).sum(dtype=np.uint64))) % 2**64

    if total != shard.checksums:
        raise DataError(f"{files.paths[number]} is of another pack: the sum of its checksums differs from {MANIFEST}'s")
    compare_content(files, number, shard)
