"""What people hold in Python: each form is taken as it is meant, or refused in a sentence that lists what is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import datasets

from epochal.data import load_data
from epochal.data.tables.column_encoders import OneHot
from epochal.data.tables.encoding import TableEncoding
from epochal.errors import DataError

ROWS = 60
X = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
Y = np.arange(ROWS) % 3
COLUMNS = {"a": X[:, 0].tolist(), "city": [("Rome", "Oslo")[i % 2] for i in range(ROWS)], "kind": Y.tolist()}


@pytest.mark.parametrize(
    ("source", "sizes"),
    [
        ((X, Y), (48, 12, None)),
        ([X, Y], (48, 12, None)),
        ((X, Y, X[:9], Y[:9]), (60, 9, None)),
        (((X, Y), (X[:9], Y[:9])), (60, 9, None)),
        ([(X, Y), (X[:9], Y[:9])], (60, 9, None)),
        (((X, Y), (X[:5], Y[:5]), (X[:9], Y[:9])), (60, 9, 5)),
        ({"x": X, "y": Y}, (48, 12, None)),
        ({"X": X, "target": Y}, (48, 12, None)),
        ({"data": X, "labels": Y}, (48, 12, None)),
        ({"X_train": X, "y_train": Y, "X_test": X[:9], "y_test": Y[:9]}, (60, 9, None)),
        ({"train_images": X, "train_labels": Y, "test_images": X[:9], "test_labels": Y[:9]}, (60, 9, None)),
        ({"x": X, "y": Y, "x_val": X[:5], "y_val": Y[:5]}, (48, 12, 5)),
        ((X.tolist(), Y.tolist()), (48, 12, None)),
        (list(zip(X, Y.tolist(), strict=True)), (48, 12, None)),
        ((sparse.csr_matrix(X), Y), (48, 12, None)),
    ],
    ids=lambda value: f"{type(value).__name__} of {len(value)}",
)
def test_forms_of_arrays(source: Any, sizes: tuple[int, ...]) -> None:
    data = load_data(source)
    assert (len(data.train), len(data.test), None if data.validation is None else len(data.validation)) == sizes
    assert data.class_names == ("0", "1", "2")


def test_weights_have_mean_1() -> None:
    data = load_data((X, Y, np.where(Y == 0, 3.0, 1.0)))
    assert data.train.weight is not None
    assert data.train.weight.mean() == pytest.approx(1, rel=1e-6)
    assert data.train.weight.max() / data.train.weight.min() == pytest.approx(3)
    with pytest.raises(DataError, match="weights must be at least 0"):
        load_data((X, Y, -np.ones(ROWS)))
    with pytest.raises(DataError, match=r"weights have shape \(5,\) for 60 samples"):
        load_data((X, Y, np.ones(5)))


@pytest.mark.parametrize(
    "source",
    [
        X,
        None,
        (X,),
        b"digits",
        zip(X, Y, strict=True),
        3,
        ("a", "b"),
        (X, Y, X, Y, X),
        (X, None),
        object(),
        "",
        {"a": X},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_data_is_refused_with_what_is_taken(source: Any) -> None:
    with pytest.raises(DataError, match=r"give a name, a path|holds a; expected x and y"):
        load_data(source)


def test_pictures_with_channels_first() -> None:
    x = np.random.default_rng(0).integers(0, 256, (ROWS, 3, 16, 12), dtype=np.uint8)
    data = load_data((x, Y))
    assert data.sample_shape == (16, 12, 3)
    assert any("channels come first" in note for note in data.notes)
    np.testing.assert_array_equal(load_data((x, Y), as_given=True).train.x[0].shape, (3, 16, 12))


def test_float_pictures_train_as_bytes_do() -> None:
    x = np.random.default_rng(0).integers(0, 256, (ROWS, 6, 6), dtype=np.uint8)
    x[0, 0] = (0, 255, 0, 255, 0, 255)
    wanted = load_data((x, Y))
    for other in (x / 255, x.astype(np.float64)):
        data = load_data((other, Y))
        np.testing.assert_allclose(
            data.preprocessing(data.train.x), wanted.preprocessing(wanted.train.x), rtol=1e-6, atol=1e-7
        )


def test_integers_of_an_own_model_stay_integers() -> None:
    tokens = np.arange(ROWS * 5).reshape(ROWS, 5) % 1000
    data = load_data((tokens, Y), as_given=True)
    assert data.train.x.dtype == np.int32
    np.testing.assert_array_equal(data.preprocessing(data.train.x), data.train.x)
    assert load_data((tokens, Y)).train.x.dtype == np.float32


def test_objects_that_hold_numbers_are_numbers() -> None:
    assert load_data((X.astype(object), Y)).train.x.dtype == np.float32
    mixed = np.column_stack([X.astype(object), np.full(ROWS, "Rome", object)])
    with pytest.raises(DataError, match="column 4 holds text such as 'Rome'"):
        load_data((mixed, Y))
    odd = X.astype(object)
    odd[7, 2] = "n/a?"
    with pytest.raises(DataError, match=r"column '2' mixes kinds.*'n/a\?'"):
        load_data((odd, Y))


# --- scikit-learn's bunches ------------------------------------------------------------------------------------------


def test_bunches() -> None:
    iris = load_data(datasets.load_iris())
    assert iris.class_names == ("setosa", "versicolor", "virginica")
    assert load_data(datasets.load_diabetes()).task == "regression"
    assert load_data(datasets.load_linnerud()).outputs == 3


def test_a_bunch_of_a_frame() -> None:
    pytest.importorskip("pandas")
    iris = load_data(datasets.load_iris(as_frame=True))
    assert iris.class_names == ("setosa", "versicolor", "virginica")
    assert isinstance(iris.encoding, TableEncoding)
    assert iris.encoding.names[0] == "sepal length (cm)"


# --- frames -------------------------------------------------------------------------------------------------


def frames() -> list[Any]:
    def pandas() -> Any:
        return pytest.importorskip("pandas").DataFrame(COLUMNS)

    def polars() -> Any:
        return pytest.importorskip("polars").DataFrame(COLUMNS)

    def lazy() -> Any:
        return polars().lazy()

    def arrow() -> Any:
        return pytest.importorskip("pyarrow").table(COLUMNS)

    def duckdb() -> Any:
        table = arrow()
        return pytest.importorskip("duckdb").connect().from_arrow(table)

    return [pandas, polars, lazy, arrow, duckdb]


@pytest.mark.parametrize("make", frames(), ids=lambda make: make.__name__)
def test_a_frame_of_any_library_is_the_same_data_set(make: Any) -> None:
    data = load_data(make(), target="kind")
    columns = load_data({name: list(values) for name, values in COLUMNS.items()}, target="kind")
    assert data.fingerprint == columns.fingerprint
    assert isinstance(data.encoding, TableEncoding)
    assert isinstance(data.encoding.encoders[1], OneHot)
    assert data.class_names == ("0", "1", "2")
    with pytest.raises(DataError, match="unknown column 'Kind': did you mean 'kind'"):
        load_data(make(), target="Kind")


def test_a_frame_beside_its_targets() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS)
    features, target = frame.drop(columns="kind"), frame["kind"]
    wanted = load_data(frame, target="kind").fingerprint
    assert load_data((features, target)).fingerprint == wanted
    assert load_data((features, Y)).fingerprint == wanted
    data = load_data((features, target, features[:7], target[:7]))
    assert (len(data.train), len(data.test)) == (60, 7)
    assert len(load_data((frame, frame[:7]), target="kind").test) == 7
    assert len(load_data(frame, target="kind", test=frame[:7]).test) == 7


def test_what_pandas_makes_of_gaps() -> None:
    pandas = pytest.importorskip("pandas")
    gaps = {
        "nullable": pandas.array([None if i % 7 == 0 else i for i in range(ROWS)], dtype="Int64"),
        "truth": pandas.array([None if i % 5 == 0 else i % 2 == 0 for i in range(ROWS)], dtype="boolean"),
        "word": pandas.Categorical([None if i % 9 == 0 else "ab"[i % 2] for i in range(ROWS)]),
        "when": pandas.to_datetime([None if i % 8 == 0 else f"2024-01-{1 + i % 28:02}" for i in range(ROWS)]),
        "y": [float(i % 2) for i in range(ROWS)],
    }
    data = load_data(pandas.DataFrame(gaps), target="y")
    assert isinstance(data.encoding, TableEncoding)
    assert all(one.has_indicator for one in data.encoding.encoders)
    assert np.isfinite(data.train.x).all()
    assert data.class_names == ("0", "1")


def test_a_column_of_lists_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match=r"column 'a' holds \[1, 2\] \(list\)"):
        load_data(pandas.DataFrame({"a": [[1, 2]] * ROWS, "y": Y}), target="y")


# --- data sets of PyTorch and Hugging Face ------------------------------------------------------------------


class MapStyle:
    """What `torch.utils.data.Dataset` is, without PyTorch."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Any:
        return self.items[number]


def test_a_map_style_data_set() -> None:
    data = load_data(MapStyle(list(zip(X, Y.tolist(), strict=True))))
    assert (len(data.train), data.sample_shape, data.outputs) == (48, (4,), 3)
    with pytest.raises(DataError, match=r"item 0 of .* is no pair"):
        load_data(MapStyle([X[0], X[1]]))
    with pytest.raises(DataError, match=r"sample 1 has shape \(3,\), sample 0 \(4,\)"):
        load_data(MapStyle([(X[0], 0), (X[1][:3], 1)]))


def test_a_torch_data_set_and_tensors() -> None:
    torch = pytest.importorskip("torch")
    x, y = torch.tensor(X), torch.tensor(Y)
    wanted = load_data((X, Y)).fingerprint
    assert load_data((x, y)).fingerprint == wanted
    assert load_data(torch.utils.data.TensorDataset(x, y)).fingerprint == wanted


def test_hugging_face_data_sets() -> None:
    hub = pytest.importorskip("datasets")
    plain = hub.Dataset.from_dict(COLUMNS)
    labelled = plain.cast_column("kind", hub.ClassLabel(names=["cat", "dog", "fox"]))
    assert load_data(plain, target="kind").class_names == ("0", "1", "2")
    assert load_data(labelled).class_names == ("cat", "dog", "fox")
    both = load_data(hub.DatasetDict({"train": labelled, "test": labelled.select(range(9))}))
    assert (len(both.train), len(both.test)) == (60, 9)
    vectors = hub.Dataset.from_dict({"vector": X.tolist(), "label": Y.tolist()})
    assert load_data(vectors, target="label").sample_shape == (4,)
