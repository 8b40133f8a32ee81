"""Sequences of different lengths: packed as they are, from every source that holds them, and read padded."""

from __future__ import annotations

import io
import tarfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jax import numpy as jnp
from jax import random
from same_data import assert_same, packed

from epochal import from_functions, load_data, train
from epochal.data import pack
from epochal.data.dataset import Dataset
from epochal.data.packed.opening import load_pack
from epochal.data.packed.verification import verify_pack
from epochal.errors import DataError, EpochalError

RNG = np.random.default_rng(0)
TOKENS = [RNG.integers(0, 50, RNG.integers(1, 18)) for _ in range(300)]
LONGEST = max(map(len, TOKENS))
Y = np.array([int(row[0] > 24) for row in TOKENS])
PADDED = np.array([np.pad(row, (0, LONGEST - len(row))) for row in TOKENS])
LENGTHS = np.array([len(row) for row in TOKENS])


def in_memory(**parts: Any) -> Dataset:
    """The data set of the padded rows, which nothing packed."""
    return load_data((parts or {"values": PADDED, "length": LENGTHS}, Y), as_given=True)


def pairs() -> Iterator[tuple[Any, int]]:
    return zip(TOKENS, Y.tolist(), strict=True)


def model() -> Any:
    """The mean of the vectors of a row's own tokens."""

    def init(key: Any) -> Any:
        return {"table": random.normal(key, (50, 4)), "last": jnp.zeros((4, 2))}

    def apply(params: Any, x: Any) -> Any:
        own = jnp.arange(x["values"].shape[1]) < x["length"][:, None]
        return (params["table"][x["values"]] * own[..., None]).sum(1) / x["length"][:, None] @ params["last"]

    return from_functions(init, apply)


# --- the same data set, whatever it comes from ------------------------------------------------------------------------


def test_a_generator_s_rows_come_back_padded_with_their_lengths(tmp_path: Path) -> None:
    data = packed(pairs(), tmp_path / "pack")
    assert_same(in_memory(), data)
    assert data.notes[0].startswith(f"'values': rows have 1 to {LONGEST} values, ")


def test_plain_numpy_reads_values_by_their_offsets(tmp_path: Path) -> None:
    D = pack(pairs(), tmp_path / "pack")
    manifest = tomllib.loads((D / "data.toml").read_text())
    rows = np.memmap(D / "train-00000.rows", np.dtype(manifest["record"]), "r")
    values = np.memmap(D / "train-00000.values", manifest["ragged"][0]["type"], "r")
    wanted = load_pack(D).train.take(rows["id"].astype(np.int64)).x["values"]
    for row, own in zip(rows, wanted, strict=True):
        start, length = int(row["at"]) // values.itemsize, int(row["x['length']"])
        np.testing.assert_array_equal(values[start : start + length], own[:length])
        assert not own[length:].any()


def test_parts_of_different_lengths_beside_parts_of_one(tmp_path: Path) -> None:
    marks = [RNG.random((RNG.integers(1, 5), 3)).astype(np.float32) for _ in TOKENS]
    age = RNG.random(300).astype(np.float32)
    rows = ({"tokens": t, "marks": m, "age": a} for t, m, a in zip(TOKENS, marks, age, strict=True))
    data = packed(zip(rows, Y.tolist(), strict=True), tmp_path / "pack")
    stacked = np.array([np.pad(row, ((0, 4 - len(row)), (0, 0))) for row in marks])
    parts = {"tokens": PADDED, "tokens_length": LENGTHS, "age": age,
             "marks": stacked, "marks_length": [len(row) for row in marks]}  # fmt: skip
    given = in_memory(**{name: np.asarray(one) for name, one in parts.items()})
    np.testing.assert_array_equal(given.train.take(np.arange(20)).x["marks"], data.train.take(np.arange(20)).x["marks"])
    assert data.preprocessing.scale["marks"].tolist() == 1  # padding stays 0
    assert data.preprocessing.scale["age"] == given.preprocessing.scale["age"]


def test_what_is_longer_is_cut_to_a_length_that_is_asked_for(tmp_path: Path) -> None:
    data = packed(pairs(), tmp_path / "pack", length=5)
    given = in_memory(values=PADDED[:, :5], length=np.minimum(LENGTHS, 5))
    assert_same(given, data)
    assert f"'values': {(LENGTHS > 5).sum()} longer rows were cut" in data.notes
    assert packed(pairs(), tmp_path / "wide", length=40).sample_shape == {"values": (40,), "length": ()}


@pytest.mark.parametrize("same_for", [1, 150, 299])
def test_rows_may_begin_alike(tmp_path: Path, same_for: int) -> None:
    rows = [PADDED[i, :3] if i < same_for else TOKENS[i] for i in range(300)]
    lengths = np.array(list(map(len, rows)))
    longest = int(lengths.max())
    values = np.array([np.pad(row, (0, longest - len(row))) for row in rows])
    assert_same(in_memory(values=values, length=lengths), packed(zip(rows, Y, strict=True), tmp_path / "pack"))


def test_test_rows_may_be_longer_than_those_for_training(tmp_path: Path) -> None:
    data = packed(((row[:2], y) for row, y in pairs() if len(row) > 1), tmp_path / "pack", test=pairs())
    assert data.sample_shape == {"values": (LONGEST,), "length": ()}
    np.testing.assert_array_equal(data.test.take(np.arange(300)).x["values"], PADDED)


def of_parquet(folder: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"tokens": [row.tolist() for row in TOKENS], "label": Y})
    parquet.write_table(table, folder / "a.parquet", row_group_size=70)
    return folder / "a.parquet"


def of_arrow(folder: Path) -> Any:
    import pyarrow as pa

    table = pa.table({"tokens": pa.array([row.tolist() for row in TOKENS], pa.large_list(pa.int16())), "label": Y})
    with pa.OSFile(str(folder / "a.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=64)
    return folder / "a.arrow"


def of_hugging_face(folder: Path) -> Any:
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets is not installed")
    features = datasets.Features({"tokens": datasets.List(datasets.Value("int32")), "label": datasets.Value("int64")})
    return datasets.Dataset.from_dict({"tokens": [row.tolist() for row in TOKENS], "label": Y}, features=features)


def streamed(folder: Path) -> Any:
    return of_hugging_face(folder).to_iterable_dataset()


def of_records(folder: Path) -> Any:
    module = pytest.importorskip("array_record.python.array_record_module", reason="array_record is not installed")
    writer = module.ArrayRecordWriter(str(folder / "a.array_record"), "group_size:1")
    for row, y in pairs():
        writer.write(bytes([y, *row]))
    writer.close()
    return folder / "a.array_record"


def of_archive(folder: Path) -> Any:
    with tarfile.open(folder / "a.tar", "w") as archive:
        for number, (row, y) in enumerate(pairs()):
            content = io.BytesIO()
            np.save(content, row)
            for ending, data in (("npy", content.getvalue()), ("cls", str(y).encode())):
                member = tarfile.TarInfo(f"{number:05}.{ending}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return folder / "a.tar"


@pytest.mark.parametrize("make", [of_parquet, of_arrow, of_hugging_face, streamed, of_records, of_archive])
def test_every_source_of_lists_gives_the_same(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    options: dict[str, Any] = {"target": "label"}
    if make is of_archive:
        options = {}
    if make is of_records:
        options = {"decode": lambda record: (np.frombuffer(record[1:], np.uint8).astype(np.int32), record[0])}
    assert_same(in_memory(), packed(make(tmp_path), tmp_path / "pack", **options))


def test_lists_and_numbers_of_a_file_are_a_dictionary(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"a": [row.tolist() for row in TOKENS], "b": np.arange(300.0), "c": ["x"] * 300, "label": Y})
    parquet.write_table(table, tmp_path / "a.parquet")
    data = packed(tmp_path / "a.parquet", tmp_path / "pack", drop=("c",))
    assert data.sample_shape == {"a": (LONGEST,), "a_length": (), "b": ()}
    with pytest.raises(DataError, match=r"column 'c' holds string; beside lists, numbers and truth values are taken"):
        pack(tmp_path / "a.parquet", tmp_path / "other")


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_a_run_s_bits_do_not_depend_on_how_rows_are_stored(tmp_path: Path, batch_size: int) -> None:
    D = pack(pairs(), tmp_path / "pack", shard_bytes=2000)
    assert len(list(D.glob("train-*.values"))) > 3
    runs = [train(data, model=model(), batch_size=batch_size, epochs=1, run=False) for data in (in_memory(), D)]
    assert runs[0].weights_sha256 == runs[1].weights_sha256
    assert all(row.is_exact for row in runs[1].history.epochs)


def test_the_command_line_packs_and_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from epochal.cli.main import main

    of_parquet(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(_NET)
    assert main(["data", "pack", "a.parquet", "P", "--target", "label", "--length", "12"]) == 0
    assert f"'values': {(LENGTHS > 12).sum()} longer rows were cut" in capsys.readouterr().out
    assert main(["data", "P"]) == 0
    assert "length: –, values: 12" in capsys.readouterr().out
    assert main(["train", "P", "--model", "net.py:build", "--epochs", "1", "--run", "r", "--json"]) == 0
    assert main(["data", "pack", "a.parquet", "Q", "--target", "labels"]) == 2
    assert "label" in capsys.readouterr().err


_NET = """
import jax, jax.numpy as jnp
from epochal import from_functions

def build(sample_shape, outputs):
    def apply(table, x):
        own = jnp.arange(sample_shape["values"][0]) < x["length"][:, None]
        return (table[x["values"]] * own[..., None]).sum(1) / x["length"][:, None]

    return from_functions(lambda key: jax.random.normal(key, (50, outputs)), apply)
"""


def test_a_pack_of_a_pack_is_the_pack(tmp_path: Path) -> None:
    from epochal.data.packed.pack_writer import write_pack

    D = pack(pairs(), tmp_path / "pack", name="one")
    write_pack(tmp_path / "again", load_data(D), what="again")
    for name in ("train-00000.rows", "train-00000.values", "test-00000.values"):
        assert (D / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert verify_pack(D).rows == 300


# --- damage and bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(0, 2000, 251))
def test_a_changed_byte_of_the_values_is_named(tmp_path: Path, place: int) -> None:
    D = pack(pairs(), tmp_path / "pack")
    values = D / "train-00000.values"
    content = bytearray(values.read_bytes())
    content[place] ^= 1
    values.write_bytes(content)
    with pytest.raises(DataError, match=r"train-00000\.values: the values of row [\d,]+ \(sample [\d,]+\) do not fit"):
        verify_pack(D)


def test_a_changed_byte_of_the_values_ends_a_training(tmp_path: Path) -> None:
    D = pack(pairs(), tmp_path / "pack")
    values = D / "train-00000.values"
    values.write_bytes(values.read_bytes()[:-16] + b"x" * 16)
    with pytest.raises(
        DataError, match=r"train-00000\.values(: the values of row .* do not fit| is not the file that)"
    ):
        train(str(D), model=model(), epochs=1, run=False)


def test_exchanged_values_of_two_rows_are_found(tmp_path: Path) -> None:
    D = pack(((np.full(2 + number % 2, number), number % 2) for number in range(100)), tmp_path / "pack")
    values = D / "train-00000.values"
    words = np.fromfile(values, np.uint64)
    words[:2] = words[1::-1]
    words.tofile(values)
    with pytest.raises(DataError, match="do not fit their checksum"):
        verify_pack(D)


def test_missing_short_and_foreign_files_of_values_are_refused(tmp_path: Path) -> None:
    D, other = pack(pairs(), tmp_path / "pack"), pack(((row[::-1], y) for row, y in pairs()), tmp_path / "other")
    values = D / "train-00000.values"
    content = values.read_bytes()
    values.write_bytes(content[:-8])
    with pytest.raises(DataError, match=r"train-00000\.values has [\d,]+ bytes, and its values are [\d,]+"):
        load_pack(D)
    values.write_bytes((other / values.name).read_bytes())
    with pytest.raises(DataError, match="do not fit their checksum"):
        verify_pack(D)
    values.unlink()
    with pytest.raises(DataError, match=r"train-00000\.values: cannot be opened"):
        load_pack(D)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('part = "values"', 'part = "length"'), ('part = "values"', 'part = "x"'), ('type = "<i4"', 'type = "<i8"'),
        ("value_bytes = ", "value_byte = "), ('lengths = "length"', 'lengths = "values"'), ("[[ragged]]", "[[rugged]]"),
    ],
)  # fmt: skip
def test_a_manifest_whose_ragged_parts_do_not_fit_is_refused(tmp_path: Path, before: str, after: str) -> None:
    path = pack(pairs(), tmp_path / "pack") / "data.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(DataError, match=r"data\.toml.*(is damaged|its rows are not those)") as caught:
        load_pack(path.parent)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([([1, 2], 0), ([3.5], 1)], {}, r"row 1 \(from 0\): x is float64 of shape \(1,\), and row 0's is int64"),
        ([([1], 0), ([2**40, 2], 1)], {}, r"row 1 \(from 0\) holds a value that is missing or beyond 32-bit integers"),
        ([([1.0], 0), ([2.0, np.nan], 1)], {}, r"row 1 .* holds a value that is missing or beyond 32-bit floats"),
        ([(["a"], 0), (["b", "c"], 1)], {}, r"row 0 \(from 0\) holds <U1 such as a; samples are numbers"),
        ([([1], 0), ([2], 1)], {"length": 3}, "length=3 is for rows of different lengths, and these have one length"),
        ([([1], 0), ([2, 3], 1)], {"length": 0}, "length is 0, and a row has at least one value"),
        ([({"a": [1], "a_length": 1}, 0), ({"a": [1, 2], "a_length": 2}, 1)], {},
         "x has a part 'a_length', which is what the lengths of 'a' are called; rename it"),
        ([((np.ones((1, 2, 2)), np.ones(1)), 0), ((np.ones((2, 2, 2)), np.ones(1)), 1)], {}, "make them alike"),
    ],
)  # fmt: skip
def test_what_cannot_be_padded_is_refused(tmp_path: Path, rows: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(EpochalError, match=message) as caught:
        pack(iter(rows), tmp_path / "pack", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [], "nothing half-written"


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([[1], None, [2]], r"column 'a' has no value in row 1 \(from 0\)"),
        ([[1], [None]], "lists with missing values"),
        ([["a"], ["b", "c"]], "lists of string; lists of numbers are taken"), ([[[1]], [[2]]], "lists of list"),
    ],
)  # fmt: skip
def test_odd_columns_of_lists_are_named(tmp_path: Path, column: Any, message: str) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": column, "y": list(range(len(column)))}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message):
        pack(tmp_path / "a.parquet", tmp_path / "pack")


@pytest.mark.parametrize("source", ["digits", "table.csv", (PADDED, Y)])
def test_a_length_of_what_has_one_is_refused(tmp_path: Path, source: Any) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n3,4\n")
    given = tmp_path / source if isinstance(source, str) and source.endswith(".csv") else source
    with pytest.raises(DataError, match=r"length=3 is for rows of different lengths, and .* has none; leave it out"):
        pack(given, tmp_path / "pack", length=3)


def test_arrays_of_objects_are_refused_as_ever(tmp_path: Path) -> None:
    objects = np.empty(300, object)
    objects[:] = TOKENS
    np.savez(tmp_path / "a.npz", x=objects, y=Y)
    with pytest.raises(DataError, match=r"a\.npz"):
        pack(tmp_path / "a.npz", tmp_path / "pack")


def test_a_model_of_the_product_s_own_refuses_several_parts(tmp_path: Path) -> None:
    with pytest.raises(EpochalError, match="mlp takes one array of samples, and these have several parts"):
        train(str(pack(pairs(), tmp_path / "pack")), model="mlp", epochs=1, run=False)
