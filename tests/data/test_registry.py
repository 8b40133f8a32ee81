from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from idx_writer import write_idx_folder

from epochal.data.registry import DATA_SETS, available, describe, generated_file
from epochal.errors import DataError


def state(name: str) -> str:
    return next(entry.state for entry in available() if entry.description.name == name)


def test_the_worked_example_is_known_without_its_data() -> None:
    assert describe("mnist").train == describe("digits-60k").train == 60_000
    assert describe("mnist").test == 10_000


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(DataError, match="unknown data set 'fashion_mnist': did you mean 'fashion-mnist'"):
        describe("fashion_mnist")


def test_a_download_is_described_to_the_byte() -> None:
    for about in DATA_SETS.values():
        assert bool(about.files) == bool(about.mirrors)
        assert about.files or about.fingerprint
        for file in about.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert all(mirror.endswith("/") for mirror in about.mirrors)
    sums = [file.sha256 for about in DATA_SETS.values() for file in about.files]
    assert len(set(sums)) == len(sums) == 12
    assert describe("mnist").download_bytes == 11_594_722


def test_states_follow_what_is_on_disk(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert state("digits") == "embedded"
    assert state("digits-60k") == "made on first use"
    assert state("kmnist") == "needs download"
    (cache / "digits-60k").mkdir(parents=True)
    (cache / "digits-60k" / generated_file(describe("digits-60k"))).touch()
    assert state("digits-60k") == "cached"
    (cache / "kmnist").mkdir()
    for file in describe("kmnist").files:
        assert state("kmnist") == "needs download"
        with (cache / "kmnist" / file.name).open("wb") as sparse:
            sparse.truncate(file.size)
    assert state("kmnist") == "cached"
    write_idx_folder(tmp_path / "own" / "kmnist")
    monkeypatch.setenv("EPOCHAL_DATA", str(tmp_path / "own"))
    assert state("kmnist") == "from EPOCHAL_DATA"
    assert state("mnist") == "needs download"


def test_describing_imports_neither_numpy_nor_jax() -> None:
    code = (
        "import sys, epochal.data as data; data.describe('mnist'); data.available(); "
        "assert not {'numpy', 'jax', 'jaxtyping', 'urllib.request'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_loading_does_not_import_jax_or_scikit_learn() -> None:
    code = (
        "import sys, epochal.data as data; data.load_data('digits'); assert not {'jax', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_the_room_lists_its_public_names() -> None:
    import epochal.data

    assert all(hasattr(epochal.data, name) for name in epochal.data.__all__)
    assert dir(epochal.data) == sorted(epochal.data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = epochal.data.nothing
