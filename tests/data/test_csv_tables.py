from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from epochal.data.csv_tables import read_table
from epochal.errors import DataError


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_last_column_is_the_target(tmp_path: Path) -> None:
    x, y = read_table(written(tmp_path, "a,b,kind\n1,2.5,red\n-3,4e2,blue\n"))
    np.testing.assert_array_equal(x, [[1, 2.5], [-3, 400]])
    assert list(y) == ["red", "blue"]


def test_another_target_may_be_named(tmp_path: Path) -> None:
    x, y = read_table(written(tmp_path, "a,kind,b\n1,red,2\n3,blue,4\n"), target="kind")
    np.testing.assert_array_equal(x, [[1, 2], [3, 4]])
    assert list(y) == ["red", "blue"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.tsv", "a\tb\tkind\n1\t2\tred, dark\n3\t4\tblue\n"),
        ("t.csv", "a;b;kind\n1;2;red, dark\n3;4;blue\n"),
        ("t.csv", 'a,b,kind\n"1",2,"red, dark"\n\n3,4,blue\n'),
        ("t.csv", '\ufeffa,b,kind\r\n1, 2 ,"red, dark"\r\n3,4,blue'),
    ],
)
def test_the_usual_dialects(tmp_path: Path, name: str, text: str) -> None:
    x, y = read_table(written(tmp_path, text, name))
    np.testing.assert_array_equal(x, [[1, 2], [3, 4]])
    assert list(y) == ["red, dark", "blue"]


@pytest.mark.parametrize(
    ("values", "kind"), [("1 2 3", "i"), ("-1 0 +2", "i"), ("1 2.0 3", "f"), ("1e3 2 3", "f"), ("a 2b c", "U")]
)
def test_the_target_is_what_all_of_its_values_are(tmp_path: Path, values: str, kind: str) -> None:
    _, y = read_table(written(tmp_path, "a,y\n" + "".join(f"0,{value}\n" for value in values.split())))
    assert y.dtype.kind == kind


def test_numbers_and_texts_in_one_target_are_a_question(tmp_path: Path) -> None:
    path = written(tmp_path, "a,y\n0,1\n0,one\n")
    with pytest.raises(DataError, match=r"'y' mixes numbers \('1'\) and texts \('one'\).*task='classification'"):
        read_table(path)
    assert list(read_table(path, task="classification")[1]) == ["1", "one"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,2,0\n1,,0\n", "line 3, column 'b': missing value ''"),
        ("a,b,y\n1,NA,0\n", "line 2, column 'b': missing value 'NA'"),
        ("a,b,y\n1,2,\n", "line 2, column 'y': missing value ''"),
        ("a,b,y\n1,nan,0\n", "line 2, column 'b': missing value 'nan'"),
        ("a,b,y\n\n1,inf,0\n", "line 3, column 'b': 'inf' is not finite"),
        ("a,b,y\n1,Paris,0\n", "line 2, column 'b': 'Paris' is no number; only the target may be text"),
        ("a,b,y\n1,2,0\n1,2\n", "line 3 has 2 columns, the header 3"),
        ("a,b,y\n1,2,0,5\n1,2,0,5\n", "line 2 has 4 columns, the header 3"),
        ("1,2,3\n4,5,6\n", r"first line holds numbers \(1, …\)"),
        ("a,b,y\n", "a header but no rows"),
        ("a,b,y\n\n  \n", "a header but no rows"),
        ("", r"one column only \(empty\)"),
        ("a\n1\n", r"one column only \(a\)"),
    ],
)
def test_faults_are_named_by_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        read_table(written(tmp_path, text))
    assert "table.csv" in str(refusal.value)


def test_the_target_must_be_one_column(tmp_path: Path) -> None:
    path = written(tmp_path, "age,kind,kind\n1,2,3\n")
    with pytest.raises(DataError, match="unknown column 'kin': did you mean 'kind'"):
        read_table(path, target="kin")
    with pytest.raises(DataError, match="two columns are named 'kind'"):
        read_table(path, target="kind")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,\xff\xfe\n")
    with pytest.raises(DataError, match="not text in UTF-8"):
        read_table(path)
    with pytest.raises(DataError, match="cannot read"):
        read_table(tmp_path / "none.csv")
