"""What lies in a pack's folder: rows that plain NumPy reads, and a manifest that is believed only where all fits."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pack_makers import ROWS, change, small_data, small_pack

from epochal.block_order import stored_order
from epochal.data.packed.manifest import Manifest
from epochal.data.packed.opening import load_pack
from epochal.data.packed.record import Record
from epochal.data.split import Split
from epochal.errors import DataError


def test_plain_numpy_reads_a_pack(tmp_path: Path) -> None:
    data, D = small_data(), small_pack(tmp_path / "D")
    record = tomllib.loads((D / "data.toml").read_text())["record"]
    rows = np.memmap(D / "train-00000.rows", np.dtype(record), "r")
    assert rows.dtype.names == ("id", "checksum", "y", "x")
    np.testing.assert_array_equal(rows["x"], data.train.x[rows["id"]])
    np.testing.assert_array_equal(rows["y"], data.train.y[rows["id"]])
    np.testing.assert_array_equal(rows["id"], stored_order(ROWS).indices(0, 0, len(rows)))


def test_rows_of_every_type_and_shape_come_back(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = {
        "tokens": random.integers(0, 9, (7, 3), np.int32),
        "mask": random.random((7, 3)) < 0.5,
        "more": (random.random((7, 2, 2), np.float32), random.integers(0, 255, 7, np.uint8)),
    }
    split = Split(x, random.random((7, 2), np.float32), random.random(7, np.float32))
    record = Record.of(split.layout)
    words = record.rows_of(np.arange(7), split)
    rows = words.view(record.dtype)[:, 0]
    assert record.bytes % 8 == 0
    assert all((record.dtype.fields or {})[name][1] % 4 == 0 for name in ("y", "weight", "x['tokens']", "x['more'][0]"))
    np.testing.assert_array_equal(rows["x['more'][1]"], x["more"][1])
    np.testing.assert_array_equal(rows["x['mask']"], x["mask"])
    np.testing.assert_array_equal(rows["weight"], split.weight)
    assert np.dtype(record.to_plain()) == record.dtype


_RECORD = Record.of(Split(np.empty((0, 4, 11), np.uint8), np.empty(0, np.int32)))


@given(st.integers(0, 2**32), st.sets(st.integers(0, _RECORD.bytes * 8 - 1), min_size=1, max_size=3))
def test_a_checksum_tells_flipped_bits(seed: int, bits: set[int]) -> None:
    """Also the uppermost bits of two words, which cancel out in a plain sum of products with odd numbers."""
    row = np.random.default_rng(seed).integers(0, 2**64, (1, _RECORD.words), np.uint64)
    row[:, 1] = _RECORD.checksums(row)
    flipped = row.copy()
    for bit in bits:
        flipped[0, bit // 64] ^= np.uint64(1 << bit % 64)
    assert _RECORD.checksums(flipped)[0] != flipped[0, 1]


def test_two_uppermost_bits_cancel_out_without_the_shift() -> None:
    row = np.random.default_rng(0).integers(0, 2**64, (1, _RECORD.words), np.uint64)
    other = row.copy()
    other[0, 2:4] ^= np.uint64(1 << 63)
    assert ((row @ _RECORD.multipliers) == (other @ _RECORD.multipliers)).all()  # what a plain sum would say
    assert _RECORD.checksums(row)[0] != _RECORD.checksums(other)[0]


def test_a_row_of_zeros_is_no_sound_row() -> None:
    assert _RECORD.checksums(np.zeros((1, _RECORD.words), np.uint64))[0] != 0


def test_the_checksum_is_the_documented_one() -> None:
    def splitmix64(x: int) -> int:
        x = (x + 1) * 0x9E3779B97F4A7C15 % 2**64
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    row = np.random.default_rng(0).integers(0, 2**64, (1, _RECORD.words), np.uint64)
    words = row[0].tolist()
    terms = [(splitmix64(j) | 1) * (w ^ w >> 32) for j, w in enumerate(words) if j != 1]
    assert _RECORD.checksums(row)[0] == (sum(terms) + (splitmix64(1) | 1)) % 2**64


def test_a_manifest_comes_back(tmp_path: Path) -> None:
    small_pack(tmp_path / "D", small_data(weights=True))
    manifest = Manifest.read(tmp_path / "D")
    assert manifest.files() == tuple(
        (tmp_path / "D" / name).read_bytes() for name in ("preprocessing.json", "data.toml")
    )
    assert manifest.splits["train"].samples == ROWS
    assert len(manifest.splits["train"].shards) > 3


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("format = 1", "format = 3", "was written by a newer Epochal .format 3; this one reads up to 2.; update"),
        ("format = 1", "format = true", "is damaged"),
        ('file = "train-00000.rows"', 'file = "../train-00000.rows"', "is called '../train-00000.rows'"),
        ('file = "train-00001.rows"', 'file = "/etc/passwd"', "is called '/etc/passwd'"),
        ("itemsize = 40", "itemsize = 48", "its rows are not those of preprocessing.json"),
        ('"<u8",', '"O",', "its rows are not those of preprocessing.json"),
        ("samples = 230", "samples = 231", "its files have 230 rows, and there are 231 samples"),
        ("samples = 230", "samples = 99999999999999999999999", "is damaged"),
        ("\nrows = 50", "\nrows = 49", "its files have 229 rows"),
        ("bytes = 2000", "bytes = 2001", "50 rows and 2,001 bytes do not fit"),
        ('sha256 = "', 'sha256 = "x', "differs|is damaged"),
        ("shuffle_seed = ", "shuffle_seed = 1", "its shuffle has another seed"),
        ("splits.test", "splits.tests", "it has no training or no test samples"),
        ("[record]", "[[[record]", "is damaged"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, before: str, after: str, why: str) -> None:
    path = small_pack(tmp_path / "D") / "data.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, -1 if before == "splits.test" else 1))
    with pytest.raises(DataError, match=why) as caught:
        load_pack(tmp_path / "D")
    assert "\n" not in str(caught.value)


def test_preprocessing_of_another_pack_is_refused(tmp_path: Path) -> None:
    path = small_pack(tmp_path / "D") / "preprocessing.json"
    path.write_text(path.read_text().replace('"a"', '"z"'))
    with pytest.raises(DataError, match=r"is not the one that data.toml names"):
        load_pack(tmp_path / "D")


def test_missing_and_odd_files_are_named(tmp_path: Path) -> None:
    D = small_pack(tmp_path / "D")
    shard = D / "train-00002.rows"
    shard.rename(tmp_path / "away")
    with pytest.raises(
        DataError, match=r"train-00002.rows: cannot be opened .No such file or directory.; copy the pack again"
    ):
        load_pack(D)
    shard.symlink_to(tmp_path / "away")
    with pytest.raises(DataError, match=r"train-00002.rows: cannot be opened .a symbolic link."):
        load_pack(D)
    shard.unlink()
    shard.mkdir()
    with pytest.raises(DataError, match=r"train-00002.rows is no file"):
        load_pack(D)
    shard.rmdir()
    shutil.copy(tmp_path / "away", shard)
    change(shard, shard.stat().st_size, b"more")
    with pytest.raises(DataError, match="has 2,004 bytes, and 50 rows of 40 are 2,000: it is truncated or of another"):
        load_pack(D)
    (D / "data.toml").unlink()
    with pytest.raises(DataError, match=r"data.toml: cannot be read"):
        load_pack(D)
