"""Damaged packs: each fault is found and named, in a training and by a verification; a sound pack raises nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pack_makers import ROWS, change, flip_bit, small_data, small_pack

from epochal.data.packed.opening import load_pack
from epochal.data.packed.record import Record
from epochal.data.packed.verification import verify_pack
from epochal.data.row_source import RowBuffer, StoredSplit
from epochal.errors import DataError

SIZE = 40
SHARD = "train-00001.rows"


def read_all(folder: Path) -> None:
    """Read each training row once, as an epoch does, and wait for what is checked beside."""
    train = load_pack(folder).train
    assert isinstance(train, StoredSplit)
    source = train.source
    ids = np.random.default_rng(0).permutation(ROWS)
    source.read(ids, RowBuffer.of(source.layout, ROWS))
    source.check.wait()  # type: ignore[attr-defined]


def flip(path: Path) -> None:
    """One bit of a picture."""
    flip_bit(path, 7 * SIZE + 30)


def swap_rows(path: Path) -> None:
    content = path.read_bytes()
    change(path, 3 * SIZE, content[9 * SIZE : 10 * SIZE])
    change(path, 9 * SIZE, content[3 * SIZE : 4 * SIZE])


def swap_ids(path: Path) -> None:
    content = path.read_bytes()
    change(path, 3 * SIZE, content[9 * SIZE : 9 * SIZE + 8])
    change(path, 9 * SIZE, content[3 * SIZE : 3 * SIZE + 8])


def swap_pictures(path: Path) -> None:
    content = path.read_bytes()
    change(path, 3 * SIZE + 20, content[9 * SIZE + 20 : 10 * SIZE])
    change(path, 9 * SIZE + 20, content[3 * SIZE + 20 : 4 * SIZE])


def zero(path: Path) -> None:
    change(path, 11 * SIZE, bytes(SIZE))


def other_file(path: Path) -> None:
    """The next file of the same pack."""
    shutil.copy(path.with_name("train-00002.rows"), path)


def other_pack(path: Path) -> None:
    """The file of that name of a pack of other data of the same kind: sound rows, and the same ids."""
    small_pack(path.parent.parent / "other", small_data(1))
    shutil.copy(path.parent.parent / "other" / path.name, path)


def sound_row(path: Path) -> None:
    """One row in the middle with other content and a checksum that fits: only the file's SHA-256 can tell."""
    record = Record.of(small_data().train.layout)
    words = np.frombuffer(path.read_bytes(), np.uint64).reshape(-1, record.words).copy()
    words[5, 4] ^= np.uint64(1)
    words[5, 1] = record.checksums(words[5:6])[0]
    path.write_bytes(words.tobytes())


FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (flip, r"row 7 \(sample [0-9]+\) does not fit its checksum: its bytes have changed; copy the pack again"),
    (swap_rows, r"row [39] \(sample ([0-9]+)\) is sample [0-9]+ where sample \2 belongs: rows were exchanged"),
    (swap_ids, r"row [39] \(sample [0-9]+\) does not fit its checksum"),
    (swap_pictures, r"row [39] \(sample [0-9]+\) does not fit its checksum"),
    (zero, r"row 11 \(sample [0-9]+\) does not fit its checksum"),
    (other_file, "is of another pack"),
    (other_pack, "is of another pack: its rows are sound, but not this pack's"),
    (sound_row, "its SHA-256 differs|the sum of its checksums differs"),
]


@pytest.mark.parametrize("check", [read_all, verify_pack])
@pytest.mark.parametrize(("damage", "why"), FAULTS, ids=[damage.__name__ for damage, _ in FAULTS])
def test_a_fault_is_found_and_named(
    tmp_path: Path, damage: Callable[[Path], None], why: str, check: Callable[[Path], object]
) -> None:
    D = small_pack(tmp_path / "D")
    damage(D / SHARD)
    with pytest.raises(DataError, match=f"{SHARD}.*({why})") as caught:
        check(D)
    assert "\n" not in str(caught.value)


def test_a_sound_pack_raises_nothing(tmp_path: Path) -> None:
    D = small_pack(tmp_path / "D")
    read_all(D)
    seen: list[tuple[str, int, int]] = []
    found = verify_pack(D, lambda *about: seen.append(about))
    assert found == (ROWS + 20, (ROWS + 20) * SIZE, 6)
    assert seen[-1] == ("small (test)", found.bytes, found.bytes)


def test_rows_that_are_not_compared_hide_a_swap(tmp_path: Path) -> None:
    """The negative control: two rows that changed places are sound rows, and only their places tell."""
    D = small_pack(tmp_path / "D")
    record = Record.of(small_data().train.layout)
    swap_rows(D / SHARD)
    words = np.frombuffer((D / SHARD).read_bytes(), np.uint64).reshape(-1, record.words)
    np.testing.assert_array_equal(record.checksums(words), record.stored_checksums(words))
