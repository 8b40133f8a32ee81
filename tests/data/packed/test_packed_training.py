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
