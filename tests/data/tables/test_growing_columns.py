"""Columns that are read block by block are what `to_column` makes of all of their texts, in little memory."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from epochal.data.tables import exact_reader, growing_columns, text_reader
from epochal.data.tables.table import Table
from epochal.data.tables.values import has_decimal_comma, to_column
from epochal.errors import DataError

WORDS = (
    "1",
    "2.5",
    "-3e4",
    " 7 ",
    "1.000",
    "1,5",
    "",
    "NA",
    "-",
    "none",
    "1_0",
    "inf",
    "x",
    "true",
    "2020-01-02",
    "$3",
)
MEMORY = Path(__file__).with_name("table_memory.py")


def written(path: Path, seed: int) -> None:
    draw = random.Random(seed)
    columns = [draw.choices(WORDS, k=draw.randint(1, 3)) for _ in range(5)]
    late = draw.choice(WORDS)
    rows = [";".join(draw.choice(words) for words in columns) for _ in range(40)]
    rows.append(";".join([late] * 5))
    path.write_text("a;b;c;d;e;f\n" + "\n".join(f"{row};z" for row in rows) + "\n")


def read(path: Path) -> Table | str:
    try:
        return text_reader.read_text_table(path, has_header=True, names=None)
    except DataError as error:
        return str(error)


def as_texts_first(path: Path) -> list[tuple[str, str, object]] | str:
    """Return what a table was before: all of its values are texts until all of them are there."""
    content = text_reader.read_content(path, None)
    separator, rows = text_reader.first_rows(content, path)
    form = text_reader.recognise(path, separator, rows, True, None)
    columns = exact_reader.read_exactly(content, path, form)
    comma = separator != "," and has_decimal_comma(columns)
    try:
        typed = [to_column(name, one, decimal_comma=comma) for name, one in zip(form.names, columns, strict=True)]
    except DataError as error:
        return f"{path}: {error}"
    return [(one.kind, one.read_as, one.values) for one in typed]


@pytest.mark.parametrize("height", [1, 7, 1000])
def test_a_column_is_what_all_of_its_texts_are(height: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(text_reader, "find_spec", lambda name: None)
    monkeypatch.setattr(growing_columns, "CELLS", 6 * height)
    path, seen = tmp_path / "table.csv", set()
    for seed in range(25):
        written(path, seed)
        table, wanted = read(path), as_texts_first(path)
        if isinstance(table, str):
            assert table == wanted
            continue
        assert not isinstance(wanted, str)
        for column, (kind, read_as, values) in zip(table.columns[:-1], wanted[:-1], strict=True):
            assert (column.kind, column.read_as) == (kind, read_as), (seed, column.name)
            np.testing.assert_array_equal(column.values, values)
            seen.add((kind, read_as))
    assert {("number", ""), ("text", ""), ("number", "decimal comma")} <= seen


def test_a_column_that_turns_into_texts_late_is_read_again() -> None:
    column = growing_columns.GrowingColumn(is_text=False)
    column.add(["1", "2"])
    column.add(["x", "3"])
    column.end()
    assert column.is_lost


def test_signs_for_nothing_alone_are_texts() -> None:
    column = growing_columns.GrowingColumn(is_text=False)
    column.add(["-", "-"])
    column.end()
    assert column.is_lost


def test_equal_texts_are_kept_once() -> None:
    column = growing_columns.GrowingColumn(is_text=True)
    column.add(["red wine"])
    column.add(["".join(["red ", "wine"])])
    first, second = column.values()
    assert first is second


def times_its_file(kind: str, megabytes: int) -> float:
    command = [sys.executable, str(MEMORY), kind, str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return float(done.stdout.split()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in kB on Linux alone")
def test_a_table_of_numbers_takes_a_few_times_its_file() -> None:
    assert times_its_file("numbers", 6) < 5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in kB on Linux alone")
@pytest.mark.parametrize("kind", ["numbers", "texts", "names", "quotes", "commas", "utf-8"])
def test_a_table_of_any_kind_takes_a_few_times_its_file(kind: str) -> None:
    assert times_its_file(kind, 20) < 5
