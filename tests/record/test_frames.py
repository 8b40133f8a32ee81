from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from epochal import Run, resume
from epochal.errors import OptionError, RunError
from epochal.record.frames import TABLES, columns_of, csv_blocks, write_parquet


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_columns_of_one_length(run: Run, table: str) -> None:
    lengths = {len(column) for column in columns_of(run.history, table).values()}
    assert lengths == {
        {"iterations": 18, "sessions": 1, "events": 2, "metrics": 6, "noise": 0, "gradients": 0}.get(table, 3)
    }


def test_iterations_count_from_one_and_know_their_epoch(run: Run, little_data: Path) -> None:
    run = resume(run.path, iterations=20)
    columns = columns_of(run.history)
    assert list(columns["iteration"]) == list(range(1, 21))
    assert list(columns["epoch"]) == [1] * 6 + [2] * 6 + [3] * 6 + [4] * 2
    assert list(columns["loss"]) == list(run.history.losses)


def test_csv_gives_back_the_same_numbers(run: Run) -> None:
    rows = list(csv.DictReader("".join(csv_blocks(run.history, "iterations")).splitlines()))
    assert [int(row["iteration"]) for row in rows] == list(range(1, 19))
    assert np.array([row["loss"] for row in rows], np.float32).tobytes() == run.history.losses.tobytes()


def test_csv_of_epochs(run: Run) -> None:
    rows = list(csv.DictReader("".join(csv_blocks(run.history, "epochs")).splitlines()))
    assert [float(row["train_loss"]) for row in rows] == [row.train_loss for row in run.history.epochs]


def test_metrics_are_a_long_table(run: Run) -> None:
    columns = columns_of(run.history, "metrics")
    assert list(columns) == ["iteration", "split", "metric", "value", "samples"]
    assert list(columns["metric"]) == ["loss", "accuracy"] * 3
    assert list(columns["value"])[1::2] == [row.test_accuracy for row in run.history.epochs]
    assert list(columns_of(run.history, "epochs")["test_accuracy"]) == [row.accuracy for row in run.history.tests]


def test_pandas(run: Run) -> None:
    pytest.importorskip("pandas")
    frame = run.history.to_pandas()
    assert frame["loss"].to_numpy().tobytes() == run.history.losses.tobytes()
    assert run.history.to_pandas("epochs")["samples"].tolist() == [23, 23, 23]


def test_polars_and_parquet(run: Run, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    for table in TABLES:
        write_parquet(run.history, table, tmp_path / "table.parquet")
        assert polars.read_parquet(tmp_path / "table.parquet").equals(run.history.to_polars(table))
    assert run.history.to_polars()["loss"].to_numpy().tobytes() == run.history.losses.tobytes()
    with pytest.raises(RunError, match=r"cannot write .*none/x.parquet"):
        write_parquet(run.history, "epochs", tmp_path / "none" / "x.parquet")
    with pytest.raises(RunError, match="cannot write /dev/full: "):
        write_parquet(run.history, "epochs", Path("/dev/full"))


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_package_that_is_missing_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        OptionError, match=f"needs the package {package}, which is not installed: pip install {package}"
    ):
        getattr(run.history, f"to_{package}")()


def test_an_unknown_table(run: Run) -> None:
    with pytest.raises(OptionError, match=r"unknown table 'epoch': did you mean 'epochs'\?"):
        columns_of(run.history, "epoch")
