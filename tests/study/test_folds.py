"""Cross-validation: every sample is tested once, by a model that did not see it."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

import numpy as np
import pytest

from epochal.cli import main
from epochal.data import load_data
from epochal.data.splitting import Fold
from epochal.errors import DataError, OptionError
from epochal.study.folds import cross_validate

ROWS = 53


@pytest.fixture
def table(workplace: Path) -> Path:
    """Rows whose first column tells them apart, in two classes of unequal size."""
    lines = "".join(f"{i}.5,{i % 5},{'ab'[i % 4 == 0]}\n" for i in range(ROWS))
    (workplace / "t.csv").write_text("number,other,y\n" + lines)
    return workplace / "t.csv"


@pytest.mark.parametrize("folds", [2, 5, ROWS])
def test_each_sample_is_in_one_fold_and_classes_in_proportion(table: Path, folds: int) -> None:
    seen: list[float] = []
    for number in range(1, folds + 1):
        data = load_data(table, fold=f"{number}/{folds}")
        train, test = set(data.train.x[:, 0].tolist()), set(data.test.x[:, 0].tolist())
        assert not train & test
        assert len(train | test) == ROWS
        assert abs(len(test) - ROWS / folds) < 1
        assert abs((data.test.y == 1).sum() - 14 / folds) < 1 + 1e-9
        seen += test
    assert len(seen) == len(set(seen)) == ROWS


def test_preprocessing_is_fitted_within_each_fold(table: Path) -> None:
    shifts = [load_data(table, fold=f"{number}/5").preprocessing.shift[0] for number in range(1, 6)]
    assert len(set(map(float, shifts))) == 5


def test_the_mean_is_over_the_folds(table: Path) -> None:
    result = cross_validate(table, 3, epochs=2, run="folds", batch_size=8)
    values = [run.history.tests[-1].metrics["accuracy"] for run in result.runs]
    assert result.metrics["accuracy"] == pytest.approx((statistics.fmean(values), statistics.stdev(values)))
    assert [run.path.name for run in result.runs] == ["fold-1", "fold-2", "fold-3"]
    assert [run.config.fold for run in result.runs] == ["1/3", "2/3", "3/3"]
    assert main(["rerun", "folds/fold-2"]) == 0, "a fold is a run like any other"


def test_one_table_on_the_command_line(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "t.csv", "--folds", "3", "--epochs", "2", "--run", "folds"]) == 0
    said = capsys.readouterr().out
    assert "fold 2 of 3" in said
    assert "mean ± deviation" in " ".join(said.split())
    assert main(["train", "digits", "--folds", "2", "--epochs", "1", "--run", "of-digits", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["runs"]) == 2
    assert math.isfinite(result["metrics"]["accuracy"]["deviation"])


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/1", "1", "a/b", "1/5/2", "-1/5"])
def test_what_is_no_fold(text: str) -> None:
    with pytest.raises(DataError, match="a fold is one of several, such as 2/5"):
        Fold.parse(text)


def test_what_cannot_be_cross_validated(table: Path) -> None:
    with pytest.raises(DataError, match="53 samples cannot be divided into 54 folds"):
        cross_validate(table, 54)
    with pytest.raises(OptionError, match="folds must be at least 2"):
        cross_validate(table, 1)
    with pytest.raises(DataError, match=r"leave out test=0\.3"):
        cross_validate(table, 3, test=0.3)
    with pytest.raises(OptionError, match="reads its data from a name or a file"):
        cross_validate((np.zeros((9, 2)), np.arange(9)), 3)
    assert not list(Path().glob("runs/*"))
