"""Gzip in large pieces: the content that Python's own reader finds, or the same kinds of refusal."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epochal.data.gzip_stream import open_gzip

LONG = bytes(range(256)) * 20_000  # 5 MB, packed into 30 kB


def unpacked(content: bytes, at_once: int = -1) -> bytes:
    """What is read, all of it or in requests of this size."""
    with open_gzip(io.BytesIO(content)) as stream:
        return stream.read() if at_once < 0 else b"".join(iter(lambda: stream.read(at_once), b""))


@given(st.lists(st.binary(max_size=3_000), min_size=1, max_size=4), st.integers(0, 3), st.sampled_from([-1, 1, 4096]))
def test_members_one_after_another_and_zeros_between_are_one_content(
    parts: list[bytes], zeros: int, at_once: int
) -> None:
    packed = b"".join(gzip.compress(part) + bytes(zeros) for part in parts)
    assert unpacked(packed, at_once) == b"".join(parts) == gzip.decompress(packed)


@pytest.mark.parametrize("at_once", [-1, 1_000_003, 8 << 20])
def test_more_than_a_piece(at_once: int) -> None:
    noise = bytes((i * i * 2_654_435_761 >> 13) & 255 for i in range(1_200_000))  # packed it is more than one piece
    packed = gzip.compress(LONG) + bytes(2 << 20) + gzip.compress(noise)
    assert len(gzip.compress(noise)) > 1 << 20
    assert unpacked(packed, at_once) == LONG + noise


def test_every_end_that_comes_too_early_is_seen() -> None:
    packed = gzip.compress(LONG[:5_000])
    assert unpacked(packed) == LONG[:5_000]
    for end in range(1, len(packed)):
        with pytest.raises(EOFError):
            unpacked(packed[:end])


@pytest.mark.parametrize("place", [0, 2, -8, -5, -4, -1])  # of its header, its checksum and its length
def test_a_changed_byte_is_seen(place: int) -> None:
    packed = bytearray(gzip.compress(LONG[:5_000]))
    packed[place] ^= 255
    with pytest.raises(zlib.error):
        unpacked(bytes(packed))


def test_what_follows_and_is_no_member_is_seen() -> None:
    with pytest.raises(zlib.error):
        unpacked(gzip.compress(b"some") + b"more")


def test_no_more_is_unpacked_than_is_asked_for() -> None:
    """A file of 64 kB that would be 64 MB: the first bytes take a few of them."""
    tracemalloc.start()
    with open_gzip(io.BytesIO(gzip.compress(bytes(1 << 26)))) as stream:
        assert stream.read(10) == bytes(10)
        tracemalloc.reset_peak()
        assert stream.read(1 << 20) == bytes(1 << 20)
        _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 << 20
