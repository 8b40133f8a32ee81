"""Tables that are read in blocks: every number is what reading them whole gives."""

from __future__ import annotations

import gzip
import itertools
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from same_data import assert_same, packed

from epochal.data import load_data, pack
from epochal.data.packing import array_files, frame_blocks, table_rows, text_blocks
from epochal.errors import DataError

N = 600


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read every file in blocks, and in many of them."""
    monkeypatch.setattr(table_rows, "LARGE", 0)
    monkeypatch.setattr(table_rows, "_ROWS", 53)
    monkeypatch.setattr(text_blocks, "BLOCK", 2000)
    monkeypatch.setattr(frame_blocks, "ROWS", 37)
    monkeypatch.setattr(array_files, "LARGE", 0)
    monkeypatch.setattr(array_files, "_BLOCK", 500)


def columns() -> dict[str, Sequence[Any]]:
    """Columns of every kind; some show what they are only in the last rows."""
    rng = np.random.default_rng(1)
    late = [f"{value:.6f}" for value in rng.normal(size=N)]
    late[3], late[500] = "1.5", "NA"
    words = [str(value) for value in rng.integers(0, 9, N)]
    words[550] = "none"
    return {
        "number": rng.normal(size=N).tolist(),
        "city": np.array(["Bonn", "Köln", "Ulm", "", "Aachen"])[rng.integers(0, 5, N)].tolist(),
        "late": late,
        "words": words,
        "date": [f"{rng.integers(1, 29):02d}.{rng.integers(1, 13):02d}.20{rng.integers(10, 25)}" for _ in range(N)],
        "truth": np.array(["yes", "no"])[rng.integers(0, 2, N)].tolist(),
        "id": [f"id{row}" for row in range(N)],
        "quoted": ['"x, y"' if row % 3 else '"a ""q""\nline"' for row in range(N)],
        "kind": np.array(["setosa", "virginica", "versicolor"])[rng.integers(0, 3, N)].tolist(),
        "price": [f"{value:.4f}" if row not in (5, 590) else "" for row, value in enumerate(rng.normal(size=N) * 100)],
        "count": rng.integers(0, 3, N).tolist(),
    }


def write(path: Path, table: Mapping[str, Sequence[Any]], separator: str = ",", encoding: str = "utf-8") -> Path:
    rows = [separator.join(map(str, row)) for row in zip(*table.values(), strict=True)]
    path.write_bytes("\n".join([separator.join(table), *rows, ""]).encode(encoding))
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"target": "kind"},
        {"target": "kind", "validation": 0.1, "seed": 5, "drop": ["city"]},
        {"target": "count"},
        {"target": "count", "task": "regression", "test": 0.3},
        {"target": "price", "features": ["number", "city", "date"]},
        {"target": "late", "categorical": ["words"]},
        {"target": "price,number"},
        {"target": "kind", "fold": "2/5"},
    ],
    ids=str,
)
def test_a_text_table_comes_out_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(tmp_path / "table.csv", columns())
    assert_same(load_data(path, **options), packed(path, tmp_path / "pack", **options))


def test_encodings_separators_and_compression(tmp_path: Path) -> None:
    table = columns()
    comma = {**table, "number": [f"{value:.3f}".replace(".", ",") for value in table["number"]]}
    paths = [
        write(tmp_path / "comma.csv", {name: comma[name] for name in ("number", "late", "kind")}, ";"),
        write(tmp_path / "wide.csv", {name: table[name] for name in ("number", "city", "count")}, encoding="utf-16"),
        write(tmp_path / "tabs.tsv", {name: table[name] for name in ("city", "number", "price")}, "\t"),
    ]
    packed_file = tmp_path / "packed.csv.gz"
    packed_file.write_bytes(gzip.compress(paths[0].read_bytes()))
    for number, path in enumerate([*paths, packed_file]):
        assert_same(load_data(path), packed(path, tmp_path / f"pack{number}"))


def test_a_table_without_names_and_test_rows_in_a_file(tmp_path: Path) -> None:
    table = {name: columns()[name] for name in ("number", "late", "kind")}
    path, other = write(tmp_path / "a.csv", table), write(tmp_path / "b.csv", table)
    assert_same(load_data(path, test=other), packed(path, tmp_path / "pack", test=other))

    bare = tmp_path / "bare.csv"
    bare.write_bytes(path.read_bytes().partition(b"\n")[2])
    assert_same(load_data(bare), packed(bare, tmp_path / "bare"))


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_parquet_and_arrow_come_out_the_same(tmp_path: Path, suffix: str) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    table = columns()
    frame = pa.table(
        {
            "number": table["number"],
            "city": [text or None for text in table["city"]],
            "late": table["late"],
            "truth": [text == "yes" for text in table["truth"]],
            "count": table["count"],
        }
    )
    path = tmp_path / f"table{suffix}"
    if suffix == ".parquet":
        parquet.write_table(frame, path, row_group_size=100)
    else:
        feather.write_feather(frame, path, compression="uncompressed")
    assert_same(load_data(path), packed(path, tmp_path / "pack"))


def test_arrays_in_a_file_come_out_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(N, 4, 3)), rng.integers(0, 4, N)
    np.savez(tmp_path / "one.npz", x=x, y=y)
    np.savez_compressed(tmp_path / "two.npz", x_train=x, y_train=x[:, 0, 0], x_test=x[:9], y_test=x[:9, 0, 0])
    np.savez(tmp_path / "three.npz", x=rng.integers(0, 255, (300, 3, 8, 9), dtype=np.uint8), y=y[:300])
    for name in ("one", "two", "three"):
        path = tmp_path / f"{name}.npz"
        assert_same(load_data(path), packed(path, tmp_path / name))


def test_the_comparison_would_notice_one_bit(tmp_path: Path) -> None:
    """The control: fitting on all rows instead of the training rows gives other numbers."""
    path = write(tmp_path / "table.csv", {name: columns()[name] for name in ("number", "kind")})
    with pytest.raises(AssertionError):
        assert_same(load_data(path, test=0.3), packed(path, tmp_path / "pack"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [*lines[:400], lines[400] + ",1", *lines[401:]], "line 401 has 4 columns, the first line 3"),
        (lambda lines: [*lines[:400], lines[400].replace(",", ',"', 1), *lines[401:]], "a quote that is never closed"),
        (lambda lines: lines[:1], "has a line of column names but no rows"),
    ],
)
def test_a_damaged_text_is_named_in_one_line(tmp_path: Path, damage: Any, message: str) -> None:
    path = write(tmp_path / "table.csv", {name: columns()[name] for name in ("number", "late", "kind")})
    path.write_text("\n".join(damage(path.read_text().splitlines())) + "\n")
    with pytest.raises(DataError, match=message):
        pack(path, tmp_path / "pack")
    assert {one.name for one in tmp_path.iterdir()} - {"cache"} == {"table.csv"}, "nothing half-written"


def test_a_column_of_texts_that_fit_no_memory_can_be_dropped(tmp_path: Path) -> None:
    """A dropped column is never looked at."""
    table = columns()
    path = write(tmp_path / "table.csv", {"id": table["id"], "number": table["number"], "kind": table["kind"]})
    assert_same(load_data(path, drop=["id"]), packed(path, tmp_path / "pack", drop=["id"]))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_fitting_takes_few_bytes_a_row(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column's numbers and those of its training rows: 22 bytes. Texts as objects, in three lists, took 65."""
    import polars as pl

    rows, peaks, real = 20_000, [], table_rows._fit
    random = np.random.default_rng(0)
    places = np.array([f"place {number}" for number in range(50)])[random.integers(0, 50, rows)]
    frame = pl.DataFrame({"n": random.normal(size=rows), "place": places, "label": random.integers(0, 2, rows)})
    path = tmp_path / f"table.{suffix}"
    if suffix == "csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)

    def fit(*arguments: Any) -> Any:
        tracemalloc.start()
        try:
            return real(*arguments)
        finally:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    for module, name in ((table_rows, "_ROWS"), (frame_blocks, "ROWS")):
        monkeypatch.setattr(module, name, 4096)
    monkeypatch.setattr(text_blocks, "BLOCK", 1 << 18)
    monkeypatch.setattr(table_rows, "_fit", fit)
    pack(path, tmp_path / "pack", target="label")
    assert len(peaks) == 1
    assert peaks[0] < 40 * rows


def test_blocks_end_with_whole_rows() -> None:
    text = b'a,b\n1,"x\ny"\n2,"z'
    ends = [text_blocks._last_end(text[:length]) for length in range(len(text) + 1)]
    assert sorted(set(ends)) == [0, 4, 12]
    assert all(ends[length] <= length for length in range(len(text) + 1))
    assert all(b >= a for a, b in itertools.pairwise(ends))
