"""Tables in text: what each dialect means, what is missing, and that no line is lost without a word."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal.data.tables import text_reader as text_module
from epochal.data.tables.table import Table
from epochal.data.tables.text_reader import read_text_table, typed_target
from epochal.errors import DataError


@pytest.fixture(params=["polars", "csv"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test twice: as Polars reads, and as the standard library does where Polars is missing."""
    if request.param == "csv":
        monkeypatch.setattr(text_module, "find_spec", lambda name: None)
    else:
        pytest.importorskip("polars")
    return str(request.param)


pytestmark = pytest.mark.usefixtures("reader")


def written(folder: Path, text: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def columns(table: Table) -> dict[str, list[Any]]:
    return {column.name: column.values.tolist() for column in table.columns}


def kinds(table: Table) -> list[str]:
    return [column.kind for column in table.columns]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.tsv", "a\tb\tkind\n1\t2\tred, dark\n3\t4\tblue\n"),
        ("t.csv", "a\tb\tkind\n1\t2\tred, dark\n3\t4\tblue\n"),
        ("t.csv", "a;b;kind\n1;2;red, dark\n3;4;blue\n"),
        ("t.csv", "a|b|kind\n1|2|red, dark\n3|4|blue\n"),
        ("t.csv", 'a,b,kind\n"1",2,"red, dark"\n\n3,4,blue\n'),
        ("t.csv", '\ufeffa,b,kind\r\n1, 2 ,"red, dark"\r\n3,4,blue'),
        ("t.txt", 'a,b,kind\r1,2,"red, dark"\r3,4,blue\r'),
    ],
)
def test_the_usual_dialects(tmp_path: Path, name: str, text: str) -> None:
    table = read_text_table(written(tmp_path, text, name))
    assert columns(table) == {"a": [1, 3], "b": [2, 4], "kind": ["red, dark", "blue"]}


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-8", None), ("utf-8-sig", None), ("utf-16", None), ("gbk", "gbk"), ("utf-16-le", "utf-16-le")],
)
def test_encodings(tmp_path: Path, encoding: str, said: str | None) -> None:
    path = written(tmp_path, "温度,城市\n1,北京\n2,上海\n".encode(encoding))
    assert columns(read_text_table(path, encoding=said)) == {"温度": [1, 2], "城市": ["北京", "上海"]}


def test_gzip(tmp_path: Path) -> None:
    packed = gzip.compress(b"a,y\n1,2\n3,4\n")
    assert columns(read_text_table(written(tmp_path, packed, "t.csv.gz")))["a"] == [1, 3]
    with pytest.raises(DataError, match="truncated gzip"):
        read_text_table(written(tmp_path, packed[:-6], "u.csv.gz"))


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not text in UTF-8.*--encoding gbk"):
        read_text_table(written(tmp_path, b"a,b\n1,\xff\xfe\n"))
    with pytest.raises(DataError, match=r"zero bytes.*UTF-16"):
        read_text_table(written(tmp_path, "a,b\n1,2\n".encode("utf-16-le")))
    with pytest.raises(DataError, match="unknown encoding 'klingon'"):
        read_text_table(written(tmp_path, "a,b\n1,2\n"), encoding="klingon")
    with pytest.raises(DataError, match="cannot read"):
        read_text_table(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        ("1 -2.5 4e2", "number", [1, -2.5, 400]),
        ("1 NA ?", "number", [1, None, None]),
        ("1 - none", "number", [1, None, None]),
        ("$1,200 $15 $3.50", "number", [1200, 15, 3.5]),
        ("1,200 1,000,000 3.5", "number", [1200, 1e6, 3.5]),
        ("50% 25% 100%", "number", [50, 25, 100]),
        ("true FALSE Yes", "boolean", [1, 0, 1]),
        ("2024-01-31 2023-12-01 NA", "date", ["2024-01-31", "2023-12-01", None]),
        ("31.01.2024 01.12.2023 02.02.2023", "date", ["2024-01-31", "2023-12-01", "2023-02-02"]),
        ("12/31/2023 01/02/2024 03/04/2024", "date", ["2023-12-31", "2024-01-02", "2024-03-04"]),
        ("31/12/2023 01/02/2024 03/04/2024", "date", ["2023-12-31", "2024-02-01", "2024-04-03"]),
        ("red none blue", "text", ["red", "none", "blue"]),
        ("1_000 2_000 3", "text", ["1_000", "2_000", "3"]),
    ],
)
def test_what_a_columns_texts_mean(tmp_path: Path, cells: str, kind: str, values: list[Any]) -> None:
    rows = "".join(f'"{cell}",0\n' for cell in cells.split(" "))
    column = read_text_table(written(tmp_path, "a,y\n" + rows)).columns[0]
    assert column.kind == kind
    if kind == "date":
        assert [None if np.isnat(one) else str(one)[:10] for one in column.values] == values
    else:
        assert [None if one is None or one != one else one for one in column.values.tolist()] == values


def test_a_decimal_comma_where_commas_do_not_separate(tmp_path: Path) -> None:
    table = read_text_table(written(tmp_path, "a;b;y\n1,5;1.000;0\n-0,25;20;1\n3;1.234.567,5;0\n"))
    assert columns(table)["a"] == [1.5, -0.25, 3]
    assert columns(table)["b"] == [1000, 20, 1234567.5]
    english = read_text_table(written(tmp_path, "a;y\n1.5;0\n2.25;1\n"))
    assert columns(english)["a"] == [1.5, 2.25]


def test_dates_that_can_be_two_things_are_a_question(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="01/02/2024 can be day/month/year or month/day/year"):
        read_text_table(written(tmp_path, "a,y\n01/02/2024,0\n03/04/2024,1\n"))


# --- a line of names, or none -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n6.2,2.9,virginica\n", 3),
        ("1,2,3\n4,5,6\n", 2),
        ("p,x,s\np,x,y\ne,b,s\np,x,s\n", 4),
        ("?,1.5,b\n2,2.5,a\n3,3.5,b\n", 3),
    ],
)
def test_a_table_without_names_keeps_its_first_line(tmp_path: Path, text: str, rows: int) -> None:
    table = read_text_table(written(tmp_path, text))
    assert len(table) == rows
    assert not table.has_header
    assert table.names[0] == "column 1"
    assert "no line of column names" in table.notes[0]


@pytest.mark.parametrize(
    "text",
    ["a,b,y\n1,2,x\n3,4,z\n", "name,city\nAnn,Rome\nBob,Oslo\n", ",a,y\n0,1,x\n1,2,z\n", "a,b,y\n1,,x\n2,5,z\n"],
)
def test_a_line_of_names_is_recognised(tmp_path: Path, text: str) -> None:
    table = read_text_table(written(tmp_path, text))
    assert table.has_header
    assert len(table) == 2


def test_words_of_which_most_stand_below_again_are_no_names(tmp_path: Path) -> None:
    path = written(tmp_path, "p,x,s,odd\ne,x,y,k\np,b,s,n\n")
    with pytest.raises(DataError, match=r"could be names or a sample"):
        read_text_table(path)
    assert len(read_text_table(path, has_header=False)) == 3


def test_what_could_be_either_is_a_question_that_no_header_answers(tmp_path: Path) -> None:
    path = written(tmp_path, "country,2019,2020\nNorway,1.5,2.5\nPeru,3.5,4.5\n")
    with pytest.raises(DataError, match=r"could be names or a sample.*--no-header"):
        read_text_table(path)
    assert len(read_text_table(path, has_header=False)) == 3
    assert read_text_table(path, has_header=True).names == ["country", "2019", "2020"]


# --- every line is accounted for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,2,0\n1,2\n", "line 3 has 2 columns, the header 3"),
        ("a,b,y\n1,2,0\n\n1,2,0,5\n", "line 4 has 4 columns, the header 3"),
        ('a,b,y\n1,2,0\n1,"2,0\n3,4,0\n5,6,0\n', "line 3: a quote that is never closed"),
        ('a,b,y\n1,"2"x,0\n3,4,0\n', "line 2: "),
        ('"a,b,y\n1,2,0\n3,4,0\n', "line 1: a quote that is never closed"),
        ("a,b,y\n", "a line of column names but no rows"),
        ("a,b,y\n\n  \n", "a line of column names but no rows"),
        ("", r"one column only \(empty\)"),
        ("a\n1\n", r"one column only \(a\)"),
        ("age,kind,kind\n1,2,3\n", "two columns are named 'kind'"),
    ],
)
def test_faults_are_named_by_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        read_text_table(written(tmp_path, text))
    assert "table.csv" in str(refusal.value)


def test_values_may_hold_line_ends_and_quotes(tmp_path: Path) -> None:
    table = read_text_table(written(tmp_path, 'a,note,y\n1,"two\nlines, ""quoted""",0\n2,5" pipe,1\n3,plain,1\n'))
    assert columns(table)["note"] == ['two\nlines, "quoted"', '5" pipe', "plain"]
    assert [table.place(row) for row in range(3)] == ["line 2", "line 4", "line 5"]


def test_both_readers_read_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [
        f"{rng.normal()!r},{rng.integers(9)},{'abc'[rng.integers(3)]},{'' if i % 9 == 0 else i}\n" for i in range(500)
    ]
    table = read_text_table(written(tmp_path, "a,b,c,d\n" + "".join(lines)))
    assert kinds(table) == ["number", "number", "text", "text"], "the last column is kept as text, for it is the target"
    a = np.array([float(line.split(",")[0]) for line in lines])
    np.testing.assert_array_equal(table.columns[0].values, a)
    assert int(table.columns[3].missing.sum()) == sum(i % 9 == 0 for i in range(500))


# --- the target ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "kind", "whole"),
    [
        ("1 2 3", "number", True),
        ("-1 0 +2", "number", True),
        ("1 2.0 3", "number", False),
        ("a 2b c", "text", False),
        ("01 1 001", "text", False),
        ("007 008 009", "text", False),
        ("0 1 0", "number", True),
    ],
)
def test_the_target_is_what_all_of_its_values_are(tmp_path: Path, cells: str, kind: str, whole: bool) -> None:
    table = read_text_table(written(tmp_path, "a,y\n" + "".join(f"0,{cell}\n" for cell in cells.split())))
    column = typed_target(table.columns[-1])
    assert (column.kind, column.whole) == (kind, whole)


def test_the_standard_library_reads_fields_of_any_length(tmp_path: Path) -> None:
    long = "x" * 200_000
    table = read_text_table(written(tmp_path, f'a,y\n1,"{long}"\n2,"b"\n'))
    assert len(table.columns[1].values[0]) == len(long)
    assert sys.maxsize > len(long)
