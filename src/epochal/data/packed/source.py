"""The rows of a pack as a source: found by their sample's number, or by their place on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from epochal.block_order import stored_order
from epochal.data.packed.content_check import ContentCheck
from epochal.data.packed.manifest import FIX, Manifest, SplitName
from epochal.data.packed.row_files import RowFiles
from epochal.data.ragged import Ragged
from epochal.data.row_source import RowBuffer
from epochal.data.split import Split
from epochal.order import Order


@dataclass(frozen=True, slots=True, eq=False)
class FileSource:
    """Rows in files as a source.

    Attributes:
        files: the rows.
        order: which sample lies at which place: that of the order's first epoch; ``None``: sample i at place i.
        fingerprint: SHA-256 of what decides the samples' bytes.
        check: compares the content of each file that is read from with the manifest; ``None``: nothing does.
    """

    files: RowFiles
    order: Order | None
    fingerprint: str
    check: ContentCheck | None = None

    @property
    def samples(self) -> int:
        """N."""
        return self.files.samples

    @property
    def layout(self) -> Split:
        """A split of no samples, which shows types and shapes."""
        return self.files.record.layout

    @property
    def row_bytes(self) -> int:
        """What a sample takes on the disk, with its id and checksum; with its share of the values of ragged parts."""
        values = self.files.values
        return self.files.record.bytes + (0 if values is None else sum(values.sizes) // self.samples)

    @property
    def ragged(self) -> Ragged:
        """The ragged parts of a sample."""
        return self.files.record.ragged

    def places_of(self, ids: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Return the places of these rows."""
        return np.asarray(ids) if self.order is None else self.order.positions(0, np.asarray(ids))

    def hint(self, ids: Int64[np.ndarray, " n"]) -> None:
        """Ask the disk for rows that are read soon, unless memory has them."""
        self.files.hint(self.places_of(ids))

    def read(self, ids: Int64[np.ndarray, " n"], into: RowBuffer) -> None:
        """Read these samples; ``into.ids`` are those that stand in the rows.

        Raises `DataError`, with file and row, for one that is damaged, another one, or no longer there.
        """
        self.read_places(self.places_of(ids), np.asarray(ids), into)

    def hint_places(self, places: Int64[np.ndarray, " n"]) -> bool:
        """Ask the disk for the rows at these places, unless memory has them; return whether it has, values too."""
        return self.files.hint(places) and self.files.values is None

    def read_places(self, places: Int64[np.ndarray, " n"], ids: Int64[np.ndarray, " n"], into: RowBuffer) -> None:
        """Read the rows at these places, which have to have these ids; as `read` does."""
        if self.check is not None:
            self.check.before_reading(places)
        self.files.read(places, ids, into)


class PackedSource(FileSource):
    """A split of a pack."""

    __slots__ = ()

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, split: SplitName, *, has_weight: bool = True) -> PackedSource:
        """Open the files of a split. Raises `DataError` for those that are missing or do not fit the manifest."""
        about = manifest.splits[split]
        record = manifest.record if has_weight else manifest.record.without_weight()
        paths = [folder / shard.file for shard in about.shards]
        sizes = [shard.values.bytes for shard in about.shards if shard.values is not None]
        files = RowFiles(paths, record, about.samples, about.shard_rows, FIX, value_bytes=sizes or None)
        check = ContentCheck(files, about.shards)
        return cls(files, stored_order(about.samples), manifest.fingerprint(split), check)
