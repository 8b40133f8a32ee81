"""Files that are written as a whole or not at all, and survive a loss of power."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_TEMPORARY = ".tmp"


def write_durably(path: Path, content: bytes) -> None:
    """Write a file through a temporary one: content first, then its name, each forced to the disk.

    Raises `OSError` where any of it fails; whatever stood under that name is then still there.
    """
    temporary = path.with_name(f"{path.name}{_TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def make_folder_durably(path: Path) -> None:
    """Make a folder, and those above it that are missing, so that they survive a loss of power.

    Raises `OSError` where it cannot be made.
    """
    if path.is_dir():
        return
    make_folder_durably(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that killed processes left behind; nobody may be writing there."""
    for path in folder.glob(f"*{_TEMPORARY}"):
        path.unlink(missing_ok=True)
