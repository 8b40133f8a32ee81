"""Pictures of folders and of tar archives: decoded in blocks, and the same bytes as read into memory."""

from __future__ import annotations

import io
import re
import tarfile
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from same_data import assert_same, packed

from epochal.data import load_data, pack
from epochal.data.packing import picture_rows
from epochal.data.packing.tar_shards import expand, find_archives
from epochal.errors import DataError

Image = pytest.importorskip("PIL.Image", reason="reading pictures needs Pillow")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_rows, "_BLOCK", 1)


def make_folder(folder: Path, count: int = 36, *, grey: bool = False) -> Path:
    rng = np.random.default_rng(count)
    for number in range(count):
        place = folder / ("cat", "dog", "owl")[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20 + number % 3, 24, 1 if grey else 3), dtype=np.uint8)
        Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy()).save(place / f"{number:03d}.png")
    return folder


def make_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return path


def samples_of(folder: Path) -> list[list[tuple[str, bytes]]]:
    """The pictures of a folder as webdataset's samples, in the folder's order."""
    return [
        [(f"{number:05d}.png", path.read_bytes()), (f"{number:05d}.cls", path.parent.name.encode())]
        for number, path in enumerate(sorted(folder.rglob("*.png")))
    ]


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "options", [{}, {"image_size": (16,), "test": 0.3, "grey": True}, {"validation": 0.2}], ids=str
)
def test_a_folder_comes_out_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    folder = make_folder(tmp_path / "photos")
    data = packed(folder, tmp_path / "pack", **options)
    assert_same(load_data(folder, **options), data)
    assert data.notes == load_data(folder, **options).notes


def test_grey_splits_and_broken_pictures(tmp_path: Path) -> None:
    make_folder(tmp_path / "grey" / "train", grey=True)
    make_folder(tmp_path / "grey" / "test", 12, grey=True)
    (tmp_path / "grey" / "train" / "cat" / "000.png").write_bytes(b"broken")
    data = packed(tmp_path / "grey", tmp_path / "pack")
    assert_same(load_data(tmp_path / "grey"), data)
    assert data.sample_shape == (64, 64)
    assert any("could not be read" in note for note in data.notes)


def test_archives_hold_what_the_folder_does(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    samples = samples_of(folder)
    make_tar(tmp_path / "a-00.tar", list(chain(*samples[:20])))
    make_tar(tmp_path / "a-01.tar", list(chain(*samples[20:])))
    assert_same(load_data(folder), packed(f"{tmp_path}/a-{{00..01}}.tar", tmp_path / "pack"))


def test_archives_of_splits_and_of_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 5)), rng.integers(0, 3, 30)
    members = [[(f"{i}.npy", npy(x[i])), (f"{i}.cls", str(y[i]).encode())] for i in range(30)]
    (tmp_path / "sets").mkdir()
    make_tar(tmp_path / "sets" / "train-0.tar", list(chain(*members[:20])))
    make_tar(tmp_path / "sets" / "test-0.tar", list(chain(*members[20:])))
    given = load_data((x[:20], y[:20], x[20:], y[20:]))
    assert_same(given, packed(tmp_path / "sets", tmp_path / "pack"))


def test_nothing_is_unpacked_to_the_disk(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", 12)
    png = (folder / "cat" / "000.png").read_bytes()
    path = make_tar(
        tmp_path / "a.tar", [("../../out.png", png), ("../../out.cls", b"cat"), *chain(*samples_of(folder))]
    )
    pack(path, tmp_path / "pack")
    assert {one.name for one in tmp_path.iterdir()} - {"cache"} == {"a.tar", "pack", "photos"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:2500], "damaged or truncated"),
        (lambda content: b"x" * 3000, "damaged or truncated, or no tar archive"),
        (lambda content: b"", "damaged or truncated, or no tar archive"),
    ],
)
def test_a_damaged_archive_is_named(tmp_path: Path, change: Any, message: str) -> None:
    path = make_tar(tmp_path / "a.tar", list(chain(*samples_of(make_folder(tmp_path / "photos", 12)))))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=rf"a\.tar: {message}"):
        pack(path, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def test_a_sample_without_class_or_picture_is_named(tmp_path: Path) -> None:
    first = make_tar(tmp_path / "a.tar", [("1.png", b""), ("2.cls", b"0")])
    with pytest.raises(DataError, match=r"the sample '1' has no class: 1\.png"):
        pack(first, tmp_path / "pack")
    second = make_tar(tmp_path / "b.tar", [("1.json", b"{}"), ("1.cls", b"0")])
    with pytest.raises(DataError, match="the sample '1' has no picture or array"):
        pack(second, tmp_path / "pack")


def test_patterns() -> None:
    assert expand("a-{08..10}-{x,y}.tar") == [f"a-{n}-{letter}.tar" for n in ("08", "09", "10") for letter in "xy"]
    with pytest.raises(DataError, match=re.escape("a-0.tar: no such file, which a-{0..1}.tar names")):
        find_archives("a-{0..1}.tar")
