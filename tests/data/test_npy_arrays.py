"""NumPy's files from anybody: the array that is in them, or one line, and never more memory than they hold."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from epochal.cli import main
from epochal.data import load_data
from epochal.data.idx import read_idx
from epochal.data.npy_arrays import NoArrayError, read_members, read_npy, refuse_bomb
from epochal.data.own_files import read_npz
from epochal.errors import DataError

TYPES = ["?", "u1", ">i2", "<i8", "f2", ">f4", "f8", "c8", "U3", "S2", "M8[s]"]
ARRAYS = st.sampled_from(TYPES).flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, min_side=0)))


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def read(content: bytes) -> np.ndarray:
    return read_npy(io.BytesIO(content), len(content))


def written(header: str, body: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def said(shape: str, kind: str = "'<f8'", order: str = "False") -> str:
    return f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}}}"


@given(ARRAYS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_was_saved_is_read(array: np.ndarray, by_columns: bool) -> None:
    array = np.asfortranarray(array) if by_columns else array
    found = read(saved(array))
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


HEADERS = {
    "half": "(((((((",
    "a quote": "'''x",
    "no dictionary": "[1]",
    "another key": "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1}",
    "too many": said(f"({2**64},)"),
    "terabytes": said(f"({2**40},)"),
    "none": said("(None,)"),
    "negative": said("(-1,)"),
    "a truth": said("(True,)"),
    "empty but huge": said(f"(0, {2**32}, {2**32})"),
    "dimensions": said(repr((1,) * 200)),
    "objects": said("(1,)", "'|O'"),
    "records": said("(1,)", "[('a', '<f8')]"),
    "parts": said("(1,)", "'i4,i4'"),
    "nothing each": said(f"({2**30},)", "'<U0'"),
    "an old name": said("(1,)", "'a5'"),
    "no type": said("(1,)", "'<q\\x00'"),
    "no order": said("(1,)", order="2"),
    "deep": "(" * 5000,
    "long": " " * 20_000,
    "code": said("(1,)", "__import__('os').system('x')"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_are_none(name: str) -> None:
    content = written(HEADERS[name], bytes(8))
    with pytest.raises(NoArrayError) as refusal:
        read(content)
    assert "\n" not in str(refusal.value)


def test_every_truncation_and_many_damages_are_one_line() -> None:
    whole = saved(np.arange(12.0).reshape(3, 4))
    for length in range(len(whole)):
        with pytest.raises(NoArrayError):
            read(whole[:length])
    dice = random.Random(15)
    for _ in range(2000):
        place = dice.randrange(90)
        damaged = whole[:place] + bytes([dice.randrange(256)]) + whole[place + 1 :]
        try:
            assert read(damaged).size <= 12 * 8
        except NoArrayError as refusal:
            assert "\n" not in str(refusal)  # noqa: PT017 - most are refused, some read another array


def test_texts_beyond_unicode() -> None:
    with pytest.raises(NoArrayError, match="no letters"):
        read(written(said("(2,)", "'<U1'"), b"\xff" * 8))
    assert read(written(said("(2,)", "'>U1'"), "ab".encode("utf-32-be"))).tolist() == ["a", "b"]


@pytest.mark.parametrize("content", [written(said(f"({2**33},)")), written(said("(100000000,)", "'|u1'"), bytes(1000))])
def test_a_promise_takes_no_memory(content: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(NoArrayError, match="promises"):
            read(content)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


# archives


def archive(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return file.getvalue()


X = saved(np.arange(40.0).reshape(20, 2))


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_is_read(packing: int) -> None:
    found = read_members(io.BytesIO(archive({"x.npy": X, "y.npy": saved(np.arange(20))}, packing)))
    assert {name: array.shape for name, array in found.items()} == {"x": (20, 2), "y": (20,)}


def encrypted() -> bytes:
    content = bytearray(archive({"x.npy": X}))
    content[6] |= 1
    content[content.find(b"PK\1\2") + 8] |= 1
    return bytes(content)


ARCHIVES = {
    "lzma": archive({"x.npy": X}, zipfile.ZIP_LZMA),
    "encrypted": encrypted(),
    "another file": archive({"x.npy": X, "x.txt": b"text"}),
    "more": archive({"x.npy": X + b"more"}),
    "half": archive({"x.npy": X})[:-30],
    "terabytes": archive({"x.npy": written(said(f"({2**40},)"))}),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_that_are_none(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(ARCHIVES[name])
    with pytest.raises(DataError, match=r"numpy\.savez") as refusal:
        read_npz(path)
    assert "\n" not in str(refusal.value)


def test_two_members_of_one_name() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("x.npy", X)
        with pytest.warns(UserWarning, match="Duplicate"):
            zipped.writestr("x.npy", X)
    with pytest.raises(NoArrayError, match="two arrays"):
        read_members(file)


def test_damaged_archives_are_one_line() -> None:
    whole, dice = archive({"x.npy": X, "y.npy": X}), random.Random(15)
    for _ in range(2000):
        place = dice.randrange(len(whole))
        damaged = whole[:place] + bytes([dice.randrange(256)]) + whole[place + 1 :]
        try:
            read_members(io.BytesIO(damaged))
        except NoArrayError as refusal:
            assert "\n" not in str(refusal)  # noqa: PT017 - as above


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gigabyte of zeros in a megabyte, here a thousandth of both."""
    monkeypatch.setattr("epochal.data.npy_arrays.SMALL", 1 << 18)
    path = tmp_path / "bomb.npz"
    path.write_bytes(archive({"x.npy": saved(np.zeros((1000, 125))), "y.npy": saved(np.zeros(1000))}))
    assert path.stat().st_size < 5_000
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="times as many; unpack them first"):
            read_npz(path)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_what_is_small_or_packed_as_numbers_are_is_no_bomb() -> None:
    refuse_bomb(32 << 20, 1)
    refuse_bomb(100 << 30, 1 << 30)
    for unpacked, packed in ((101 << 30, 1 << 30), ((32 << 20) + 1, 1)):
        with pytest.raises(NoArrayError, match="unpack to"):
            refuse_bomb(unpacked, packed)


def test_an_idx_file_that_is_empty_but_huge(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 0, 2**32 - 1, 2**32 - 1))
    with pytest.raises(DataError, match="no array has the sizes of its header"):
        read_idx(path)
    path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 0, 28, 28))
    assert read_idx(path).shape == (0, 28, 28)


def test_an_endless_value_of_a_table_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,y\n" + "\n".join(f"{i},{'x' * 140_000 if i == 3 else i % 4},{i % 3}" for i in range(30)))
    with pytest.raises(DataError, match=r"line 5, column 'b': 'x{40}' is no number"):
        load_data(path)
    path.write_text(f"a,{'x' * 140_000},y\n1,2,3\n")
    assert main(["data", str(path)]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err
