"""Tables at the defaults: accuracy or R² of `epochal.train` beside scikit-learn's multi-layer perceptrons at theirs.

    python bench/tables.py [--splits 5]

Fourteen of scikit-learn's own sets, several splits of each, the same rows for both. scikit-learn's `MLPClassifier` and
`MLPRegressor` stand behind a `StandardScaler`; nothing else is set on either side. The regressions come twice, as they
are and with targets near 300,000, because a price is what people have.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import epochal

Pair = tuple[np.ndarray, np.ndarray]


def of(load: Callable[..., Any]) -> Pair:
    x, y = load(return_X_y=True)
    return x, y


def sine() -> Pair:
    x = np.linspace(-3, 3, 400)[:, None]
    return x, np.sin(2 * x[:, 0]) + np.random.default_rng(0).normal(0, 0.1, 400)


def plane() -> Pair:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 8))
    return x, x @ np.arange(8) + rng.normal(size=2000)


SETS: dict[str, Callable[[], Pair]] = {
    "iris": lambda: of(datasets.load_iris),
    "wine": lambda: of(datasets.load_wine),
    "breast cancer": lambda: of(datasets.load_breast_cancer),
    "digits": lambda: of(datasets.load_digits),
    "moons": lambda: datasets.make_moons(600, noise=0.25, random_state=0),
    "classification": lambda: datasets.make_classification(1000, 20, n_informative=8, n_classes=3, random_state=0),
    "diabetes": lambda: of(datasets.load_diabetes),
    "linnerud": lambda: of(datasets.load_linnerud),
    "friedman1": lambda: datasets.make_friedman1(1000, noise=1.0, random_state=0),
    "friedman2": lambda: datasets.make_friedman2(1000, noise=10.0, random_state=0),
    "friedman3": lambda: datasets.make_friedman3(1000, noise=0.1, random_state=0),
    "regression": lambda: datasets.make_regression(1000, 10, noise=10.0, random_state=0),
    "sine": sine,
    "plane": plane,
}


def priced(y: np.ndarray) -> np.ndarray:
    """Return targets moved to where prices are."""
    return 300_000 + 80_000 * (y - y.mean(axis=0)) / y.std(axis=0)


def ours(x: np.ndarray, y: np.ndarray, held: Pair, **options: Any) -> float:
    """Return the accuracy or R² of a training at the defaults."""
    run = epochal.train((x, y, *held), run=False, progress=False, **options)
    metrics = run.history.tests[-1].metrics
    return float(metrics.get("accuracy", metrics.get("r2", np.nan)))


def theirs(x: np.ndarray, y: np.ndarray, held: Pair) -> float:
    """Return the same of scikit-learn's perceptron at its defaults."""
    kind = MLPRegressor if y.dtype.kind == "f" else MLPClassifier
    model = make_pipeline(StandardScaler(), kind(random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own budget of 200 epochs is often not enough for it
        return float(model.fit(x, y).score(*held))


def compare(name: str, x: np.ndarray, y: np.ndarray, splits: int, **options: Any) -> tuple[float, float]:
    """Print the medians over some splits, and return them: ours, theirs."""
    mine, other, seconds = [], [], [0.0, 0.0]
    for seed in range(splits):
        stratify = y if y.dtype.kind in "iu" else None
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=seed, stratify=stratify)
        for place, (values, score) in enumerate(((mine, ours), (other, theirs))):
            started = time.perf_counter()
            values.append(score(x_train, y_train, (x_test, y_test), **(options if score is ours else {})))
            seconds[place] += time.perf_counter() - started

    one, two = statistics.mean(mine), statistics.mean(other)
    mark = "" if one >= two - 0.005 else "   below"
    shown = [f"{value:9.3f} ({min(all_):.3f} to {max(all_):.3f})" for value, all_ in ((one, mine), (two, other))]
    times = " ".join(f"{total / splits:5.2f}" for total in seconds)
    print(f"{name:22} {'  '.join(shown)}  {times} s{mark}", flush=True)
    return one, two


def main() -> None:
    """Print a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=5)
    splits = parser.parse_args().splits
    print(f"accuracy or R², means of {splits} splits (their range), epochal beside scikit-learn; seconds a training")
    below = 0
    for name, load in SETS.items():
        x, y = load()
        y = y.astype(np.float64) if y.ndim == 2 or y.dtype.kind == "f" else y
        one, two = compare(name, x, y, splits)
        below += one < two - 0.005
        if y.dtype.kind == "f":
            compare(f"{name}, priced", x, priced(y), splits)
    print(f"\nbelow scikit-learn by more than 0.005: {below} of {len(SETS)}")


if __name__ == "__main__":
    main()
