"""What a pack is, in a file that people and NumPy can read: ``data.toml``, written last."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import tomli_w

from epochal.block_order import stored_order
from epochal.data.data_schema import Schema
from epochal.data.packed.record import Record
from epochal.data.ragged import Ragged, RaggedPart
from epochal.data.split import Split
from epochal.data.trees import map_arrays
from epochal.errors import DataError, brief
from epochal.files import parse_toml, read_regular

FORMAT = 2
"""The newest format; packs without ragged parts are written in the first, which older versions read."""

MANIFEST = "data.toml"
SCHEMA = "preprocessing.json"
FIX = "copy the pack again, or make it again with epochal data pack"

SplitName: TypeAlias = Literal["train", "test", "validation"]
SPLITS: tuple[SplitName, ...] = ("train", "test", "validation")

_LARGEST = 1 << 28  # bytes of a manifest: two million shards
_MOST_ROWS = 2**62
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"0x[0-9a-f]{16}")
_WORDS = ("checksums", "first", "last")


class Values(NamedTuple):
    """The file of values beside a file of rows: its size, and the SHA-256 of its content."""

    bytes: int
    sha256: str


class Shard(NamedTuple):
    """A file of rows.

    Attributes:
        file: its name in the pack's folder.
        rows: how many it has.
        bytes: its size.
        sha256: of its content.
        checksums: the sum of its rows' checksums, modulo 2⁶⁴.
        first, last: the checksums of its first and its last row, which tell at once if it is of another pack.
        values: the file of values beside it; ``None`` where no part is ragged.
    """

    file: str
    rows: int
    bytes: int
    sha256: str
    checksums: int
    first: int
    last: int
    values: Values | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain values; words of 64 bits as texts, which are beyond what TOML's integers hold."""
        content = {**self._asdict(), **{name: f"0x{getattr(self, name):016x}" for name in _WORDS}}
        del content["values"]
        if self.values is not None:
            content |= {"value_bytes": self.values.bytes, "value_sha256": self.values.sha256}
        return content

    @classmethod
    def of_plain(cls, content: Mapping[str, Any]) -> Shard:
        """Read `to_plain`'s result. Raises `KeyError`, `TypeError` or `ValueError` where it is damaged."""
        words = [content[name] for name in _WORDS]
        hashes = [content["sha256"], *([content["value_sha256"]] if "value_sha256" in content else [])]
        if not all(map(_SHA256.fullmatch, hashes)) or not all(_WORD.fullmatch(word) for word in words):
            raise ValueError("a hash or checksum is none")
        rows, size = _whole(content["rows"]), _whole(content["bytes"])
        sums, first, last = (int(word, 16) for word in words)
        values = Values(_whole(content["value_bytes"]), hashes[1]) if "value_sha256" in content else None
        return cls(str(content["file"]), rows, size, hashes[0], sums, first, last, values)


@dataclass(frozen=True, slots=True)
class PackedSplit:
    """The files of a split: ``samples`` rows, ``shard_rows`` in each file but the last."""

    samples: int
    shard_rows: int
    shards: tuple[Shard, ...]

    @property
    def bytes(self) -> int:
        """What its files take together."""
        return sum(shard.bytes + (0 if shard.values is None else shard.values.bytes) for shard in self.shards)

    @property
    def files(self) -> int:
        """How many files it has."""
        return len(self.shards) + sum(shard.values is not None for shard in self.shards)


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """What a pack is.

    Attributes:
        name: what the data set is called.
        what: which source was packed, with which options.
        schema: shapes, types, preprocessing and class names.
        record: the type of a row.
        splits: ``train``, ``test`` and perhaps ``validation``.
        notes: what the user should know of how the data were taken, a sentence each.
    """

    name: str
    what: str
    schema: Schema
    record: Record
    splits: Mapping[SplitName, PackedSplit]
    notes: tuple[str, ...] = ()

    def files(self) -> tuple[bytes, bytes]:
        """Return the content of `SCHEMA` and of `MANIFEST`."""
        schema = self.schema.to_json().encode()
        content: dict[str, Any] = {
            "format": FORMAT if self.record.ragged else 1,
            "name": self.name,
            "what": self.what,
            "task": "regression" if self.schema.class_names is None else "classification",
            "notes": list(self.notes),
            "preprocessing": {"file": SCHEMA, "sha256": hashlib.sha256(schema).hexdigest()},
            "record": self.record.to_plain(),
            **({"ragged": self.record.ragged_to_plain()} if self.record.ragged else {}),
            "splits": {name: _split_to_dict(split) for name, split in self.splits.items()},
        }
        if self.schema.class_names is not None:
            content["classes"] = list(self.schema.class_names)
        return schema, tomli_w.dumps(content).encode()

    def fingerprint(self, split: SplitName) -> str:
        """Return the SHA-256 of what decides the bytes of a split: a hash of its files' hashes."""
        files = [shard.sha256 for shard in self.splits[split].shards]
        content: list[Any] = [self.record.to_plain(), self.splits[split].samples, files]
        if self.record.ragged:
            values = [shard.values.sha256 for shard in self.splits[split].shards if shard.values is not None]
            content += [self.record.ragged_to_plain(), values]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read a pack's manifest. Raises `DataError` where it is missing, damaged, or of a newer version."""
        path = folder / MANIFEST
        try:
            if path.stat().st_size > _LARGEST:
                raise DataError(f"{path} has {path.stat().st_size:,} bytes, which no manifest has; {FIX}")
            content = parse_toml(read_regular(path))
            number = _whole(content["format"])
            if number > FORMAT:
                raise DataError(
                    f"{path} was written by a newer Epochal (format {number}; this one reads up to {FORMAT}); update "
                    "Epochal: pip install --upgrade epochal"
                )
            return cls._from_dict(content, folder)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); {FIX}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is damaged ({brief(error)}); {FIX}") from error

    @classmethod
    def _from_dict(cls, content: Mapping[str, Any], folder: Path) -> Manifest:
        schema_bytes = read_regular(folder / SCHEMA)
        if hashlib.sha256(schema_bytes).hexdigest() != content["preprocessing"]["sha256"]:
            raise DataError(f"{folder / SCHEMA} is not the one that {MANIFEST} names: its SHA-256 differs; {FIX}")
        schema = Schema.from_json(schema_bytes)

        # the type of a row follows from the samples' types: nothing else is ever given to NumPy
        layout = layout_of(schema, "weight" in content["record"]["names"])
        said = content.get("ragged", [])
        record = Record.of(layout, _read_ragged(said, layout))
        if dict(content["record"]) != record.to_plain() or list(said) != record.ragged_to_plain():
            raise DataError(f"{folder / MANIFEST}: its rows are not those of {SCHEMA}: types or shapes differ; {FIX}")

        splits = {
            name: _read_split(name, content["splits"][name], record) for name in SPLITS if name in content["splits"]
        }
        if not {"train", "test"} <= set(splits):
            raise ValueError("it has no training or no test samples")
        notes = tuple(map(str, content["notes"]))
        return cls(str(content["name"]), str(content["what"]), schema, record, splits, notes)


def layout_of(schema: Schema, has_weight: bool) -> Split:
    """Return a split of no samples with a schema's types and shapes."""
    x = map_arrays(lambda kind, shape: np.empty((0, *shape), kind), schema.sample_type, schema.sample_shape)
    y = np.empty((0, *schema.target_shape), schema.target_type)
    return Split(x, y, np.empty(0, np.float32) if has_weight else None)


def _read_ragged(said: Any, layout: Split) -> Ragged:
    """Return a manifest's ragged parts. Raises `ValueError` for those that samples do not have."""
    parts = tuple(RaggedPart(one["part"], one["lengths"]) for one in said)
    for part in parts:
        is_part = isinstance(layout.x, dict) and {part.name, part.lengths} <= layout.x.keys()
        if not is_part or layout.x[part.name].ndim < 2 or layout.x[part.lengths].shape != (0,):
            raise ValueError(f"{part.name!r:.40} is no ragged part of its samples")
    if list(parts) != sorted(set(parts)) or len({part.name for part in parts}) < len(parts):
        raise ValueError("a ragged part is named twice")
    return parts


def shard_name(split: SplitName, number: int) -> str:
    """Return the name of a split's file of this number.

    >>> shard_name("train", 3)
    'train-00003.rows'
    """
    return f"{split}-{number:05}.rows"


def _split_to_dict(split: PackedSplit) -> dict[str, Any]:
    return {
        "samples": split.samples,
        "shard_rows": split.shard_rows,
        "shuffle_seed": stored_order(1).seed,
        "shards": [shard.to_plain() for shard in split.shards],
    }


def _read_split(name: SplitName, content: Mapping[str, Any], record: Record) -> PackedSplit:
    """Read a split's files. Raises `ValueError` where their numbers do not fit, or a name leads elsewhere."""
    samples, shard_rows = _whole(content["samples"]), _whole(content["shard_rows"])
    if content["shuffle_seed"] != stored_order(1).seed:
        raise ValueError("its shuffle has another seed")
    shards = tuple(map(Shard.of_plain, content["shards"]))

    rows = sum(shard.rows for shard in shards)
    if not 1 <= samples <= _MOST_ROWS or shard_rows < 1 or rows != samples:
        raise ValueError(f"{name}: its files have {rows:,} rows, and there are {samples:,} samples")

    for number, shard in enumerate(shards):
        expected = min(shard_rows, samples - number * shard_rows)
        if shard.file != shard_name(name, number):
            raise ValueError(f"file {number} of {name} is called {shard.file!r:.60}")
        if shard.rows != expected or shard.bytes != expected * record.bytes:
            raise ValueError(f"{shard.file}: {shard.rows:,} rows and {shard.bytes:,} bytes do not fit")
        if (shard.values is None) == bool(record.ragged):
            raise ValueError(f"{shard.file}: a file of values is missing, or there are none")
    return PackedSplit(samples, shard_rows, shards)


def _whole(said: Any) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or said < 0:
        raise ValueError(f"{said!r:.40} is no count")
    return said
