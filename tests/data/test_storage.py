from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from epochal.data.storage import alone, own_folder, whole_file, writing
from epochal.errors import DataError


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with whole_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b"whole")
    assert path.read_bytes() == b"halfwhole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:  # noqa: PT012
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "may not be written; make the folder writable"),
    ],
)
def test_failures_to_write_say_why_and_what_to_do(number: int, words: str) -> None:
    with pytest.raises(DataError, match=f"cannot write place: .*{words}.*EPOCHAL_DATA"), writing(Path("place")):
        raise OSError(number, "strange words")


def test_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with (
        pytest.raises(DataError, match="the disk is full"),
        writing(Path("/dev/full")),
        Path("/dev/full").open("wb") as full,
    ):
        full.write(b"x")


def test_one_works_alone_at_a_time(tmp_path: Path) -> None:
    inside, worst = [0], [0]

    def work() -> None:
        for _ in range(20):
            with alone(tmp_path):
                inside[0] += 1
                worst[0] = max(worst[0], inside[0])
                threading.Event().wait(0.0005)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == [1]
    assert list(tmp_path.iterdir()) == []


def test_an_own_folder_counts_only_when_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_folder("mnist") is None
    monkeypatch.setenv("EPOCHAL_DATA", str(tmp_path))
    assert own_folder("mnist") is None
    (tmp_path / "mnist").mkdir()
    assert own_folder("mnist") == tmp_path / "mnist"
