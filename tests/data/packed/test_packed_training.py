"""Training from a pack: the bits of a training from memory, and one line where the pack is damaged under way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pack_makers import flip_bit, small_data, small_pack

from epochal import load_data, train
from epochal.data.row_source import ArraySource, RowBuffer, StoredSplit
from epochal.data.some_rows import some_of
from epochal.errors import DataError


@pytest.mark.parametrize(("batch_size", "weights"), [(1, False), (7, True), (100, False), ("all", False)])
def test_same_seed_same_weights_from_memory_and_from_a_pack(
    tmp_path: Path, batch_size: int | str, weights: bool
) -> None:
    data = small_data(weights=weights)
    packed = load_data(small_pack(tmp_path / "D", data))
    options: dict[str, Any] = {"model": "linear", "batch_size": batch_size, "epochs": 2, "seed": 3}
    one, other = train(data, **options), train(packed, **options)
    assert one.weights_sha256 == other.weights_sha256
    assert all(epoch.audit_hash == epoch.expected_hash for epoch in other.history.epochs)


def test_a_changed_byte_ends_a_training_in_one_line(tmp_path: Path) -> None:
    D = small_pack(tmp_path / "D")
    flip_bit(D / "train-00003.rows", 20 * 40 + 33)
    done = subprocess.run(
        [sys.executable, "-m", "epochal", "train", str(D), "--epochs", "2", "--model", "linear"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert "train-00003.rows: row 20" in lines[-1] or "train-00003.rows: row 20" in " ".join(lines)
    assert "Traceback" not in done.stderr


def test_a_file_that_is_truncated_while_training_ends_it_in_one_line(tmp_path: Path) -> None:
    """And not by SIGBUS, with which a process ends that touches what a mapped file no longer has."""
    D = small_pack(tmp_path / "D", small_data(rows=2000))
    command = [sys.executable, "-m", "epochal", "train", str(D), "--epochs", "1000000", "--model", "linear"]
    with subprocess.Popen([*command, "--run", "run"], stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while time.monotonic() < until and not list(tmp_path.glob("run/checkpoints/*.safetensors")):
            time.sleep(0.1)
        os.truncate(D / "train-00003.rows", 0)
        _, error = process.communicate(timeout=60)
    text = " ".join(error.split())
    assert process.returncode == 2, (process.returncode, text[-500:])
    assert "train-00003.rows: row" in text
    assert "it was truncated from 2,000 to 0 bytes while in use" in text
    assert "Traceback" not in text


def test_a_validation_share_of_a_pack_is_what_memory_has(tmp_path: Path) -> None:
    one, other = load_data(small_pack(tmp_path / "D"), validation=0.2), small_data()
    assert len(one.train) + len(one.validation or ()) == len(other.train)
    np.testing.assert_array_equal(one.test.whole().x, other.test.whole().x)


@pytest.mark.parametrize("options", [{"validation": 0.2}, {"fold": "2/5"}, {"fold": "2/5", "validation": 0.2}])
def test_shares_of_a_pack_that_fits_no_memory_are_those_of_one_that_does(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    D = small_pack(tmp_path / "D", small_data(weights=True))
    given = load_data(D, **options)
    monkeypatch.setattr("epochal.data.row_source._MOST_IN_MEMORY", 1000)
    data = load_data(D, **options)
    for name in ("train", "test", "validation"):
        wanted, split = getattr(given, name), getattr(data, name)
        assert (wanted is None) == (split is None)
        if split is not None:
            assert len(wanted) == len(split)
            ids = np.random.default_rng(0).permutation(len(split))
            taken, expected = split.take(ids), wanted.take(ids)
            np.testing.assert_array_equal(taken.x, expected.x)
            np.testing.assert_array_equal(taken.y, expected.y)
    assert isinstance(data.train, StoredSplit)
    np.testing.assert_array_equal(data.train.take(np.arange(9)).weight, given.train.take(np.arange(9)).weight)


def test_a_share_that_stays_on_the_disk_trains_with_the_bits_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    D = str(small_pack(tmp_path / "D"))
    same: dict[str, Any] = {"model": "linear", "batch_size": 10, "epochs": 2, "validation": 0.2, "run": False}
    before = train(D, **same)
    monkeypatch.setattr("epochal.data.row_source._MOST_IN_MEMORY", 1000)
    after = train(D, **same)
    assert before.weights_sha256 == after.weights_sha256
    assert all(row.is_exact for row in after.history.epochs)
    # the control: other samples are left out, so another training
    assert train(D, **{**same, "validation": 0.3}).weights_sha256 != after.weights_sha256


def test_a_source_of_other_rows_than_it_was_asked_for_is_found(tmp_path: Path) -> None:
    class Wrong(ArraySource):
        def read(self, ids: Any, into: RowBuffer) -> None:
            super().read((ids + 1) % self.samples, into)

    rows = some_of(StoredSplit(Wrong(small_data().train.whole())), np.arange(5, 50))
    with pytest.raises(DataError, match="the source returned other rows than it was asked for"):
        rows.take(np.arange(3))
