from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from idx_writer import write_idx, write_idx_folder

from epochal.data import load_data
from epochal.errors import DataError

X = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20) % 2


def saved(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "set.npz", **arrays)  # type: ignore[arg-type]
    return folder / "set.npz"


def test_an_npz_file_with_its_own_test_split(tmp_path: Path) -> None:
    data = load_data(saved(tmp_path, x_train=X, y_train=Y, x_test=X[:5], y_test=Y[:5]))
    assert data.name == "set"
    assert (len(data.train), len(data.test)) == (20, 5)


@pytest.mark.parametrize("ending", ["", "_train"])
def test_an_npz_file_without_one_is_split(tmp_path: Path, ending: str) -> None:
    path = saved(tmp_path, **{f"x{ending}": X, f"y{ending}": Y})
    data = load_data(path, seed=3)
    assert (len(data.train), len(data.test)) == (16, 4)
    assert data.fingerprint == load_data(path, seed=3).fingerprint != load_data(path, seed=4).fingerprint


def test_npz_files_that_cannot_be_taken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set.npz: holds a, b; expected x and y, or x_train"):
        load_data(saved(tmp_path, a=X, b=Y))
    with pytest.raises(DataError, match=r"holds x, y, z; expected"):
        load_data(saved(tmp_path, x=X, y=Y, z=Y))
    with pytest.raises(DataError, match=r"set.npz: x: row 0 .* holds nan"):
        load_data(saved(tmp_path, x=X * np.nan, y=Y))
    with pytest.raises(DataError, match=r"damaged, or no plain arrays"):
        load_data(saved(tmp_path, x=np.array([[1], "a", None], object), y=Y))
    whole = saved(tmp_path, x=X, y=Y).read_bytes()
    for damaged in (b"", b"no zip", whole[:100], whole[: len(whole) // 2], whole[:80] + b"\xff" + whole[81:]):
        (tmp_path / "set.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"set.npz"):
            load_data(tmp_path / "set.npz")


def test_a_table(tmp_path: Path) -> None:
    lines = "".join(f"{i},{i * i},{'odd' if i % 2 else 'even'}\n" for i in range(50))
    path = tmp_path / "parity.csv"
    path.write_text("i,square,parity\n" + lines)
    data = load_data(path)
    assert data.class_names == ("even", "odd")
    assert (data.name, len(data.train), data.sample_shape) == ("parity", 40, (2,))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_folder_of_idx_files(tmp_path: Path, ending: str) -> None:
    data = load_data(write_idx_folder(tmp_path / "small", ending=ending))
    assert data.name == "small"
    assert (len(data.train), len(data.test), data.sample_shape) == (12, 6, (5, 4))
    assert data.class_names == ("0", "1", "2")
    assert data.train.x.dtype == np.uint8


def test_a_folder_that_lacks_a_file_or_mixes_them_up(tmp_path: Path) -> None:
    folder = write_idx_folder(tmp_path / "small")
    (folder / "t10k-labels-idx1-ubyte.gz").rename(folder / "aside")
    with pytest.raises(DataError, match=r"small: t10k-labels-idx1-ubyte \(or .gz\) not there"):
        load_data(folder)
    write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros((6, 5, 4), np.uint8))
    with pytest.raises(DataError, match="image and label files exchanged"):
        load_data(folder)
    write_idx(folder / "t10k-labels-idx1-ubyte", np.full(6, 7, np.uint8))
    with pytest.raises(DataError, match=r"test y: row 0 .* label 7, outside the classes 0, 1, 2"):
        load_data(folder)
    write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros(5, np.uint8))
    with pytest.raises(DataError, match="test x has 6 samples but test y has 5"):
        load_data(folder)


def test_what_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "notes.doc").touch()
    with pytest.raises(DataError, match=r"cannot tell what it is; Epochal reads tables"):
        load_data(tmp_path / "notes.doc")
    with pytest.raises(DataError, match="no such file or folder"):
        load_data(tmp_path / "none.csv")
    with pytest.raises(DataError, match="target is for tables"):
        load_data(saved(tmp_path, x=X, y=Y), target="y")
