"""Tar archives as webdataset lays them out: the files of a sample stand together and share a name up to its first dot.

``000017.jpg`` and ``000017.cls`` are a picture and its class: a number, or a name. ``.npy`` is an array. Archives are
read from beginning to end, and nothing is unpacked to the disk.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

from epochal.data.gzip_stream import MAGIC, open_gzip
from epochal.data.npy_arrays import most_unpacked
from epochal.data.pictures.file import is_picture
from epochal.errors import DataError, brief
from epochal.files import open_regular

SUFFIXES = (".tar", ".tar.gz", ".tgz")
CLASSES = ("cls", "label", "cls.txt")
MOST_BYTES = 1 << 30  # of a file in an archive

SplitName: TypeAlias = Literal["train", "test", "validation"]
_SPLITS: dict[str, SplitName] = {
    "train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation",
}  # fmt: skip
_BRACES = re.compile(r"\{([^{}]*)\}")
_TAR_MAGIC = slice(257, 262)
_END = 512  # bytes of zeros, at least
_AT_ONCE = 1 << 20  # bytes that are unpacked together
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")


@dataclass(frozen=True, slots=True)
class TarSample:
    """A sample's bytes: of its picture or array, with that file's name, and of its class."""

    file: str
    content: bytes
    label: str
    archive: Path


def find_archives(source: str) -> dict[SplitName, list[Path]]:
    """Return the archives of each split: a file, those of a folder, or of a pattern such as ``train-{000..007}.tar``.

    Archives whose names, or folders, say ``train``, ``test`` or ``val`` are these splits where there are any for
    training; else all are for training. Raises `DataError` for an archive of a pattern that is not there.
    """
    path = Path(source).expanduser()
    if _BRACES.search(source):
        paths = [Path(one).expanduser() for one in expand(source)]
        absent = next((one for one in paths if not one.is_file()), None)
        if absent is not None:
            raise DataError(f"{absent}: no such file, which {source} names; get it, or correct the numbers")
    elif path.is_dir():
        paths = sorted(one for one in path.rglob("*") if _is_archive(one) and one.is_file())
    else:
        paths = [path] if _is_archive(path) and path.is_file() else []

    splits: dict[SplitName, list[Path]] = {}
    for one in paths:
        splits.setdefault(_split_of(one, path), []).append(one)
    return splits if "train" in splits else {"train": paths} if paths else {}


def expand(pattern: str) -> list[str]:
    """Return the names of a pattern with braces.

    >>> expand("a-{08..11}.tar"), expand("{train,test}.tar")
    (['a-08.tar', 'a-09.tar', 'a-10.tar', 'a-11.tar'], ['train.tar', 'test.tar'])
    """
    texts = _BRACES.split(pattern)
    choices = [[text] if place % 2 == 0 else _choices(text) for place, text in enumerate(texts)]
    return ["".join(words) for words in product(*choices)]


def _choices(text: str) -> list[str]:
    match = _RANGE.fullmatch(text)
    if match is None:
        return text.split(",")
    first, last = int(match[1]), int(match[2])
    if not 0 <= last - first < 10**6:
        raise DataError(f"the pattern {text} names {last - first + 1:,} archives; write the lower number first")
    return [f"{number:0{len(match[1])}d}" for number in range(first, last + 1)]


def read_samples(archives: Iterable[Path]) -> Iterator[TarSample]:
    """Yield the samples of archives, in their order. Raises `DataError` for what is damaged, or without a class."""
    for path in archives:
        key = ""
        files: dict[str, tuple[str, bytes]] = {}
        for name, content in _members(path):
            stem, ending = _parted(name)
            if stem != key and files:
                yield _sample(key, files, path)
                files = {}
            key = stem
            files[ending] = (name, content)
        if files:
            yield _sample(key, files, path)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of an archive's files, without those that are hidden."""
    try:
        _check_end(path)
        with open_regular(path) as file, tarfile.open(fileobj=_unpacked(file, path), mode="r|") as archive:
            for member in archive:
                name = member.name
                if not member.isfile() or Path(name).name.startswith("."):
                    continue
                if not 0 <= member.size <= MOST_BYTES:
                    raise DataError(f"{path}: {name} has {member.size:,} bytes, more than {MOST_BYTES:,}; leave it out")
                taken = archive.extractfile(member)
                content = taken.read() if taken is not None else b""
                if len(content) != member.size:
                    raise DataError(f"{path}: truncated within {name}; get it again")
                yield name, content
    except DataError:
        raise
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: damaged or truncated, or no tar archive ({brief(error)}); get it again") from error


class _Bounded(io.RawIOBase):
    """A packed archive's content, of which a bomb is no more than what an honest file of its size may unpack to."""

    def __init__(self, source: IO[bytes], most: int, path: Path) -> None:
        super().__init__()
        self._source, self._left, self._path = source, most, path

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most so many. Raises `DataError` beyond the bound."""
        content = self._source.read(min(size, _AT_ONCE) if size >= 0 else _AT_ONCE)
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"{self._path}: unpacks to far more than its size explains; unpack it first")
        return content


def _unpacked(file: IO[bytes], path: Path) -> Any:
    """Return an archive's content as a stream: as it is, or unpacked of gzip, bzip2 or xz."""
    start = file.read(6)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    opened: Any = None
    if start.startswith(MAGIC):
        opened = open_gzip(file)
    elif start.startswith(b"BZh"):
        opened = bz2.BZ2File(file)
    elif start.startswith(b"\xfd7zXZ"):
        opened = lzma.LZMAFile(file)  # noqa: SIM115 (the archive is read to its end, and its file is closed)
    return file if opened is None else _Bounded(opened, most_unpacked(size), path)


def _check_end(path: Path) -> None:
    """Raise `DataError` for an archive that is cut off between two files, which reading it would not notice."""
    with open_regular(path) as file:
        is_plain = len(file.read(_TAR_MAGIC.stop)) == _TAR_MAGIC.stop
        file.seek(_TAR_MAGIC.start)
        is_plain = is_plain and file.read(5) == b"ustar"
        if is_plain and file.seek(0, os.SEEK_END) >= _END:
            file.seek(-_END, os.SEEK_END)
            is_plain = any(file.read(_END))
        if is_plain:
            raise DataError(f"{path}: damaged or truncated: it does not end as a tar archive does; get it again")


def _sample(key: str, files: dict[str, tuple[str, bytes]], path: Path) -> TarSample:
    label = next((files[one] for one in CLASSES if one in files), None)
    if label is None:
        raise DataError(
            f"{path}: the sample '{key}' has no class: {', '.join(f'{key}.{one}' for one in files)}; a file {key}.cls "
            "with its class is needed"
        )
    data = next((one for ending, one in files.items() if ending == "npy" or is_picture(Path(f"x.{ending}"))), None)
    if data is None:
        raise DataError(
            f"{path}: the sample '{key}' has no picture or array: {', '.join(f'{key}.{one}' for one in files)}; "
            ".jpg, .png and .npy are read"
        )
    text = label[1].decode("utf-8", "replace").strip()
    if not text or len(text) > 200 or "\n" in text:
        raise DataError(f"{path}: {label[0]} holds no class: {text[:40]!r}; write one number or name")
    return TarSample(data[0], data[1], text, path)


def _parted(name: str) -> tuple[str, str]:
    """Return a file's key, which ends before the first dot of its name, and what follows in lower case."""
    folder, _, own = name.rpartition("/")
    stem, _, ending = own.partition(".")
    return f"{folder}/{stem}" if folder else stem, ending.lower()


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _split_of(path: Path, root: Path) -> SplitName:
    inside = path.relative_to(root).as_posix() if path.is_relative_to(root) and path != root else path.name
    words = re.split(r"[-_./]", inside.lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), "train")
