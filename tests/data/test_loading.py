from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from idx_writer import write_idx_folder

from epochal.data.dataset import Dataset
from epochal.data.loading import load_data
from epochal.data.registry import describe, generated_file
from epochal.errors import DataError


def test_a_data_set_arrays_a_name_or_a_path(tmp_path: Path) -> None:
    data = load_data("digits")
    assert load_data(data) is data
    assert load_data((data.train.x, data.train.y)).fingerprint != data.fingerprint
    folder = write_idx_folder(tmp_path / "small")
    assert load_data(folder).fingerprint == load_data(str(folder)).fingerprint


def test_a_name_that_is_nothing_suggests_the_nearest() -> None:
    with pytest.raises(
        DataError, match=r"unknown data set 'mnits': did you mean 'mnist'.*or the path of a file or folder"
    ):
        load_data("mnits")
    with pytest.raises(DataError, match="no such file or folder: none/mnits"):
        load_data("none/mnits")


def test_an_address_is_quoted_as_it_was_given() -> None:
    with pytest.raises(DataError, match=r"https://example\.org/a\.csv is an address; download what is there"):
        load_data("https://example.org/a.csv")


@pytest.mark.parametrize(("ending", "text"), [("", "unknown data set"), (".csv", "no such file or folder")])
def test_a_name_that_no_file_can_have(ending: str, text: str) -> None:
    with pytest.raises(DataError, match=text):
        load_data("a" * 300 + ending)


def test_named_sets_give_a_share_for_validation_and_no_file() -> None:
    data = load_data("digits", validation="0.1")
    assert data.validation is not None
    assert (len(data.train), len(data.validation)) == (1293, 144)
    with pytest.raises(DataError, match=r"validation must be .* a fraction between 0 and 1.*'other.csv'"):
        load_data("digits", validation="other.csv")


def test_named_sets_take_no_options_of_files() -> None:
    with pytest.raises(DataError, match="digits has its own targets"):
        load_data("digits", target="y")


# --- digits-60k and its cache --------------------------------------------------------------------------------------


@pytest.fixture
def kept(cache: Path, digits_60k: Dataset, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the generated set is kept; making it costs nothing here, and is counted in ``kept.parent / 'made'``."""
    made = cache / "made"

    def make(_progress: object) -> Dataset:
        cache.mkdir(exist_ok=True)
        made.write_text(made.read_text() + "x" if made.exists() else "x")
        return digits_60k

    monkeypatch.setattr("epochal.data.digits.make_digits_60k", make)
    return cache / "digits-60k" / generated_file(describe("digits-60k"))


def times_made(cache: Path) -> int:
    return len((cache / "made").read_text())


def test_digits_60k_is_made_once_and_kept(cache: Path, kept: Path) -> None:
    first = load_data("digits-60k")
    again = load_data("digits-60k")
    assert times_made(cache) == 1
    assert again.fingerprint == first.fingerprint == describe("digits-60k").fingerprint
    assert again.name == "digits-60k"
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_a_damaged_cache_is_made_again(cache: Path, kept: Path) -> None:
    load_data("digits-60k")
    content = bytearray(kept.read_bytes())
    content[1_000_000] ^= 1
    kept.write_bytes(content)
    load_data("digits-60k")
    assert times_made(cache) == 2
    load_data("digits-60k")
    assert times_made(cache) == 2


def test_a_cache_that_cannot_be_written_is_said_and_survived(cache: Path, kept: Path) -> None:
    cache.mkdir()
    (cache / "digits-60k").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="digits-60k will be made again next time: cannot write"):
        data = load_data("digits-60k")
    assert len(data.train) == 60_000


def test_other_content_under_the_name_is_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epochal.data.digits.make_digits_60k", lambda _progress: load_data("digits"))
    with pytest.raises(DataError, match=r"digits-60k: the content is not the published one \(1,437 \+ 360 samples"):
        load_data("digits-60k")


# --- Public sets from EPOCHAL_DATA ---------------------------------------------------------------------------------


def test_mnist_is_mnist(mnist_folder: Path) -> None:
    data = load_data("mnist")
    assert data.train.x.shape == (60_000, 28, 28)
    assert data.test.x.shape == (10_000, 28, 28)
    assert data.train.x.dtype == np.uint8
    assert list(data.train.y[:10]) == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert list(np.bincount(data.train.y)) == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert abs(data.preprocessing(data.train.x[:10_000]).mean() - 0.1307) < 0.001
    assert data.fingerprint == describe("mnist").fingerprint


def test_unpacked_files_serve_as_well(mnist_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    (tmp_path / "mnist").mkdir()
    for path in mnist_folder.glob("*.gz"):
        (tmp_path / "mnist" / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    monkeypatch.setenv("EPOCHAL_DATA", str(tmp_path))
    assert load_data("mnist").fingerprint == describe("mnist").fingerprint


def test_a_changed_copy_is_refused(mnist_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(mnist_folder, tmp_path / "mnist")
    monkeypatch.setenv("EPOCHAL_DATA", str(tmp_path))
    changed = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(changed.read_bytes())
    content[1000] ^= 1
    changed.chmod(0o644)
    changed.write_bytes(content)
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz \(4,542 bytes\) is not the published file"):
        load_data("mnist")


def test_a_set_of_your_own_does_not_pass_for_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx_folder(tmp_path / "mnist", ending="")
    monkeypatch.setenv("EPOCHAL_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"mnist: the content is not the published one \(12 \+ 6 samples"):
        load_data("mnist")
    assert len(load_data(tmp_path / "mnist").train) == 12


def test_an_incomplete_folder_does_not_start_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kmnist").mkdir()
    monkeypatch.setenv("EPOCHAL_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"kmnist: train-images.* not there; a folder of data needs four IDX files"):
        load_data("kmnist")
