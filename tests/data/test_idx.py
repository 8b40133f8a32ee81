from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from idx_writer import CODES, idx_bytes, write_idx

from epochal.data.idx import read_idx
from epochal.errors import DataError

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


@given(
    array=st.sampled_from(sorted(CODES)).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
    ),
    ending=st.sampled_from(["", ".gz"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_what_was_written_is_read(tmp_path: Path, array: np.ndarray, ending: str) -> None:
    read = read_idx(write_idx(tmp_path / f"array{ending}", array))
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


def test_gzip_is_told_by_its_first_bytes_not_by_the_name(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES)))
    np.testing.assert_array_equal(read_idx(path), IMAGES)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_every_truncation_is_refused(tmp_path: Path, ending: str) -> None:
    path = write_idx(tmp_path / f"images{ending}", IMAGES)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError) as refusal:
            read_idx(path)
        assert str(path) in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_truncation_says_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(IMAGES)[:30])
    with pytest.raises(DataError, match=r"truncated: its header promises 60 bytes \(3×4×5\), the file has 30"):
        read_idx(path, dimensions=3)
    path.write_bytes(gzip.compress(idx_bytes(IMAGES)[:-1]))
    with pytest.raises(DataError, match=r"truncated: 59 bytes of content, expected 60 \(3×4×5\); get it again"):
        read_idx(path, dimensions=3)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_bytes_after_the_content_are_refused(tmp_path: Path, pack: object) -> None:
    path = tmp_path / "images"
    path.write_bytes(pack(idx_bytes(IMAGES) + b"\0"))  # type: ignore[operator]
    with pytest.raises(DataError, match=r"oversized: bytes follow the 60 that its header announces"):
        read_idx(path)


@pytest.mark.parametrize(
    "head", [b"\0\0\x0a\x03", b"\0\0\x08\0", b"\x89PNG", b"<htm", b"\x08\x03\0\0", b"\0\0\x08", b""]
)
def test_a_wrong_magic_is_refused(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "images"
    path.write_bytes(head + idx_bytes(IMAGES)[4:] if len(head) == 4 else head)
    with pytest.raises(DataError, match=r"begins with the bytes .*00 00 08 03 for images"):
        read_idx(path)


def test_labels_in_place_of_images_are_refused(tmp_path: Path) -> None:
    path = write_idx(tmp_path / "labels.gz", np.zeros(7, np.uint8))
    with pytest.raises(DataError, match=r"1 dimension\(s\), expected 3; are image and label files exchanged\?"):
        read_idx(path, dimensions=3)


def test_damaged_gzip_never_gives_other_content(tmp_path: Path) -> None:
    path = write_idx(tmp_path / "images.gz", IMAGES)
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x20
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(read_idx(path), IMAGES)  # a bit of the header's date, or of padding
        except DataError:
            refused += 1
    assert refused > len(whole) - 12


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_lying_header_claims_no_memory(tmp_path: Path, ending: str) -> None:
    lie = struct.pack(">BBBB3I", 0, 0, 0x08, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(100)
    path = tmp_path / f"images{ending}"
    path.write_bytes(gzip.compress(lie) if ending else lie)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="no array has the sizes of its header"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*No such file"):
        read_idx(tmp_path / "nothing")
