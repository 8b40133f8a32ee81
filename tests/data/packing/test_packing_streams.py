"""Rows that come one by one: from Python, from ArrayRecord files, from Hugging Face's data sets."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from same_data import assert_same, packed

from epochal.data import from_arrays, load_data, pack
from epochal.data.packing import frame_blocks, python_rows
from epochal.data.packing.stamps import stamp_of
from epochal.errors import DataError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(300, 5)), RNG.integers(0, 3, 300)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_rows, "_MOST", 7)
    monkeypatch.setattr(frame_blocks, "ROWS", 37)


def pairs(x: Any = X, y: Any = Y) -> Iterator[tuple[Any, Any]]:
    yield from zip(x, y, strict=True)


def names_in(folder: Path) -> list[str]:
    """What is there, but for the cache that each test has."""
    return sorted(path.name for path in folder.iterdir() if path.name != "cache")


@pytest.mark.parametrize("options", [{}, {"test": 0.3, "validation": 0.1, "seed": 4}, {"task": "regression"}], ids=str)
def test_a_generator_comes_out_as_its_arrays(tmp_path: Path, options: dict[str, Any]) -> None:
    assert_same(load_data((X, Y), **options), packed(pairs(), tmp_path / "pack", **options))


def test_targets_of_every_kind(tmp_path: Path) -> None:
    for number, y in enumerate((["low", "higher"] * 150, X[:, 0], X[:, :2], np.eye(3)[Y])):
        assert_same(load_data((X, np.asarray(y))), packed(pairs(y=y), tmp_path / str(number)))


def test_a_generator_of_test_rows(tmp_path: Path) -> None:
    data = packed(pairs(), tmp_path / "pack", test=pairs(X[:9], Y[:9]), class_names=["a", "b", "c"])
    assert_same(from_arrays(X, Y, test=(X[:9], Y[:9]), class_names=["a", "b", "c"]), data)


def test_samples_of_several_parts(tmp_path: Path) -> None:
    tokens, mask = RNG.integers(0, 50, (60, 4)), RNG.integers(0, 2, (60, 4)) > 0
    rows = ({"y": Y[i], "x": {"tokens": tokens[i], "mask": mask[i]}} for i in range(60))
    given = from_arrays({"tokens": tokens, "mask": mask}, Y[:60], as_given=True)
    assert_same(given, packed(rows, tmp_path / "pack"))


def test_a_decode_function_makes_rows_of_anything(tmp_path: Path) -> None:
    lines = (f"{label}:{' '.join(map(str, row))}" for row, label in pairs())

    def decode(line: str) -> tuple[list[float], str]:
        label, _, numbers = line.partition(":")
        return [float(one) for one in numbers.split()], label

    assert_same(load_data((X, Y.astype(str))), packed(lines, tmp_path / "pack", decode=decode))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "the source is empty"),
        ([3], r"row 0 \(from 0\) is no pair \(x, y\), but int 3"),
        (
            [(np.ones((2, 3, 1)), 0), (np.ones((1, 3, 1)), 0)],
            r"row 1 .*: x is float64 of shape \(1, 3, 1\), and row 0's",
        ),
        ([([1.0], 0), ([1], 0)], r"row 1 \(from 0\): x is int64 of shape"),
        ([([1.0], "a"), ([1.0], 1)], r"row 1 \(from 0\): y is an integer, and row 0's is a text"),
        ([([1.0], 0), ([float("nan")], 1)], r"row 1 \(from 0\) holds a value that is missing"),
        ([(["a"], 0)], "row 0 .* holds .* samples are numbers"),
        ([({"a": [1.0]}, 0), ({"b": [1.0]}, 0)], r"row 1 \(from 0\) has the parts x\['b'\], and row 0 has x\['a'\]"),
    ],
)
def test_an_odd_row_is_named(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        pack(iter(rows), tmp_path / "pack")
    assert names_in(tmp_path) == [], "nothing half-written"


def test_a_decode_function_that_fails_is_named_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 0 \(from 0\): the decode function failed \(ZeroDivisionError"):
        pack(pairs(), tmp_path / "pack", decode=lambda row: 1 // 0)


def test_a_wrong_number_of_rows_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the source gave 300 rows, and 301 were announced"):
        pack(pairs(), tmp_path / "pack", samples=301)


def test_too_little_room_is_said_before_anything_is_packed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="MB free"):
        pack(pairs(), tmp_path / "pack", samples=10**14)
    assert names_in(tmp_path) == []


def test_folders_that_are_something_else(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("")
    for name, message in (("full", "holds other files"), ("file", "is no folder")):
        with pytest.raises(DataError, match=message):
            pack(pairs(), tmp_path / name)

    pack(pairs(), tmp_path / "pack")
    with pytest.raises(DataError, match="holds a pack already"):
        pack(pairs(), tmp_path / "pack")
    with pytest.raises(DataError, match="is a pack already"):
        pack(tmp_path / "pack", tmp_path / "other")
    assert_same(load_data((X, X[:, 0])), packed(pairs(y=X[:, 0]), tmp_path / "pack", force=True))


def test_what_is_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packing that fails after some files is given again: it keeps them, and ends with the same pack."""
    whole = packed(pairs(), tmp_path / "whole", shard_bytes=1000, name="rows")

    class StopError(Exception):
        pass

    def stop(title: str, done: int, total: int) -> None:
        if title.startswith("rows (") and done > total // 2:
            raise StopError

    with pytest.raises(StopError):
        pack(pairs(), tmp_path / "pack", shard_bytes=1000, name="rows", progress=stop)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "pack").glob("*.rows")}
    data = packed(pairs(), tmp_path / "pack", shard_bytes=1000, name="rows")
    assert data.fingerprint == whole.fingerprint
    assert all((tmp_path / "pack" / name).stat().st_mtime_ns == time for name, time in before.items())
    assert names_in(tmp_path) == ["pack", "whole"], "no temporary files are left"


def test_a_source_that_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    def stop(title: str, done: int, total: int) -> None:
        if title.startswith("rows ("):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(pairs(), tmp_path / "pack", name="rows", progress=stop)
    with pytest.raises(DataError, match="interrupted"):
        pack(pairs(X + 1), tmp_path / "pack", name="rows")


def test_a_stamp_tells_files_and_options_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    first = stamp_of(path, {})
    assert stamp_of(path, {}) == first != stamp_of(path, {"target": "a"})
    path.write_text("a,b\n1,2\n3,4\n")
    assert stamp_of(path, {}) != first


# --- files and libraries ----------------------------------------------------------------------------------------------


def write_records(path: Path, records: list[bytes]) -> Path:
    module = pytest.importorskip("array_record.python.array_record_module", reason="array_record is not installed")
    writer = module.ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()
    return path


def archived(x: Any, y: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, x=x, y=y)
    return file.getvalue()


def test_records_of_arrays(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    for part in (0, 1):
        rows = range(part * 150, part * 150 + 150)
        write_records(
            tmp_path / "records" / f"a.array_record-{part:05d}-of-00002", [archived(X[i], Y[i]) for i in rows]
        )
    assert_same(load_data((X, Y)), packed(tmp_path / "records", tmp_path / "pack"))


def test_records_of_anything_with_a_decode_function(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.array_record", [X[i].tobytes() + bytes([Y[i]]) for i in range(300)])
    data = packed(path, tmp_path / "pack", decode=lambda record: (np.frombuffer(record[:-1]), int(record[-1])))
    assert_same(load_data((X, Y)), data)
    with pytest.raises(DataError, match=r"a record is no archive of numpy\.savez with x and y"):
        pack(path, tmp_path / "other")


@pytest.mark.parametrize("size", [0, 300, 100_000])
def test_damaged_records_are_named(tmp_path: Path, size: int) -> None:
    path = write_records(tmp_path / "a.array_record", [archived(X[i], Y[i]) for i in range(300)])
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"a\.array_record: "):
        pack(path, tmp_path / "pack")


def made_by_hugging_face(kind: str) -> Any:
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets is not installed")
    label = datasets.ClassLabel(names=["u", "v", "w"])
    if kind == "table":
        features = datasets.Features({"a": datasets.Value("float64"), "c": datasets.Value("string"), "label": label})
        content = {"a": X[:, 0], "c": np.array(["x", "y", "z"])[Y], "label": RNG.integers(0, 3, 300)}
    else:
        features = datasets.Features({"v": datasets.Sequence(datasets.Value("float32"), length=5), "label": label})
        content = {"v": X.astype(np.float32), "label": Y}
    return datasets.Dataset.from_dict(content, features=features)


@pytest.mark.parametrize("kind", ["table", "vectors"])
def test_data_sets_of_hugging_face(tmp_path: Path, kind: str) -> None:
    data = made_by_hugging_face(kind)
    assert_same(load_data(data), packed(data, tmp_path / "whole"))
    assert_same(load_data(data), packed(data.to_iterable_dataset(), tmp_path / "stream"))
    splits = {"train": data, "test": data.select(range(50))}
    import datasets

    several = datasets.DatasetDict(splits)
    assert_same(load_data(several), packed(several, tmp_path / "several"))
