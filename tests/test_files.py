from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from epochal.files import atomic_file, atomic_write, files_named, is_utf8, make_folder, real_path, refuse_link


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"old", b"a longer new one"):
        atomic_write(path, content)
        assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_what_was_there_stays_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    atomic_write(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_device_is_refused(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except (AttributeError, PermissionError):
        pytest.skip("devices are made by the administrator alone")
    with pytest.raises(OSError, match="not supported"):
        atomic_write(device, b"new")
    assert device.is_char_device()


def test_content_is_forced_to_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    rename, fsync = os.rename, os.fsync

    def note_fsync(descriptor: int) -> None:
        calls.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "content")
        fsync(descriptor)

    def note_rename(*names: str, **folders: int) -> None:
        calls.append("name")
        rename(*names, **folders)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    atomic_write(tmp_path / "file", b"content")
    assert calls == ["content", "name", "folder"]


def test_folders_above_are_made_and_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("epochal.files.sync_folder", lambda folder: synced.append(folder.name))
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert synced == [tmp_path.name, "a"]
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2


def test_an_error_inside_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as file:  # noqa: PT012
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_at_a_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_file(path) as one, atomic_file(path) as other:
        one.write(b"one")
        other.write(b"other")
    assert path.read_bytes() == b"one", "which ended last"
    assert list(tmp_path.iterdir()) == [path]


# --- links that somebody planted ------------------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file outside the folder that is written to."""
    path = tmp_path / "outside" / "victim"
    path.parent.mkdir()
    path.write_bytes(b"precious")
    return path


def test_a_link_under_the_files_name_is_replaced_and_not_followed(tmp_path: Path, victim: Path) -> None:
    path = tmp_path / "file"
    path.symlink_to(victim)
    atomic_write(path, b"content")
    assert victim.read_bytes() == b"precious"
    assert path.read_bytes() == b"content"
    assert not path.is_symlink()


def test_a_link_under_the_temporary_name_is_not_followed(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can know the name; and where somebody does, the write fails."""
    monkeypatch.setattr("secrets.token_hex", lambda size: "known")
    (tmp_path / "file.known.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        atomic_write(tmp_path / "file", b"content")
    assert victim.read_bytes() == b"precious"


def test_a_link_in_place_of_a_runs_own_folder_is_refused(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "checkpoints").symlink_to(victim.parent)
    with pytest.raises(OSError, match="checkpoints is a symbolic link, which may lead out of the run folder; remove"):
        refuse_link(tmp_path / "checkpoints")
    refuse_link(victim.parent)
    refuse_link(tmp_path / "none")


def test_files_of_a_name_are_found_though_folders_vanish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b/c", "gone"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.toml").touch()
    scan = os.scandir

    def vanishing(path: str) -> object:
        if str(path).endswith("gone"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert files_named(tmp_path, "run.toml") == [tmp_path / "a" / "run.toml", tmp_path / "b" / "c" / "run.toml"]


def test_links_that_lead_in_a_circle_have_a_path(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "y")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    assert real_path(tmp_path / "x").parent == tmp_path.resolve()
    assert real_path(tmp_path / "a" / ".." / "b") == tmp_path.resolve() / "b"


def test_names_of_other_bytes_are_no_text() -> None:
    assert is_utf8("\u72d7.csv")
    assert not is_utf8(os.fsdecode("\u72d7.csv".encode("gbk")))
