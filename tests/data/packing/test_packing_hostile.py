"""What is packed is read as carefully as what is loaded: bombs, pipes and damaged steps end in one line, soon."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest

import epochal
from epochal.data.packed.journal import JOURNAL, Journal
from epochal.data.packing.tar_shards import read_samples
from epochal.errors import DataError

pytestmark = pytest.mark.usefixtures("unchecked")
PLAN = {"what": "small", "rows": 10}


def archive_of(size: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for ending, content in (("npy", bytes(size)), ("cls", b"1")):
            about = tarfile.TarInfo(f"0.{ending}")
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return gzip.compress(file.getvalue(), 9)


def picture_of(side: int) -> bytes:
    """Return a PNG that says it has so many rows and columns, and holds one row."""
    head = side.to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(side + 1))), (b"IEND", b"")]
    parts = [
        len(inner).to_bytes(4, "big") + name + inner + zlib.crc32(name + inner).to_bytes(4, "big")
        for name, inner in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_an_archive_that_unpacks_to_far_more_than_it_explains_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(archive_of(80 << 20))
    with pytest.raises(DataError, match="unpacks to far more than its size explains"):
        list(read_samples([path]))
    path.write_bytes(archive_of(1 << 16))  # the control
    assert len(list(read_samples([path]))) == 1


def test_a_parquet_file_of_one_value_said_a_billion_times_is_not_packed(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"x": np.zeros(10 << 20, np.int8), "y": np.zeros(10 << 20, np.int8)})
    frame.write_parquet(tmp_path / "bomb.parquet", compression="zstd")
    with pytest.raises(DataError, match="bytes say that they are"):
        epochal.pack(str(tmp_path / "bomb.parquet"), tmp_path / "packed")


@pytest.mark.parametrize("name", ["a.parquet", "a.tar", "a.csv", "a.npz", "a.array_record"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError):
        epochal.pack(str(tmp_path / name), tmp_path / "packed")


def test_a_picture_of_gigabytes_is_not_packed(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    from PIL import Image

    for number, name in enumerate(("a", "b")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for one in range(4):
            Image.fromarray(np.full((5, 4), 9 * number, np.uint8)).save(tmp_path / "pictures" / name / f"{one}.png")
    (tmp_path / "pictures" / "a" / "bomb.png").write_bytes(picture_of(60_000))
    folder = epochal.pack(str(tmp_path / "pictures"), tmp_path / "packed", image_size=(5, 4))
    assert any("could not be read" in note for note in epochal.load_data(folder).notes)


@pytest.mark.parametrize(
    "content",
    [
        b"nothing\n",
        b"[1]\n",
        b'{"format": 2, "what": "small", "rows": 10}\n[]\n',
        b'{"format": 2, "what": "small", "rows": 10}\n{"split": "../x", "source": {}}\n',
        b'{"format": 2, "what": "small", "rows": 10}\n{"split": "train", "shard": {"file": "../../x"}}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_damaged_steps_of_a_packing_are_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(content)
    with pytest.raises(DataError, match=r"packing\.jsonl is damaged|differs in"):
        Journal(tmp_path, PLAN)


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_steps_that_are_no_file_of_the_folder_are_refused(kind: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "pack").mkdir()
    path = tmp_path / "pack" / JOURNAL
    _ = os.mkfifo(path) if kind == "pipe" else path.symlink_to(victim)
    with pytest.raises(DataError, match="cannot read"):
        Journal(tmp_path / "pack", PLAN)
    assert victim.read_text() == "precious"
