"""Packs are written in one shuffle, from any kind of source, and an interrupted packing goes on with the same bytes."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pack_makers import ROWS, SHARD_ROWS, content_of, small_data, small_pack

from epochal import load_data
from epochal.data.data_schema import Schema
from epochal.data.packed import disk_room
from epochal.data.packed.journal import Journal
from epochal.data.packed.opening import is_pack, load_pack
from epochal.data.packed.pack_writer import PackWriter, write_pack
from epochal.data.packed.verification import verify_pack
from epochal.data.row_source import ArraySource
from epochal.errors import DataError

DATA = small_data()
TRAIN, TEST = DATA.train.whole(), DATA.test.whole()


class StoppedError(Exception):
    """What ends a packing in the middle."""


def writer(folder: Path, **options: Any) -> PackWriter:
    return PackWriter(folder, TRAIN.layout, name="small", what="small", shard_bytes=SHARD_ROWS * 40, **options)


def test_packing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    assert content_of(small_pack(tmp_path / "A")) == content_of(small_pack(tmp_path / "B"))
    assert not {name for name in content_of(tmp_path / "A") if not name.endswith((".rows", ".toml", ".json"))}


def test_a_pack_of_a_pack_has_the_same_rows(tmp_path: Path) -> None:
    write_pack(tmp_path / "B", load_data(small_pack(tmp_path / "A")), what="small", shard_bytes=SHARD_ROWS * 40)
    assert content_of(tmp_path / "A") == content_of(tmp_path / "B")


@pytest.mark.parametrize("after", range(8))
def test_an_interrupted_packing_goes_on_with_the_same_bytes(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before or after each step is noted, and with a line of the journal that was cut short."""
    steps = 0
    real = Journal._append

    def interrupted(self: Journal, step: Any) -> None:
        nonlocal steps
        steps += 1
        if steps > after:
            raise StoppedError
        real(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_append", interrupted)
        with pytest.raises(StoppedError):
            small_pack(tmp_path / "P")
    with (tmp_path / "P" / "packing.jsonl").open("ab") as file:
        file.write(b'{"split": "tr')
    with pytest.raises(DataError, match="is an interrupted packing; give its epochal data pack command again"):
        load_pack(tmp_path / "P")
    assert content_of(small_pack(tmp_path / "P")) == content_of(small_pack(tmp_path / "A"))


_PACKING = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])
from pack_makers import *
import time, epochal.data.packed.pack_writer as w
real = w.PackWriter._rows_at
w.PackWriter._rows_at = lambda *a: (time.sleep(0.1), real(*a))[1]
print("begins", flush=True); small_pack(Path(sys.argv[1]))
"""


def test_a_killed_packing_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    P = tmp_path / "P"
    for seconds in (0.05, 0.25):
        command = [sys.executable, "-c", _PACKING, str(P), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
    assert is_pack(P)
    assert not (P / "data.toml").exists()
    assert content_of(small_pack(P)) == content_of(small_pack(tmp_path / "A"))


def test_an_interrupted_packing_of_something_else_is_refused(tmp_path: Path) -> None:
    with writer(tmp_path / "P") as pack:
        pack.write("train", ArraySource(TRAIN, "one"))
    with pytest.raises(DataError, match="holds an interrupted packing of small, and this one differs in what, rows"):
        write_pack(tmp_path / "P", DATA, what="other", shard_bytes=1000)
    with writer(tmp_path / "P") as pack, pytest.raises(DataError, match="the train samples have changed since"):
        pack.write("train", ArraySource(TRAIN, "other"))


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    small_pack(tmp_path / "A")
    with pytest.raises(DataError, match="holds a pack already; give another folder"):
        small_pack(tmp_path / "A")
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="holds other files; a pack needs a folder of its own"):
        small_pack(tmp_path / "B")
    with pytest.raises(DataError, match=r"thesis.txt is no folder"):
        small_pack(tmp_path / "B" / "thesis.txt")
    assert [path.name for path in (tmp_path / "B").iterdir()] == ["thesis.txt"]


def test_two_processes_do_not_pack_into_one_folder(tmp_path: Path) -> None:
    with writer(tmp_path / "P"), pytest.raises(DataError, match="is in use by process"), writer(tmp_path / "P"):
        pass


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=4000)
    monkeypatch.setattr(disk_room.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"the pack needs 0.0 MB more, and its disk has 0.0 MB free; free some"):
        small_pack(tmp_path / "P")
    assert not list((tmp_path / "P").glob("*.rows"))


def test_a_disk_that_fills_up_leaves_what_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    real = os.fsync

    def full(descriptor: int) -> None:
        nonlocal written
        written += 1
        if written == 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("epochal.data.packed.pack_writer.os.fsync", full)
        with pytest.raises(DataError, match="the disk is full; free some space and give the command again: it goes on"):
            small_pack(tmp_path / "P")
    assert not list((tmp_path / "P").glob("*.part"))
    assert content_of(small_pack(tmp_path / "P")) == content_of(small_pack(tmp_path / "A"))


def test_a_pack_of_nothing_is_refused(tmp_path: Path) -> None:
    with (
        writer(tmp_path / "P") as pack,
        pytest.raises(DataError, match="a pack needs training and test samples; packed so far: nothing"),
    ):
        pack.finish(Schema.of(DATA))


def test_written_rows_can_be_read_before_the_pack_is_whole(tmp_path: Path) -> None:
    with writer(tmp_path / "P") as pack:
        pack.write("train", ArraySource(TRAIN))
        stored = pack.stored("train")
        assert stored.samples == ROWS


def test_every_number_of_rows_packs(tmp_path: Path) -> None:
    for rows in (1, 49, 50, 51, 100):
        data = small_data(rows=rows)
        D = tmp_path / str(rows)
        write_pack(D, data, what="small", shard_bytes=SHARD_ROWS * 40)
        assert verify_pack(D).rows == rows + 20
        np.testing.assert_array_equal(load_pack(D).train.whole().x, data.train.whole().x)
