from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from epochal import held_folder
from epochal.held_folder import HeldFolder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user's outside the folder."""
    path = tmp_path / "outside" / "victim"
    path.parent.mkdir()
    path.write_bytes(b"precious")
    return path


@pytest.fixture(params=["handles", "checks"])
def held(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldFolder]:
    """A folder, held by its handle or, as on Windows, by its name."""
    monkeypatch.setattr(held_folder, "_CAN_HOLD", request.param == "handles")
    (tmp_path / "run").mkdir()
    with HeldFolder.open(tmp_path / "run") as folder:
        yield folder


def test_what_is_written_is_read_again(held: HeldFolder) -> None:
    held.write_file("file", b"content")
    assert held.read("file") == b"content"
    assert held.names() == ["file"]
    held.rename("file", "other")
    held.remove("other")
    held.remove("other")
    assert held.names() == []


def test_folders_inside_are_made_once_and_stay(held: HeldFolder) -> None:
    for _ in range(2):
        with held.inside("checkpoints", make=True) as inside:
            inside.write_file("file", b"content")
    with pytest.raises(FileNotFoundError):
        held.inside("none")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../outside/victim", "/etc/passwd"])
def test_a_name_stays_in_the_folder(name: str, held: HeldFolder, victim: Path) -> None:
    for act in (held.read, held.remove, held.inside, lambda name: held.write_file(name, b"new")):
        with pytest.raises(OSError, match="is no name in a folder"):
            act(name)
    assert victim.read_bytes() == b"precious"


def test_a_link_is_neither_read_nor_entered_and_replaced_where_something_is_written(
    held: HeldFolder, victim: Path
) -> None:
    (held.path / "file").symlink_to(victim)
    (held.path / "folder").symlink_to(victim.parent)
    for act, name in ((held.read, "file"), (held.size_of, "file"), (held.inside, "folder")):
        with pytest.raises(OSError, match=f"{name} is a symbolic link, which may lead out of the run folder; remove"):
            act(name)
    assert (held.kind("file"), held.kind("folder"), held.kind("none")) == ("link", "link", None)
    held.write_file("file", b"new")
    held.remove("folder")
    assert (held.kind("file"), held.kind("folder")) == ("file", None)
    assert victim.read_bytes() == b"precious"


def test_a_pipe_a_folder_and_holes_are_no_files(held: HeldFolder) -> None:
    os.mkfifo(held.path / "pipe")
    (held.path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match="it is no file"):
            held.read(name)
    with (held.path / "holes").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="it claims 1,099,511,627,776 bytes, of which next to none are on the disk"):
        held.read("holes")
    (held.path / "large").write_bytes(b"12345")
    with pytest.raises(OSError, match="it has 5 bytes, and no such file has more than 4"):
        held.read("large", 4)


def test_leftovers_that_are_links_or_folders_lead_nowhere(held: HeldFolder, victim: Path) -> None:
    (held.path / "left.tmp").touch()
    (held.path / "stays").touch()
    (held.path / "link.tmp").symlink_to(victim)
    (held.path / "folder.tmp").mkdir()
    os.mkfifo(held.path / "pipe.tmp")
    held.remove_leftovers()
    assert held.names() == ["folder.tmp", "stays"]
    assert victim.read_bytes() == b"precious"


def test_a_folder_that_is_moved_is_still_the_one_that_is_held(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with HeldFolder.open(tmp_path / "a") as folder:
        assert folder.is_in_place()
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "a").mkdir()
        folder.write_file("file", b"content")
        assert not folder.is_in_place()
        assert folder.place_now() in (tmp_path / "b", None)
    assert (tmp_path / "b" / "file").read_bytes() == b"content"
    assert list((tmp_path / "a").iterdir()) == []


def test_a_folder_that_is_removed_has_no_place(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with HeldFolder.open(tmp_path / "a") as folder:
        (tmp_path / "a").rmdir()
        assert not folder.is_in_place()
        assert folder.place_now() is None
        with pytest.raises(FileNotFoundError):
            folder.write_file("file", b"content")


def test_a_folder_of_another_is_no_link(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "linked").symlink_to(victim.parent)
    with pytest.raises(OSError, match="linked is a symbolic link"):
        HeldFolder.own(tmp_path / "linked")
    with HeldFolder.open(tmp_path / "linked") as named_by_the_user:
        assert named_by_the_user.names() == ["victim"]
