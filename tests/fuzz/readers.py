"""The readers of Epochal, each as a target: what its file is called, what lies beside it, and how it is read."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutations

HERE = Path(__file__).parent
SEEDS, FOUND, BESIDE = HERE / "seeds", HERE / "found", HERE / "beside"


@dataclass(frozen=True, slots=True)
class Target:
    """A reader, and how to feed it.

    Attributes:
        name: also of the folders with its seeds, and with what once failed.
        file: what an input is called in its folder.
        read: returns what the reader made of the file.
        beside: the folder whose files lie beside the input.
        fed_with: the target whose seeds are its own.
        has_checksums: whether every byte that matters is covered, so that no damage may pass.
        shaped: changes a file where its form knows a value.
        tokens: what such files hold.
        renamed: how a file is called by its content, where it is.
    """

    name: str
    file: str
    read: Callable[[Path], Any]
    beside: str = ""
    fed_with: str = ""
    has_checksums: bool = False
    shaped: mutations.Mutation | None = None
    tokens: Sequence[bytes] = ()
    renamed: Callable[[bytes], str] | None = None

    def seeds(self) -> list[bytes]:
        """Return its seeds, by their names."""
        return [path.read_bytes() for path in sorted((SEEDS / (self.fed_with or self.name)).iterdir())]

    def found(self) -> dict[str, bytes]:
        """Return every input that once failed, by its name."""
        folder = FOUND / self.name
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.is_dir() else {}

    def prepare(self, folder: Path) -> Path:
        """Put what belongs beside an input into a folder; return the place of the input."""
        if self.beside:
            shutil.copytree(BESIDE / self.beside, folder, dirs_exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / self.file

    def place(self, path: Path, content: bytes) -> Path:
        """Write an input where it belongs; return where it lies."""
        if self.renamed is not None:
            path = path.with_name(self.renamed(content))
        path.write_bytes(content)
        return path


# --- readers, imported when they are first used, which the guided search wants to see ---------------------------


def _idx(path: Path) -> Any:
    from epochal.data.idx import read_idx

    return read_idx(path)


def _npy(path: Path) -> Any:
    import numpy as np

    from epochal.data.data_schema import Schema
    from epochal.data.new_samples import read_new

    schema = Schema.from_json((BESIDE / "pack" / "preprocessing.json").read_bytes())
    return np.asarray(read_new(path, schema).x)


def _npz(path: Path) -> Any:
    from epochal.data.own_files import read_npz

    arrays = read_npz(path)
    _ = _data(path)
    return arrays


def _data(path: Path) -> Any:
    from epochal.data.load_options import LoadOptions
    from epochal.data.own_files import load_path

    data = load_path(path, LoadOptions())
    train, test = data.train.whole(), data.test.whole()
    return train.x, train.y, test.x, test.y, data.class_names


def _text_table(path: Path) -> Any:
    """Read a table fast and exactly, which must give the same."""
    import numpy as np

    from epochal.data.tables import exact_reader, text_reader
    from epochal.data.tables.text_content import read_content
    from epochal.errors import DataError

    value = _data(path)
    content = read_content(path, None)
    separator, rows = text_reader.first_rows(content, path)
    form = text_reader.recognise(path, separator, rows, None, None)
    fast = text_reader.read_fast(content, form, rows, form.names)
    if fast is not None:
        try:
            exact = exact_reader.read_exactly(content, path, form)
        except DataError as error:
            raise AssertionError(f"read fast what cannot be read exactly: {error}") from error
        for one, other in zip(fast, exact, strict=True):
            assert np.array_equal(one, other), f"read fast {one!r:.80} and exactly {other!r:.80}"
    return value


def _picture(path: Path) -> Any:
    from epochal.data.pictures import file, photo
    from epochal.errors import DataError

    picture = file.read_picture(path, size=(8, 8), grey=False)
    grey = file.read_picture(path, grey=True)
    if grey.size < 200_000:
        with suppress(DataError):
            photo.as_mnist_digit(grey)
    return picture


def _run_toml(path: Path) -> Any:
    from epochal.record.run_toml import read_run_toml

    file = read_run_toml(path)
    return file.to_dict(), file.plan_at(0)


def _study_toml(path: Path) -> Any:
    from epochal.record.study_record import StudyRecord

    study = StudyRecord.read(path.parent)
    return study.members, study.to_dict()


def _batch_size_toml(path: Path) -> Any:
    from epochal.study.batch_size.answer import Answer
    from epochal.study.batch_size.kept import BatchSizeRecord

    record = BatchSizeRecord.read(path.parent)
    return Answer.of(record.results) if record.study is not None else record.trials


def _history(path: Path) -> Any:
    from epochal.record.history import read_history

    read_history(path, losses=False)
    return read_history(path, check=True)


def _checkpoint(path: Path) -> Any:
    from epochal.record.checkpoint_file import load_checkpoint, read_header

    read_header(path)
    return load_checkpoint(path)


def _run_folder(path: Path) -> Any:
    from epochal.record.run_record import RunRecord

    record = RunRecord.read(path.parent, check=True)
    return record.to_dict(), record.facts()


def _landscape(path: Path) -> Any:
    from epochal.record.landscape_record import LandscapeRecord

    return LandscapeRecord.read(path).to_dict()


def _schema(path: Path) -> Any:
    from epochal.data.data_schema import Schema

    schema = Schema.from_json(path.read_bytes())
    return schema.to_json(), schema.outputs, schema.without_samples("none").train.x


def _pack(path: Path) -> Any:
    from epochal.data.packed.opening import load_pack

    data = load_pack(path.parent)
    return data.name, len(data.train), data.test.whole().x


def _pack_rows(path: Path) -> Any:
    from epochal.data.packed.verification import verify_pack

    return verify_pack(path.parent)


def _tar(path: Path) -> Any:
    from epochal.data.load_options import LoadOptions
    from epochal.data.packing.picture_rows import pictures_of_archives
    from epochal.data.packing.spool import spool_folder
    from epochal.data.packing.tar_shards import find_archives

    with spool_folder(path.parent / "spool") as place:
        archives = find_archives(str(path)) or {"train": [path]}
        data = pictures_of_archives(str(path), archives, LoadOptions(), place, None, None)
        train, test = data.train.whole(), data.test.whole()
        return train.x, train.y, test.x, test.y, data.class_names


def _records(path: Path) -> Any:
    from epochal.data.packing.array_records import count_records, decode_arrays, read_records
    from epochal.data.packing.python_rows import spool_splits
    from epochal.data.packing.spool import spool_folder

    with spool_folder(path.parent / "spool") as place:
        rows = {"train": read_records([path])}
        spooled = spool_splits(rows, place, samples={"train": count_records([path])}, decode=decode_arrays)
        return len(spooled["train"].y), spooled["train"].y


def _packing_log(path: Path) -> Any:
    from epochal.data.packed.journal import Journal

    journal = Journal(path.parent, {"what": "small", "name": "small", "record": {"x": "int8"}, "rows": 10})
    journal.close()
    return journal.shards, journal.sources


def _form(path: Path) -> Any:
    from epochal.engine.exported import read

    return read(path.read_bytes(), "form").name


def _checkpoint_name(content: bytes) -> str:
    """Return a name that fits the content, as a stranger would write it: with its hash, and its iteration."""
    said = re.search(rb"iteration\W{1,9}(\d{1,12})", content)
    number = int(said[1]) if said else 12
    return f"{number:012d}-{hashlib.sha256(content).hexdigest()[:32]}.safetensors"


TRUE_CHECKPOINT = "checkpoint.safetensors"
_TOML = (
    b"[[a]]\n",
    b"a.b.c = 1\n",
    b"'''",
    b'"""',
    b"1e400",
    b"0x",
    b"1979-05-27T07:32:00Z",
    b"\\U0010ffff",
    b"[config]\n",
)
_CSV = (
    b'"', b'""', b",", b";", b"\t", b"|", b"\r", b"\r\n", b"\0", b"\n\n", b"NA", b"nan", b"inf", b"1e999", b"1_0",
    b"0x1", b"1,5", b"true", b"2020-01-01", b"\xff\xfe", b"\xef\xbb\xbf",
    "é".encode(), "１".encode(), "\u2028".encode(),
)  # fmt: skip
_HEADER = (b"'descr': '|O'", b"'<f8'", b"'|S0'", b"'<U9'", b"(1, 2)", b"True", b"(" * 40, b"9" * 30, b"\x93NUMPY")
_JSON = (b"[" * 500, b'"dict": {}', b"1e999", b"NaN", b"null", b"-1", b"9" * 400, b'"\\ud800"', b'{"array": ')

TARGETS = {
    one.name: one
    for one in (
        Target("idx", "train-images-idx3-ubyte", _idx, shaped=mutations.in_gzip),
        Target("npy", "new.npy", _npy, tokens=_HEADER),
        Target("npz", "data.npz", _npz, has_checksums=True, shaped=mutations.in_zip, tokens=_HEADER),
        Target("csv", "table.csv", _text_table, shaped=mutations.in_gzip, tokens=_CSV),
        Target("parquet", "table.parquet", _data),
        Target("feather", "table.feather", _data),
        Target("picture", "picture.png", _picture, shaped=mutations.in_png),
        Target("run-toml", "run.toml", _run_toml, shaped=mutations.in_toml, tokens=_TOML),
        Target("study-toml", "study.toml", _study_toml, shaped=mutations.in_toml, tokens=_TOML),
        Target("batch-size-toml", "batch-size.toml", _batch_size_toml, shaped=mutations.in_toml, tokens=_TOML),
        Target("history", "history.db", _history, has_checksums=True, shaped=mutations.in_history),
        Target("run-history", "history.db", _run_folder, beside="run", fed_with="history", has_checksums=True),
        Target("checkpoint", "checkpoint.safetensors", _checkpoint, shaped=mutations.in_safetensors, tokens=_JSON,
               renamed=_checkpoint_name),
        Target("landscape", "landscape.json", _landscape, shaped=mutations.in_json, tokens=_JSON),
        Target("schema", "preprocessing.json", _schema, shaped=mutations.in_json, tokens=_JSON),
        Target("pack", "data.toml", _pack, beside="pack", shaped=mutations.in_toml, tokens=_TOML),
        Target("pack-rows", "train-00000.rows", _pack_rows, beside="pack", has_checksums=True),
        Target("tar", "data.tar", _tar, shaped=mutations.in_gzip),
        Target("array-record", "data.array_record", _records, shaped=mutations.in_records),
        Target("packing-log", "packing.jsonl", _packing_log, shaped=mutations.in_json_lines, tokens=_JSON),
        Target("form", "model.stablehlo", _form),
    )
}  # fmt: skip
