"""Pictures of a folder or of tar archives, decoded in threads and kept on the disk: more of them than memory holds."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from epochal.data.dataset import Dataset
from epochal.data.encodings import PictureEncoding
from epochal.data.load_options import LoadOptions, as_share
from epochal.data.npy_arrays import NoArrayError, read_npy
from epochal.data.packing.assembling import Samples, dataset_of
from epochal.data.packing.lengths import refuse_length
from epochal.data.packing.python_rows import spool_splits
from epochal.data.packing.spool import Spool
from epochal.data.packing.tar_shards import SplitName, TarSample, read_samples
from epochal.data.pictures.class_folders import (
    check_classes,
    default_size,
    note_of_broken,
    note_of_sizes,
    read_all,
    read_headers,
)
from epochal.data.pictures.file import Header, UnreadableError, check_size, quiet_pillow, read_header
from epochal.data.pictures.listing import counted, list_pictures, some
from epochal.data.pictures.sets import size_of
from epochal.data.storage import Progress
from epochal.errors import DataError
from epochal.files import real_path

_T = TypeVar("_T")

_BLOCK = 32 << 20  # bytes of decoded pictures that are in memory together


@dataclass(slots=True)
class _Spooled:
    """What came of the pictures of a split: the file, class numbers or names, and how many are grey."""

    spool: Spool
    labels: list[Any] = field(default_factory=list)
    greys: int = 0

    def add(self, contents: list[Any], labels: list[Any], size: tuple[int, int], grey: bool) -> dict[int, str]:
        """Decode the next pictures; return why some cannot be read, by their number among these."""
        x, answers = read_all(contents, size, grey, None)
        good = [row for row, answer in enumerate(answers) if not isinstance(answer, str)]
        if good:
            self.spool.add(x[good])
        self.labels += [labels[row] for row in good]
        self.greys += sum(answer is True for answer in answers)
        return {row: answer for row, answer in enumerate(answers) if isinstance(answer, str)}


def pictures_of_folder(folder: Path, options: LoadOptions, place: Path, progress: Progress | None) -> Dataset:
    """Return the data set in a folder with a folder of pictures for each class, kept in files in ``place``.

    It has the same samples as `epochal.data.pictures.sets.load_pictures` returns, in the same order.
    """
    size, grey = size_of(options), options.grey or None
    check_size(size)
    listing = list_pictures(folder)
    paths = [sample.path for sample in listing.samples]
    with quiet_pillow():
        seen, reasons = read_headers(paths, progress)
        size = size or default_size(seen)
        in_grey = all(header.grey for header in seen) if grey is None else grey

        # split by split, a block at a time
        names = listing.names()
        number = {name: i for i, name in enumerate(names)}
        splits: dict[str, _Spooled] = {}
        for split in ("train", "test", "validation"):
            chosen = [i for i, one in enumerate(listing.samples) if one.split == split and i not in reasons]
            if not chosen:
                continue
            with Spool(place / split, len(chosen)) as spool:
                splits[split] = _Spooled(spool)
                for block in blocks(iter(chosen), _rows_of(size, in_grey)):
                    labels = [number[listing.samples[i].name] for i in block]
                    bad = splits[split].add([paths[i] for i in block], labels, size, in_grey)
                    reasons |= {block[row]: why for row, why in bad.items()}
                    if progress is not None:
                        progress("pictures", block[-1] + 1, len(paths))

    check_classes(listing, reasons)
    notes = [*note_of_broken(listing, reasons), *listing.notes_on_files(), *note_of_sizes(seen, size)]
    samples = {name: Samples(one.spool.source(), np.array(one.labels, np.int32)) for name, one in splits.items()}
    return _data_set(splits, samples, options, folder, size, grey, in_grey, notes, names)


def pictures_of_archives(
    source: str,
    archives: dict[SplitName, list[Path]],
    options: LoadOptions,
    place: Path,
    length: int | None,
    progress: Progress | None,
) -> Dataset:
    """Return the data set in tar archives of pictures or arrays, kept in files in ``place``.

    They are read twice: first for the sizes, which decide how pictures are scaled.
    """
    size, grey = size_of(options), options.grey or None
    check_size(size)
    with quiet_pillow():
        heads = {split: list(_heads(paths)) for split, paths in archives.items()}
        headers = [head for split in heads.values() for head in split]
        if not headers:
            raise DataError(f"{source}: the archives hold no samples; give at least one")
        if any(head == "array" for head in headers):
            return _arrays_of_archives(source, archives, options, place, length, progress)
        refuse_length(length, source)
        seen = [head for head in headers if isinstance(head, Header)]
        size = size or default_size(seen)
        in_grey = all(header.grey for header in seen) if grey is None else grey

        splits: dict[str, _Spooled] = {}
        broken: list[str] = []
        for split, paths in archives.items():
            with Spool(place / split, len(heads[split])) as spool:
                splits[split] = _Spooled(spool)
                done = 0
                for block in blocks(read_samples(paths), _rows_of(size, in_grey)):
                    bad = splits[split].add([one.content for one in block], [one.label for one in block], size, in_grey)
                    broken += [f"{block[row].file} ({why})" for row, why in bad.items()]
                    done += len(block)
                    if progress is not None:
                        progress("pictures", done, len(heads[split]))

    empty = next((one for one in splits.values() if not one.spool.taken), None)
    if empty is not None:
        raise DataError(f"{source}: no picture can be read; the first is {broken[0]}; get the archives again")
    notes = [f"{counted(broken, 'picture')} could not be read: {some(broken)}"] if broken else []
    notes += note_of_sizes(seen, size)
    samples = {name: Samples(one.spool.source(), labels_of(one.labels)) for name, one in splits.items()}
    return _data_set(splits, samples, options, Path(source), size, grey, in_grey, notes, None)


def labels_of(texts: list[str]) -> Any:
    """Return classes as whole numbers where all are, and else as texts."""
    is_whole = all(text.lstrip("-").isdecimal() and len(text) < 10 for text in texts)
    return np.array([int(text) for text in texts] if is_whole else texts)


def blocks(things: Iterator[_T], size: int) -> Iterator[list[_T]]:
    """Yield things in lists of so many."""
    while block := list(islice(things, size)):
        yield block


def _rows_of(size: tuple[int, int], grey: bool) -> int:
    return max(8, _BLOCK // (size[0] * size[1] * (1 if grey else 3)))


def _heads(paths: Iterable[Path]) -> Iterator[Header | str]:
    """Yield for each sample its picture's header, why it cannot be read, or that it is an array."""
    for one in read_samples(paths):
        if one.file.lower().endswith(".npy"):
            yield "array"
            continue
        try:
            yield read_header(one.content)
        except UnreadableError as error:
            yield f"unreadable: {error}"


def _data_set(
    splits: dict[str, _Spooled],
    samples: dict[str, Samples],
    options: LoadOptions,
    source: Path,
    size: tuple[int, int],
    grey: bool | None,
    in_grey: bool,
    notes: list[str],
    names: list[str] | None,
) -> Dataset:
    """Return the data set of pictures; those that all have three equal colours are grey, whatever their files say."""
    greys, count = sum(one.greys for one in splits.values()), sum(one.spool.taken for one in splits.values())
    becomes_grey = grey is None and greys == count and not in_grey
    if grey is None and greys and not in_grey and not becomes_grey:
        notes = [*notes, f"{greys:,} of {count:,} pictures are grey, made RGB"]
    return dataset_of(
        samples["train"],
        **held_out(samples, options, str(source)),
        name=source.name.partition(".")[0] or real_path(source).name if source.suffix else real_path(source).name,
        seed=options.seed,
        task=None if names is not None else "classification",
        class_names=names,
        change=(lambda x: np.ascontiguousarray(x[..., 0])) if becomes_grey else None,
        encoding=PictureEncoding(size, in_grey or becomes_grey),
        notes=notes,
    )


def held_out(samples: dict[str, Samples], options: LoadOptions, source: str) -> dict[str, Any]:
    """Return test and validation samples, or their shares. Raises `DataError` where they are there and asked for."""
    held: dict[str, Any] = {"test": options.held_out, "validation": as_share(options.validation)}
    for name in held:
        if name not in samples:
            continue
        if held[name] is not None:
            raise DataError(f"{source} has {name} samples of its own; leave out {name}={held[name]}")
        held[name] = samples[name]
    return held


def _arrays_of_archives(
    source: str,
    archives: dict[SplitName, list[Path]],
    options: LoadOptions,
    place: Path,
    length: int | None,
    progress: Progress | None,
) -> Dataset:
    """Return the data set in tar archives of ``.npy`` files."""
    rows: dict[str, Iterable[Any]] = {
        split: ((_array(one), one.label) for one in read_samples(paths)) for split, paths in archives.items()
    }
    spooled = spool_splits(rows, place, length=length, progress=progress)
    samples = {split: replace(one, y=labels_of(one.y.tolist())) for split, one in spooled.items()}

    return dataset_of(
        samples["train"],
        **held_out(samples, options, source),
        name=Path(source).name.partition(".")[0],
        seed=options.seed,
        task=options.task or "classification",
    )


def _array(one: TarSample) -> Any:
    try:
        return np.atleast_1d(read_npy(io.BytesIO(one.content), len(one.content)))
    except (NoArrayError, MemoryError) as error:
        raise DataError(f"{one.archive}: {one.file} is no array of numpy.save ({error}); write it again") from error
