"""`epochal data pack` and `epochal data verify` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from epochal.cli import main
from epochal.data import load_data
from epochal.data.packed.opening import load_pack


def test_a_data_set_is_packed_described_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "digits")
    assert main(["data", "pack", "digits", folder]) == 0
    assert "1,437 training, 360 test samples in 2 files" in capsys.readouterr().out
    assert main(["data", "verify", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 1797

    assert main(["data", folder]) == 0
    assert "1,437" in capsys.readouterr().out
    packed = load_pack(Path(folder))
    np.testing.assert_array_equal(
        packed.train.take(np.arange(1437)).x, load_data("digits").train.take(np.arange(1437)).x
    )


def test_a_pack_is_replaced_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "digits")
    assert main(["data", "pack", "digits", folder, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["data", "pack", "digits", folder]) == 2
    assert "holds a pack already" in capsys.readouterr().err
    assert main(["data", "pack", "digits", folder, "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_a_word_that_is_nearly_one_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "pakc", "digits", "out"]) == 2
    assert "did you mean 'pack'?" in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("epochal.data.packing.pack.write_pack", interrupted)
    assert main(["data", "pack", "digits", str(tmp_path / "digits")]) == 130
    assert "give the same command again" in capsys.readouterr().err
