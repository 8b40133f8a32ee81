"""From a table to a data set: what each kind of column becomes, fitted on training rows alone, and what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal.data import Dataset, load_data
from epochal.data.data_schema import Schema
from epochal.data.tables.column_encoders import BUCKETS, MOST_CATEGORIES, Date, Hashed, Number, OneHot, Truth
from epochal.data.tables.encoding import TableEncoding
from epochal.errors import DataError

ROWS = 60


def table(folder: Path, columns: dict[str, Any], name: str = "table.csv") -> Path:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def load(folder: Path, columns: dict[str, Any], **options: Any) -> Dataset:
    return load_data(table(folder, columns), **options)


def encoding(data: Dataset) -> TableEncoding:
    assert isinstance(data.encoding, TableEncoding)
    return data.encoding


TARGET = ["yes" if i % 3 else "no" for i in range(ROWS)]
NUMBERS = [f"{(7 * i) % ROWS}.5" for i in range(ROWS)]


def test_each_kind_of_column_has_its_encoder(tmp_path: Path) -> None:
    data = load(
        tmp_path,
        {
            "number": NUMBERS,
            "city": [("Rome", "Oslo", "Lima")[i % 3] for i in range(ROWS)],
            "member": [("true", "false")[i % 2] for i in range(ROWS)],
            "since": [f"20{20 + i % 5}-0{1 + i % 9}-15" for i in range(ROWS)],
            "shop": [f"shop {i % 55}" for i in range(ROWS)],
            "y": TARGET,
        },
        categorical=None,
    )
    kinds = [type(one) for one in encoding(data).encoders]
    assert kinds == [Number, OneHot, Truth, Date]
    assert "almost every row has another text" in encoding(data).left_out["shop"]
    assert data.sample_shape == (1 + 3 + 1 + 4,)
    assert encoding(data).feature_names[1:4] == ("city=Lima", "city=Oslo", "city=Rome")


def test_many_categories_are_hashed(tmp_path: Path) -> None:
    rows = 400
    shops = [f"shop {i % (MOST_CATEGORIES + 30)}" for i in range(rows)]
    data = load(tmp_path, {"shop": shops, "y": [i % 2 for i in range(rows)]})
    assert isinstance(encoding(data).encoders[0], Hashed)
    assert data.sample_shape == (BUCKETS,)
    np.testing.assert_array_equal(data.train.x.sum(axis=1), 1)


def test_missing_numbers_are_the_training_rows_mean_and_marked(tmp_path: Path) -> None:
    values = ["" if i % 5 == 0 else i for i in range(ROWS)]
    data = load(tmp_path, {"a": values, "y": TARGET})
    (encoder,) = encoding(data).encoders
    assert isinstance(encoder, Number)
    marked = data.train.x[:, 1] == 1
    assert 0 < marked.sum() < len(data.train)
    np.testing.assert_allclose(data.train.x[marked, 0], encoder.fill, rtol=1e-6)
    np.testing.assert_allclose(data.train.x[~marked, 0].mean(), encoder.fill, rtol=1e-6)
    assert "an indicator" in dict(encoding(data).describe())["a"]


def test_nothing_is_fitted_on_test_or_validation_rows(tmp_path: Path) -> None:
    """Rows that training does not see may hold anything: shift, scale, fills and categories stay what they were."""
    plain = {"a": list(range(ROWS)), "city": [("Rome", "Oslo")[i % 2] for i in range(ROWS)], "y": TARGET}
    base = load(tmp_path, plain, validation=0.2)
    seen = {int(value) for value in base.train.x[:, 0]}
    wild = {
        **plain,
        "a": [i if i in seen else 10_000 + i for i in range(ROWS)],
        "city": [city if i in seen else "Atlantis" for i, city in enumerate(plain["city"])],
    }
    other = load(tmp_path, wild, validation=0.2)
    np.testing.assert_array_equal(other.train.x, base.train.x)
    np.testing.assert_array_equal(other.preprocessing.scale, base.preprocessing.scale)
    assert encoding(other) == encoding(base)
    assert other.test.x[:, 0].max() > 10_000, "and the wild rows are there"


def test_only_quantities_are_scaled(tmp_path: Path) -> None:
    data = load(tmp_path, {"a": NUMBERS, "city": [("Rome", "Oslo")[i % 2] for i in range(ROWS)], "y": TARGET})
    inputs = data.preprocessing(data.train.x)
    assert abs(inputs[:, 0].mean()) < 1e-5
    assert set(np.unique(inputs[:, 1:])) == {0, 1}


def test_numbers_that_float32_cannot_tell_apart_lose_an_offset(tmp_path: Path) -> None:
    times = [1_700_000_000 + i for i in range(ROWS)]
    data = load(tmp_path, {"time": times, "y": TARGET})
    assert len(np.unique(data.train.x)) == len(data.train)
    (encoder,) = encoding(data).encoders
    assert isinstance(encoder, Number)
    assert abs(encoder.offset - 1_700_000_000) < ROWS


def test_the_target_may_be_any_column_or_several(tmp_path: Path) -> None:
    columns = {"a": NUMBERS, "b": NUMBERS[::-1], "c": [f"{i}.25" for i in range(ROWS)]}
    assert encoding(load(tmp_path, columns)).targets == ("c",)
    data = load(tmp_path, columns, target="a,b")
    assert encoding(data).targets == ("a", "b")
    assert (data.outputs, data.sample_shape) == (2, (1,))
    assert encoding(load(tmp_path, columns, target=["c", "a"])).targets == ("c", "a")
    with pytest.raises(DataError, match="unknown column 'A': did you mean 'a'"):
        load(tmp_path, columns, target="A")


def test_features_and_drop(tmp_path: Path) -> None:
    columns = {"a": NUMBERS, "b": NUMBERS[::-1], "id": range(ROWS), "y": TARGET}
    assert encoding(load(tmp_path, columns, features=["a"])).names == ("a",)
    assert encoding(load(tmp_path, columns, drop="id,b")).names == ("a",)
    for option in ("features", "drop"):
        with pytest.raises(DataError, match="unknown column 'ab'"):
            load(tmp_path, columns, **{option: "ab"})
        with pytest.raises(DataError, match="column 'y' is the target"):
            load(tmp_path, columns, target="y", **{option: "y"})


def test_categorical_numbers_keep_their_texts(tmp_path: Path) -> None:
    codes = [("01", "1", "2")[i % 3] for i in range(ROWS)]
    data = load(tmp_path, {"code": codes, "y": TARGET}, categorical="code", target="y")
    (encoder,) = encoding(data).encoders
    assert isinstance(encoder, OneHot)
    assert encoder.categories == ("01", "1", "2")


def test_an_index_column_is_said_and_left_out(tmp_path: Path) -> None:
    data = load(tmp_path, {"": range(ROWS), "a": NUMBERS, "y": TARGET})
    assert encoding(data).names == ("a",)
    assert "numbers the rows" in encoding(data).left_out["column 1"]
    assert "Unnamed: 0" in encoding(load(tmp_path, {"Unnamed: 0": range(ROWS), "a": NUMBERS, "y": TARGET})).left_out


def test_rows_without_a_target_are_said(tmp_path: Path) -> None:
    data = load(tmp_path, {"a": NUMBERS, "y": ["" if i in (3, 10) else label for i, label in enumerate(TARGET)]})
    assert len(data.train) + len(data.test) == ROWS - 2
    assert any("2 rows have no 'y' and cannot be used: line 5, line 12" in note for note in data.notes)


def test_a_word_among_numbers_is_a_question(tmp_path: Path) -> None:
    numbers = ["unknown" if i == 7 else value for i, value in enumerate(NUMBERS)]
    with pytest.raises(DataError, match=r"line 9, column 'a': 'unknown' is no number.*--categorical 'a'"):
        load(tmp_path, {"a": numbers, "b": NUMBERS, "y": TARGET})
    assert encoding(load(tmp_path, {"a": numbers, "b": NUMBERS, "y": TARGET}, drop="a")).names == ("b",)


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no feature is left"):
        load(tmp_path, {"a": [""] * ROWS, "y": TARGET})
    with pytest.raises(DataError, match="'y' has no value at all"):
        load(tmp_path, {"a": NUMBERS, "y": [""] * ROWS})
    with pytest.raises(DataError, match=r"line 9, column 'a': inf is not finite"):
        load(tmp_path, {"a": ["inf" if i == 7 else value for i, value in enumerate(NUMBERS)], "y": TARGET})
    with pytest.raises(DataError, match=r"line 2, column 'a'.*beyond 32-bit floats"):
        load(tmp_path, {"a": ["1e300", *NUMBERS[1:]], "y": TARGET})


def test_a_test_file_and_a_validation_file(tmp_path: Path) -> None:
    columns = {"a": NUMBERS, "city": [("Rome", "Oslo")[i % 2] for i in range(ROWS)], "y": TARGET}
    other = table(tmp_path, {"y": TARGET[:5], "a": NUMBERS[:5], "city": ["Oslo"] * 5}, "other.csv")
    data = load(tmp_path, columns, test=str(other), validation="0.1")
    assert (len(data.train), len(data.test)) == (54, 5)
    assert data.validation is not None
    assert len(data.validation) == 6
    assert len(load(tmp_path, columns, test="0.5", validation=str(other)).test) == 30
    with pytest.raises(DataError, match="has no column 'city'"):
        load(tmp_path, columns, test=str(table(tmp_path, {"a": NUMBERS, "y": TARGET}, "short.csv")))


def test_a_schema_comes_back_from_its_file_exactly(tmp_path: Path) -> None:
    data = load(
        tmp_path,
        {
            "a": ["" if i % 7 == 0 else f"{i / 7!r}" for i in range(ROWS)],
            "城市": [("罗马", "奥斯陆")[i % 2] for i in range(ROWS)],
            "when": [f"2024-0{1 + i % 9}-01 0{i % 9}:30" for i in range(ROWS)],
            "y": [f"{300_000 + 7 * i}.5" for i in range(ROWS)],
        },
    )
    schema = Schema.of(data)
    again = Schema.from_json(schema.to_json())
    assert again.to_json() == schema.to_json()
    assert again.encoding == data.encoding
    assert again.preprocessing.scale.tobytes() == data.preprocessing.scale.tobytes()
    assert again.target_scaling is not None
    assert data.target_scaling is not None
    assert again.target_scaling.shift.tobytes() == data.target_scaling.shift.tobytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"float32"', '"object"'),
        lambda text: text.replace('"as": "number"', '"as": "import os"'),
        lambda text: text.replace('"fill": ', '"fill": 1e999, "x": '),
        lambda text: text.replace('"shape": [', '"shape": [-1, ', 1),
        lambda text: "[" * 100_000,
        lambda text: "null",
    ],
)
def test_a_damaged_schema_is_refused(tmp_path: Path, damage: Any) -> None:
    text = Schema.of(load(tmp_path, {"a": NUMBERS, "y": TARGET})).to_json()
    with pytest.raises(DataError):
        Schema.from_json(damage(text))
