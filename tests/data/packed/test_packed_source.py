"""Rows of a pack: found by number or place by several threads at once, each checked, with the bits that were packed."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pack_makers import ROWS, small_data, small_pack

from epochal import load_data
from epochal.block_order import stored_order
from epochal.data.packed import copying, row_files
from epochal.data.packed.content_check import ContentCheck
from epochal.data.packed.manifest import Manifest
from epochal.data.packed.opening import load_pack
from epochal.data.packed.source import PackedSource
from epochal.data.row_source import RowBuffer, RowSource, StoredSplit
from epochal.errors import DataError


def source_of(folder: Path) -> PackedSource:
    train = load_pack(folder).train
    assert isinstance(train, StoredSplit)
    assert isinstance(train.source, PackedSource)
    return train.source


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_pack(tmp_path_factory.mktemp("packs") / "D")


def test_a_pack_is_a_source_of_rows(folder: Path) -> None:
    source = source_of(folder)
    assert isinstance(source, RowSource)
    assert (source.samples, source.row_bytes) == (ROWS, 40)


@pytest.fixture(scope="module")
def opened(folder: Path) -> PackedSource:
    return source_of(folder)


@given(st.lists(st.integers(0, ROWS - 1), max_size=2 * ROWS))
def test_any_rows_come_in_their_order(opened: PackedSource, ids: list[int]) -> None:
    data, source = small_data(), opened
    wanted = np.array(ids, np.int64)
    into = RowBuffer.of(source.layout, len(ids))
    source.hint(wanted)
    source.read(wanted, into)
    np.testing.assert_array_equal(into.ids, wanted)
    np.testing.assert_array_equal(into.x, data.train.x[wanted])
    np.testing.assert_array_equal(into.y, data.train.y[wanted])


def test_rows_are_found_by_their_place(folder: Path) -> None:
    data, source = small_data(), source_of(folder)
    places = np.arange(40, 120)
    into = RowBuffer.of(source.layout, len(places))
    assert source.hint_places(places)  # they were just written, so memory has them
    source.read_places(places, stored_order(ROWS).indices_at(0, places), into)
    np.testing.assert_array_equal(into.ids, stored_order(ROWS).indices(0, 40, 120))
    np.testing.assert_array_equal(into.x, data.train.x[into.ids])


def test_threads_read_at_once(folder: Path) -> None:
    data, source = small_data(), source_of(folder)

    def read(seed: int) -> bool:
        ids = np.random.default_rng(seed).integers(0, ROWS, 3000)
        into = RowBuffer.of(source.layout, len(ids))
        source.read(ids, into)
        return bool((into.x == data.train.x[ids]).all() and (into.ids == ids).all())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(40)))


@pytest.mark.parametrize("way", ["kernel", "numpy", "file"])
def test_every_way_to_copy_gives_the_same_rows(
    tmp_path: Path, folder: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way != "kernel":
        monkeypatch.setattr(row_files, "has_kernel_copies", lambda: False)
    elif not copying.has_kernel_copies():
        pytest.skip("this system's kernel does not copy rows")
    if way == "file":  # a disk that cannot map files

        def refuse(*_: object, **__: object) -> None:
            raise OSError(19, "No such device")

        monkeypatch.setattr(row_files.mmap, "mmap", refuse)

    data, source = small_data(), source_of(folder)
    ids = np.random.default_rng(0).permutation(ROWS)
    into = RowBuffer.of(source.layout, ROWS)
    source.hint(ids)
    source.read(ids, into)
    np.testing.assert_array_equal(into.x, data.train.x[ids])

    # and each says what is no longer there, and does not end the process
    other = source_of(small_pack(tmp_path / "E"))
    os.truncate(tmp_path / "E" / "train-00001.rows", 0)
    with pytest.raises(DataError, match=r"train-00001.rows: row .* cannot be read: it was truncated from 2,000 to 0"):
        other.read(ids, into)


def test_targets_weights_names_and_preprocessing_come_back(tmp_path: Path) -> None:
    data = small_data(weights=True)
    packed = load_data(small_pack(tmp_path / "D", data))
    train = packed.train.take(np.arange(ROWS))
    assert data.train.weight is not None
    assert train.weight is not None
    np.testing.assert_array_equal(train.weight, data.train.weight)
    np.testing.assert_array_equal(packed.test.whole().x, data.test.whole().x)
    assert packed.test.layout.weight is None
    assert (packed.name, packed.class_names, packed.task) == ("small", ("a", "b", "c"), "classification")
    assert packed.preprocessing.scale == data.preprocessing.scale


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one, same, other = (
        load_data(small_pack(tmp_path / name, small_data(seed))).fingerprint
        for name, seed in (("A", 0), ("B", 0), ("C", 1))
    )
    assert one == same
    assert one != other


def test_what_was_found_sound_is_remembered(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    real = ContentCheck.check

    def check(self: ContentCheck, shard: int) -> None:
        checked.append(self._files.paths[shard].name)
        real(self, shard)

    def read_all() -> None:
        source = source_of(folder)
        source.read(np.arange(ROWS), RowBuffer.of(source.layout, ROWS))
        assert source.check is not None
        source.check.wait()

    monkeypatch.setattr(ContentCheck, "check", check)
    read_all()
    names = sorted(path.name for path in folder.glob("train-*.rows"))
    assert sorted(name for name in checked if name.startswith("train")) == names

    # a file that was touched is checked again, and no other
    checked.clear()
    os.utime(folder / names[1])
    read_all()
    assert [name for name in checked if name.startswith("train")] == names[1:2]


def test_nothing_is_said_when_an_interpreter_ends_with_an_open_pack(folder: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from epochal.data.packed.opening import load_pack\n"
        "data = load_pack(Path(sys.argv[1])); kept = data.train.take(np.arange(9))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def open_below(folder: Path) -> list[str]:
    """Return the files of a folder that this process holds open, whatever else it opens meanwhile."""
    paths = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing itself
            paths.append(os.readlink(f"/proc/self/fd/{name}"))
    return [path for path in paths if path.startswith(str(folder.resolve()))]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts what Linux lists")
def test_descriptors_are_closed_when_a_pack_is_no_longer_used(folder: Path, tmp_path: Path) -> None:
    own = shutil.copytree(folder, tmp_path / "own")  # that of all tests may be held by others
    manifest = Manifest.read(own)
    for _ in range(3):
        source = PackedSource.open(own, manifest, "train")
        source.files.read(np.arange(3), stored_order(ROWS).indices(0, 0, 3), RowBuffer.of(source.layout, 3))
        assert open_below(own)
    del source
    gc.collect()
    assert open_below(own) == []
