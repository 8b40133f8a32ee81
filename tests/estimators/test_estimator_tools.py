"""Estimators in scikit-learn's tools: searches that compile once, pipelines, folds, pickles in other processes."""

from __future__ import annotations

import dataclasses
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from epochal.engine.compile import PROGRAMS
from epochal.engine.whole_fit import WholeFit
from epochal.sklearn import EpochalClassifier, EpochalRegressor

X, Y = load_iris(return_X_y=True)
SMALL: dict[str, Any] = {"hidden_layer_sizes": 8, "epochs": 20, "batch_size": 32, "random_state": 0}
GRID = {"learning_rate": [0.003, 0.01, 0.03], "weight_decay": [0.0, 0.1]}


def small(**options: Any) -> EpochalClassifier:
    return EpochalClassifier(**{**SMALL, **options})


# --- one compilation ------------------------------------------------------------------------------------------------


def compilations(grid: dict[str, list[Any]], **options: Any) -> int:
    before = PROGRAMS.compilations
    search = GridSearchCV(small(**options), grid, cv=3).fit(X, Y)
    assert search.best_score_ > 0.8
    return PROGRAMS.compilations - before


def test_a_search_over_rates_decays_epochs_and_seeds_compiles_three_programs() -> None:
    """The first weights, the fit, the prediction: for 19 fits of folds of 100 and of all 150 samples."""
    assert compilations(GRID, hidden_layer_sizes=9) == 3
    grid = {"epochs": [15, 40], "random_state": [1, 2], "class_weight": [None, "balanced"], "learning_rate": [0.02]}
    assert compilations(grid, hidden_layer_sizes=9) == 0


def test_a_program_that_compiles_in_the_learning_rate_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: three rates, so three programs in place of one."""

    @dataclasses.dataclass(frozen=True)
    class AtRate:
        losses: Any
        rate: float

        def __call__(self, outputs: Any, targets: Any) -> Any:
            return self.losses(outputs, targets)

    def run(fit: WholeFit, state: Any, table: Any, stretch: Any) -> Any:
        return original(dataclasses.replace(fit, losses=AtRate(fit.losses, stretch.rate)), state, table, stretch)

    original = WholeFit.run
    monkeypatch.setattr(WholeFit, "run", run)
    assert compilations(GRID, hidden_layer_sizes=10) == 5


# --- tools ------------------------------------------------------------------------------------------------------------


def test_pipelines_folds_and_clones() -> None:
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2), small(epochs=60))
    scores = cross_val_score(model, X, Y, cv=3)
    assert scores.mean() > 0.9
    assert cross_val_score(clone(model), X, Y, cv=3).tolist() == scores.tolist(), "a seed decides all"
    assert (
        cross_val_score(EpochalRegressor(**SMALL, learning_rate=0.02), *load_diabetes(return_X_y=True), cv=3).mean()
        > 0.3
    )


def test_a_search_in_several_processes_finds_the_same() -> None:
    one, two = (GridSearchCV(small(), GRID, cv=2, n_jobs=jobs).fit(X, Y) for jobs in (None, 2))
    assert one.best_params_ == two.best_params_
    np.testing.assert_allclose(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])


def test_frames_are_read_by_name() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    labels = pd.Series(np.array(["x", "y", "z"])[Y])
    model = small().fit(frame, labels)
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert set(model.predict(frame)) <= {"x", "y", "z"}
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c", "d"]])


# --- pickles ----------------------------------------------------------------------------------------------------------


def is_plain(value: Any) -> bool:
    """Whether it holds Python's and NumPy's values alone, and the package's own records of them."""
    if dataclasses.is_dataclass(value):
        return all(is_plain(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, dict):
        return all(is_plain(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(is_plain(one) for one in value)
    return value is None or type(value).__module__ in ("builtins", "numpy")


def test_an_estimator_holds_numpy_arrays_alone() -> None:
    model = small(dropout=0.1, early_stopping=True).fit(X, Y)
    assert [name for name, value in vars(model).items() if not is_plain(value)] == []
    assert not is_plain([PROGRAMS]), "the control"


@pytest.mark.parametrize("how", ["pickle", "joblib"])
def test_another_process_predicts_the_same_and_trains_on(how: str, tmp_path: Path) -> None:
    model = small().fit(X, Y)
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps(model)) if how == "pickle" else joblib.dump(model, path)
    assert path.stat().st_size < 20_000

    code = (
        f"import {how}, sys, numpy as np; from sklearn.datasets import load_iris; X, y = load_iris(return_X_y=True);"
        f"model = {how}.load(open(sys.argv[1], 'rb')); first = model.predict_proba(X);"
        "model.partial_fit(X, y); np.save(sys.argv[2], [first, model.predict_proba(X)])"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(tmp_path / "out.npy")], check=True)

    first, later = np.load(tmp_path / "out.npy")
    np.testing.assert_array_equal(first, model.predict_proba(X))
    np.testing.assert_array_equal(later, model.partial_fit(X, Y).predict_proba(X))
    assert not np.array_equal(first, later)


def test_nothing_is_written(workplace: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small().fit(X, Y).predict(X)
    assert [path for path in workplace.rglob("*") if "cache" not in path.parts] == []


def test_importing_the_package_imports_neither_scikit_learn_nor_jax() -> None:
    code = "import sys, epochal.sklearn; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert {"jax", "sklearn"}.isdisjoint(loaded)


def test_the_pages_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs" / "scikit-learn.md"
    if not page.is_file():
        pytest.skip("needs the repository's docs")
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, {})
    accuracy, best, mean = capsys.readouterr().out.splitlines()
    assert accuracy.endswith(" 50 epochs, 200 updates")
    assert float(accuracy.split()[0]) > 0.9
    assert set(eval(best)) == {"learning_rate", "weight_decay"}
    assert float(mean) > 0.2
