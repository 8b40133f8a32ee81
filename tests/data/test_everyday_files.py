# ruff: noqa: E501 - a file a line
"""Files as people have them, forty of them: each is taken as its owner means it, or refused in one sentence that helps.

Every file is made here, in the form that its program writes. A row lists what must come of it.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from epochal.data import load_data
from epochal.errors import DataError

ROWS = 60
random = np.random.default_rng(0)


class Taken(NamedTuple):
    """What comes of a file: rows, classes (``None`` for a regression) and numbers of a sample, and a note."""

    rows: int
    classes: tuple[str, ...] | None
    width: int
    says: str = ""
    options: dict[str, Any] = {}  # noqa: RUF012


class Refused(NamedTuple):
    """The sentence that a file is refused with."""

    says: str
    options: dict[str, Any] = {}  # noqa: RUF012


def lines(header: str, row: Callable[[int], str], rows: int = ROWS, end: str = "\n") -> str:
    return end.join([*([header] if header else []), *map(row, range(rows))]) + end


def text(content: str, encoding: str = "utf-8") -> bytes:
    return content.encode(encoding)


def of_frame(write: str, **columns: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        polars = pytest.importorskip("polars")
        getattr(polars.DataFrame(columns), write)(path)

    return make


IRIS = lines("", lambda i: f"{5 + i % 7 / 10:.1f},{3 + i % 5 / 10:.1f},Iris-{('setosa', 'virginica')[i % 2]}")
TITANIC = lines(
    "PassengerId,Survived,Pclass,Name,Sex,Age,Fare,Cabin",
    lambda i: (
        f'{i + 1},{i % 2},{1 + i % 3},"Braund, Mr. {i}",{("male", "female")[i % 2]},'
        f"{'' if i % 5 == 0 else 20 + i % 40},{7.25 + i},{'C85' if i % 4 == 0 else ''}"
    ),
)

FILES: dict[str, tuple[bytes | Callable[[Path], None], Taken | Refused]] = {
    # --- classifications
    "iris.data": (text(IRIS), Taken(60, ("Iris-setosa", "Iris-virginica"), 2, "no line of column names")),
    "iris with names.csv": (text("sepal,petal,species\n" + IRIS), Taken(60, ("Iris-setosa", "Iris-virginica"), 2)),
    "titanic.csv": (text(TITANIC), Taken(60, ("0", "1"), 8, "", {"target": "Survived", "drop": "PassengerId"})),
    "mushrooms.csv": (
        text(lines("", lambda i: f"{'ep'[i % 2]},{'xbs'[i % 3]},{'ny'[i % 2]}")),
        Taken(60, ("n", "y"), 5, "no line of column names"),
    ),
    "adult.data": (
        text(lines("", lambda i: f"{25 + i % 40}, {'Private' if i % 3 else '?'}, {i * 7 % 90}, {'<=50K' if i % 4 else '>50K'}")),
        Taken(60, ("<=50K", ">50K"), 4),
    ),
    "wine-red.csv": (
        text(lines('"fixed acidity";"pH";"quality"', lambda i: f"{7 + i % 9 / 10};{3.1 + i % 5 / 10:.1f};{5 + i % 3}")),
        Taken(60, ("5", "6", "7"), 2),
    ),
    "heart.csv": (text(lines("age,chol,target", lambda i: f"{40 + i % 30},{200 + i},{i % 2}")), Taken(60, ("0", "1"), 2)),
    "after a gap.csv": (
        text(lines("a,b,label", lambda i: f"{i % 7},{i % 5}.5,{i % 2}.0")),
        Taken(60, ("0", "1"), 2, "taken as classes"),
    ),
    "svm.csv": (text(lines("a,b,y", lambda i: f"{i % 7}.5,{i % 11},{(-1, 1)[i % 2]}")), Taken(60, ("-1", "1"), 2)),
    "postcodes.csv": (
        text(lines("size,code", lambda i: f"{i}.5,{('01067', '1067', '20095')[i % 3]}")),
        Taken(60, ("01067", "1067", "20095"), 1),
    ),
    "spam.tsv": (text(lines("length\tcaps\tkind", lambda i: f"{i}\t{i % 9}\t{('ham', 'spam')[i % 2]}")),
                 Taken(60, ("ham", "spam"), 2)),
    "survey.csv": (
        text(lines("happy,member,age", lambda i: f"{('yes', 'no')[i % 2]},{('TRUE', 'FALSE')[i % 3 > 0]},{20 + i % 50}")),
        Taken(60, ("no", "yes"), 2, "", {"target": "happy"}),
    ),
    "bars.txt": (text(lines("a|b|kind", lambda i: f"{i}|{i % 4}|{'xyz'[i % 3]}")), Taken(60, ("x", "y", "z"), 2)),

    # --- regressions
    "diabetes.csv": (
        text(lines("bmi,bp,progression", lambda i: f"{i % 9 / 10},{i % 7},{25 + 3 * i}")),
        Taken(60, None, 2, "a regression"),
    ),
    "prices.csv": (text(lines("area,price", lambda i: f"{30 + i},{200_000 + 2500 * i}")), Taken(60, None, 1, "a regression")),
    "rings.csv": (
        text(lines("sex,length,rings", lambda i: f"{'MFI'[i % 3]},{i / 60:.3f},{1 + i % 27 + (i % 27 == 26)}", 4000)),
        Taken(4000, None, 4, "a regression"),
    ),
    "sine.csv": (text(lines("x,y", lambda i: f"{i / 10},{np.sin(i / 10):.6f}")), Taken(60, None, 1)),
    "linnerud.csv": (
        text(lines("chins,situps,weight,waist", lambda i: f"{i % 17},{100 + i},{160.5 + i},{30.5 + i % 9}")),
        Taken(60, None, 2, "", {"target": "weight,waist"}),
    ),
    "bikes.csv": (
        text(lines("when,temp,count", lambda i: f"2024-{1 + i % 12:02}-{1 + i % 28:02} {i % 24:02}:00:00,{i % 30},{100 + 7 * i}")),
        Taken(60, None, 6, "a regression"),
    ),
    "dollars.csv": (
        text(lines("beds,price", lambda i: f'{1 + i % 4},"${200 + i},500"')),
        Taken(60, None, 1),
    ),

    # --- other programs and languages
    "excel-german.csv": (
        text(lines("Größe;Preis;Stadt", lambda i: f"1,{70 + i % 30};{1 + i}.000,50;{('Köln', 'Bonn')[i % 2]}", end="\r\n"), "cp1252"),
        Taken(60, ("Bonn", "Köln"), 2, "", {"encoding": "cp1252"}),
    ),
    "excel-utf8.csv": (text("\ufeff" + lines("a,b,y", lambda i: f"{i},{i % 3},{'pq'[i % 2]}", end="\r\n")), Taken(60, ("p", "q"), 2)),
    "excel-unicode.txt": (text(lines("a\tb\ty", lambda i: f"{i}\t{i % 3}\t{'pq'[i % 2]}", end="\r\n"), "utf-16"), Taken(60, ("p", "q"), 2)),
    "房价.csv": (
        text(lines("面积,城市,等级", lambda i: f"{50 + i},{('北京', '上海', '深圳')[i % 3]},{('高', '低')[i % 2]}"), "gbk"),
        Taken(60, ("低", "高"), 4, "", {"encoding": "gbk"}),
    ),
    "latin.csv": (text(lines("a,y", lambda i: f"{i},{('café', 'thé')[i % 2]}"), "latin-1"),
                  Taken(60, ("café", "thé"), 1, "", {"encoding": "latin-1"})),
    "from pandas.csv": (text(lines(",a,b,y", lambda i: f"{i},{i % 7},{i % 5},{'uv'[i % 2]}")), Taken(60, ("u", "v"), 2)),
    "packed.csv.gz": (gzip.compress(text(lines("a,y", lambda i: f"{i},{'uv'[i % 2]}"))), Taken(60, ("u", "v"), 1)),
    "r.csv": (
        text(lines('"","Sepal.Length","Species"', lambda i: f'"{i + 1}",{5 + i % 9 / 10},"{("a", "b")[i % 2]}"')),
        Taken(60, ("a", "b"), 1),
    ),
    "notes.csv": (
        text(lines("a,note,y", lambda i: f'{i % 9},"{"one" if i % 2 else "two"},\nsecond line",{"uv"[i % 2]}')),
        Taken(60, ("u", "v"), 3),
    ),

    "separator too many.csv": (text(lines("a,b,y,", lambda i: f"{i},{i % 7},{'uv'[i % 2]},")), Taken(60, ("u", "v"), 2)),
    "one class.csv": (text(lines("a,y", lambda i: f"{i},yes")), Taken(60, ("yes",), 1, "nothing to learn")),

    # --- other files
    "table.parquet": (
        of_frame("write_parquet", a=list(range(ROWS)), b=[i % 2 == 0 for i in range(ROWS)], y=["uv"[i % 2] for i in range(ROWS)]),
        Taken(60, ("u", "v"), 2),
    ),
    "table.feather": (
        of_frame("write_ipc", a=[None if i % 9 == 0 else float(i) for i in range(ROWS)], y=[i * 1.5 for i in range(ROWS)]),
        Taken(60, None, 2),
    ),
    "arrays.npz": (
        lambda path: np.savez(path, X=random.normal(size=(ROWS, 5)), target=np.arange(ROWS) % 3),
        Taken(60, ("0", "1", "2"), 5),
    ),
    "keras.npz": (
        lambda path: np.savez(path, x_train=random.normal(size=(50, 5)), y_train=np.arange(50)[:, None] % 2,
                              x_test=random.normal(size=(10, 5)), y_test=np.arange(10)[:, None] % 2),
        Taken(60, ("0", "1"), 5),
    ),

    # --- what cannot be taken as it is
    "unclosed.csv": (text('a,b,y\n1,"two,u\n' + lines("", lambda i: f"{i},x,u")), Refused("line 2: a quote that is never closed")),
    "cut off.csv": (text(lines("a,b,y", lambda i: f"{i},{i % 3},u") + "61,1\n"), Refused("line 62 has 2 columns, the header 3")),
    "typing error.csv": (
        text(lines("a,b,y", lambda i: f"{i},{'12o' if i == 30 else 120 + i % 4},{'uv'[i % 2]}")),
        Refused("line 32, column 'b': '12o' is no number"),
    ),
    "years.csv": (text(lines("country,2019,2020", lambda i: f"land {i},{i}.5,{i}.25")), Refused("could be names or a sample")),
    "sheet.xlsx": (b"PK\x03\x04 a workbook", Refused("save the sheet as CSV")),
    "list.json": (b"[1, 2]", Refused("load it in Python")),
    "half.parquet": (b"PAR1 broken", Refused("damaged, or no Parquet file")),
    "one column.csv": (text(lines("a", str)), Refused("one column only")),
    "wrong target.csv": (text(lines("age,kind", lambda i: f"{i},u")), Refused("did you mean 'kind'", {"target": "Kind"})),
    "dates.csv": (text(lines("when,y", lambda i: f"0{1 + i % 9}/0{1 + i % 8}/2024,{i}.5")), Refused("write them as 2024-12-31")),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_an_everyday_file(name: str, tmp_path: Path) -> None:
    content, wanted = FILES[name]
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)

    if isinstance(wanted, Refused):
        with pytest.raises(DataError) as refusal:
            load_data(str(path), **wanted.options)
        assert wanted.says in str(refusal.value)
        assert "\n" not in str(refusal.value)
        assert name in str(refusal.value)
        return

    data = load_data(str(path), **wanted.options)
    assert len(data.train) + len(data.test) == wanted.rows, "no row is lost"
    assert data.class_names == wanted.classes
    assert data.sample_shape == (wanted.width,)
    assert wanted.says in " ".join(data.notes)
    assert np.isfinite(data.train.x).all()


def test_they_are_at_least_forty() -> None:
    assert len(FILES) >= 40
