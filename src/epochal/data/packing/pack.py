"""`pack`: makes a pack of whatever the product reads, in bounded memory where a source is read in pieces."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from epochal.data.dataset import Dataset
from epochal.data.generated import from_rows
from epochal.data.load_options import LoadOptions
from epochal.data.loading import load_data
from epochal.data.own_files import is_table
from epochal.data.packed.manifest import MANIFEST
from epochal.data.packed.opening import is_pack
from epochal.data.packed.pack_writer import SHARD_BYTES, write_pack
from epochal.data.packing.array_records import count_records, decode_arrays, find_records, read_records
from epochal.data.packing.assembling import dataset_of
from epochal.data.packing.hugging_face import hugging_face_data, is_of_hugging_face
from epochal.data.packing.lengths import refuse_length
from epochal.data.packing.python_rows import Decode, spool_splits
from epochal.data.packing.spool import spool_folder
from epochal.data.packing.stamps import stamp_of
from epochal.data.registry import DATA_SETS
from epochal.data.row_source import RowSource
from epochal.data.storage import Progress
from epochal.errors import DataError, OptionError
from epochal.files import real_path


def pack(
    source: Any,
    folder: str | os.PathLike[str],
    *,
    samples: int | None = None,
    decode: Decode | None = None,
    length: int | None = None,
    class_names: Any = None,
    name: str | None = None,
    shard_bytes: int = SHARD_BYTES,
    force: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Path:
    """Pack a data set: write its samples, shuffled once, into files from which training reads what it needs.

    Training from the pack has the same bits as training from the source. What is interrupted goes on when the same is
    packed again.

    Args:
        source: anything that `epochal.load_data` takes; tar archives of pictures and classes; ArrayRecord files; a
            streaming data set of Hugging Face; an iterable of ``(x, y)``, such as a generator, where ``x`` may have
            several parts; or a `RowSource`. Tables, pictures, archives, records, streams and iterables may be larger
            than the memory.
        folder: a new one.
        samples: how many rows an iterable gives, if that is known: too little room is then said at the start.
        decode: makes ``(x, y)`` of each row of an iterable, or of the bytes of a record.
        length: of sequences of different lengths, the length to which they are padded, or cut. Default: the longest.
        class_names: names of the classes 0, 1, …; of a `RowSource` perhaps their number.
        name: what the set is called. Default: the source's name, or the folder's.
        shard_bytes: the size of a file, about.
        force: replace a pack that is there.
        progress: called with a title, what is done, and what there is to do.
        options: ``target``, ``test``, ``validation``, ``seed`` and the other options of `epochal.load_data`. Of an
            iterable or a `RowSource`, ``test`` and ``validation`` may be others.

    Returns:
        The pack's folder, which is a data set.

    Raises:
        DataError: for a source that cannot be read, rows that differ, a folder that holds something else, and too
            little room.
    """
    place = Path(folder).expanduser()
    _check_folder(place, source, force=force)
    held = {key: options.pop(key) for key in ("test", "validation") if _is_rows(options.get(key))}
    chosen = LoadOptions.of(options)
    if length is not None and length < 1:
        raise OptionError(f"length is {length}, and a row has at least one value; give 1 or more")
    what = stamp_of(source, options if length is None else {**options, "length": length})
    with spool_folder(place) as spools:
        if isinstance(source, RowSource):
            refuse_length(length, name or place.name)
            data = from_rows(source, class_names=class_names, name=name or place.name, **options, **held)
        elif _is_rows(source):
            about = (samples, length, decode, class_names, name or place.name)
            data = _of_rows(source, spools, chosen, held, about, progress)
        elif isinstance(source, (str, os.PathLike)):
            data = _of_path(os.fspath(source), spools, chosen, decode, length, progress)
        elif is_of_hugging_face(source):
            data = hugging_face_data(source, chosen, decode, spools, progress, length)
        else:
            refuse_length(length, type(source).__name__)
            data = load_data(source, progress=progress, **options)
        _write(place, data, what=what, shard_bytes=shard_bytes, force=force, progress=progress)
    return place


def _is_rows(source: Any) -> bool:
    """Return whether something gives rows one by one, and is nothing that is read as a whole."""
    if isinstance(source, RowSource):
        return True
    known = (str, bytes, os.PathLike, Mapping, tuple, list, Dataset)
    if isinstance(source, known) or type(source).__module__.startswith("datasets.") or hasattr(source, "__len__"):
        return False
    return isinstance(source, Iterable)


def _of_rows(
    rows: Iterable[Any],
    spools: Path,
    options: LoadOptions,
    held: Mapping[str, Any],
    about: tuple[int | None, int | None, Decode | None, Any, str],
    progress: Progress | None,
) -> Dataset:
    """Return the data set of rows that come one by one; ``about``: how many, their length, and so on as `pack` says."""
    samples, length, decode, class_names, name = about
    splits = {"train": rows, **held}
    spooled = spool_splits(splits, spools, samples={"train": samples}, decode=decode, length=length, progress=progress)
    shares: dict[str, Any] = {"test": options.held_out, "validation": options.validation}
    train = spooled.pop("train")
    return dataset_of(
        train, name=name, seed=options.seed, task=options.task, class_names=class_names, **{**shares, **spooled}
    )


def _of_path(
    source: str,
    spools: Path,
    options: LoadOptions,
    decode: Decode | None,
    length: int | None,
    progress: Progress | None,
) -> Dataset:
    """Return the data set in a file or folder, read in pieces where that can be."""
    from epochal.data.packing import array_files
    from epochal.data.packing.list_columns import has_lists, lists_of_file
    from epochal.data.packing.picture_rows import pictures_of_archives, pictures_of_folder
    from epochal.data.packing.table_rows import is_streamed, table_of_file
    from epochal.data.packing.tar_shards import find_archives
    from epochal.data.pictures.listing import has_picture_classes

    path = Path(source).expanduser()
    if source in DATA_SETS:
        refuse_length(length, source)
        return load_data(source, progress=progress, **_given(options))
    records = find_records(path)
    if records:
        options.check(source, "arrays")
        spooled = spool_splits(
            {"train": read_records(records)},
            spools,
            samples={"train": count_records(records)},
            decode=decode or decode_arrays,
            length=length,
            progress=progress,
        )
        return dataset_of(
            spooled["train"],
            name=path.name.partition(".")[0],
            test=options.held_out,
            validation=options.validation,
            seed=options.seed,
            task=options.task,
        )

    archives = find_archives(source)
    if archives:
        options.check(source, "pictures")
        return pictures_of_archives(source, archives, options, spools, length, progress)
    if has_lists(path, options):
        options.check(source, "table")
        return lists_of_file(path, options, spools, length, progress)

    refuse_length(length, source)
    if path.is_dir() and has_picture_classes(path):
        options.check(source, "pictures")
        return pictures_of_folder(path, options, spools, progress)
    if array_files.is_streamed(path, options):
        options.check(source, "arrays")
        return array_files.arrays_of_file(path, options, spools, progress)
    if is_table(path) and is_streamed(path):
        options.check(source, "table")
        return table_of_file(path, options, spools, progress)
    return load_data(source, progress=progress, **_given(options))


def _given(options: LoadOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in LoadOptions.__slots__}


def _check_folder(folder: Path, source: Any, *, force: bool) -> None:
    """Raise `DataError` for a folder that a pack cannot be made in, before anything is read."""
    is_named = isinstance(source, str) and source in DATA_SETS
    if isinstance(source, (str, os.PathLike)) and not is_named and os.path.isdir(source):
        if real_path(folder).is_relative_to(real_path(Path(source))):
            raise DataError(f"{folder} lies within the source {source}; give a folder elsewhere")
        if is_pack(Path(source)):
            raise DataError(f"{source} is a pack already; train with it, or copy its folder")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DataError(f"{folder} is no folder; give a new one")
    if (folder / MANIFEST).exists() and not force:
        raise DataError(f"{folder} holds a pack already; give another folder, or say --force to replace it")
    if folder.is_dir() and not is_pack(folder) and any(folder.iterdir()):
        raise DataError(f"{folder} holds other files; a pack needs a folder of its own: give a new one")


def _write(folder: Path, data: Dataset, *, what: str, shard_bytes: int, force: bool, progress: Progress | None) -> None:
    """Write the pack; where one is to be replaced, beside it first."""
    if not (force and is_pack(folder)):
        write_pack(folder, data, what=what, shard_bytes=shard_bytes, progress=progress)
        return

    fresh = folder.absolute()
    fresh = fresh.with_name(f".{fresh.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    write_pack(fresh, data, what=what, shard_bytes=shard_bytes, progress=progress)
    shutil.rmtree(folder)
    fresh.rename(folder)
