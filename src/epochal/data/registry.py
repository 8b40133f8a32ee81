"""The data sets that have a name: their sizes, sources, licences, files and hashes, known without loading anything.

Standard library only, because ``epochal plan --data NAME`` answers from here at once.

SHA-256 sums: MNIST's were computed from files that have the MD5 sums of the public loaders; those of Fashion-MNIST
and KMNIST are published side by side with those loaders' MD5 sums.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from epochal.errors import DataError, unknown_name

State: TypeAlias = Literal["embedded", "made on first use", "cached", "from EPOCHAL_DATA", "needs download"]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a download: its name, its exact size in bytes and its SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Description:
    """What can be said of a named data set before it is loaded.

    >>> mnist = describe("mnist")
    >>> mnist.train, mnist.test, mnist.sample_shape, len(mnist.class_names)
    (60000, 10000, (28, 28), 10)

    Attributes:
        name: the word for the command line and `load_data`.
        title: what it is, in a line.
        train: training samples.
        test: test samples.
        sample_shape: the shape of one sample.
        class_names: one name for each class.
        source: who made it, and where it is described.
        licence: under which terms.
        files: what a download fetches: training images and labels, test images and labels.
        mirrors: addresses that serve these files, tried in turn.
        fingerprint: of the loaded `Dataset`, where it is known beforehand.
    """

    name: str
    title: str
    train: int
    test: int
    sample_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    source: str
    licence: str
    files: tuple[RemoteFile, ...] = ()
    mirrors: tuple[str, ...] = ()
    fingerprint: str | None = None

    @property
    def download_bytes(self) -> int:
        """Size of the download; 0 where nothing needs one."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Available:
    """A named data set and how it can be had here and now; ``folder`` is where its files lie, or would."""

    description: Description
    state: State
    folder: Path | None


def describe(name: str) -> Description:
    """Return what is known of a named data set.

    Raises:
        DataError: for an unknown name, with the nearest one.
    """
    if name not in DATA_SETS:
        raise DataError(unknown_name("data set", name, DATA_SETS))
    return DATA_SETS[name]


def available() -> list[Available]:
    """Return every named data set and its state, without reading any data."""
    return [_available(description) for description in DATA_SETS.values()]


def generated_file(description: Description) -> str:
    """Return the file name that keeps a generated set; it changes with the content."""
    return f"{description.name}-{(description.fingerprint or '')[:12]}.npz"


def _available(description: Description) -> Available:
    from epochal.data.storage import cache_folder, own_folder

    if description.name == "digits":
        return Available(description, "embedded", None)
    folder = cache_folder(description.name)
    if not description.files:
        made = (folder / generated_file(description)).is_file()
        return Available(description, "cached" if made else "made on first use", folder)
    own = own_folder(description.name)
    if own is not None:
        return Available(description, "from EPOCHAL_DATA", own)
    paths = [(folder / file.name, file.size) for file in description.files]
    complete = all(path.is_file() and path.stat().st_size == size for path, size in paths)
    return Available(description, "cached" if complete else "needs download", folder)


def _read_catalog() -> Mapping[str, Description]:
    """Read `catalog.toml`."""
    text = resources.files("epochal.data").joinpath("catalog.toml").read_text(encoding="utf-8")
    sets = {}
    for name, about in tomllib.loads(text).items():
        files = tuple(RemoteFile(**file) for file in about.pop("files", ()))
        lists = {key: tuple(value) for key, value in about.items() if isinstance(value, list)}
        sets[name] = Description(name, **{**about, **lists}, files=files)
    return MappingProxyType(sets)


DATA_SETS: Mapping[str, Description] = _read_catalog()
