"""Estimators beside scikit-learn's: seconds of fits and searches, and scores at the defaults.

    python bench/estimators.py [fits] [first] [large] [scores] [--rounds 15] [--out FILE]

``fits`` is iris, a multi-layer perceptron of 128 hidden values by Adam in batches of 32, each fit with another N,
learning rate and seed; ``first`` starts new processes, without and with what an earlier one compiled; ``large`` is
60,000 samples of 784 features; ``scores`` compares both at their defaults over several splits, scikit-learn's behind a
`StandardScaler`. Both take turns; shown are the quartiles, by the clock and of the processors' time, which other work
on the machine affects less. ``--out`` keeps the pairs of ``fits`` and ``large`` as JSON: `make bench` makes a table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_friedman1, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from epochal.engine.compile import PROGRAMS
from epochal.sklearn import EpochalClassifier, EpochalRegressor

X, Y = load_iris(return_X_y=True)
SCALED = StandardScaler().fit_transform(X)


def ours(k: int = 0, **more: Any) -> EpochalClassifier:
    """Return our classifier, set as scikit-learn's."""
    given = {"batch_size": 32, "epochs": 10, "learning_rate": 0.001 * (1 + k), "random_state": k, **more}
    return EpochalClassifier((128,), optimizer="adam", **given)


def theirs(k: int = 0, **more: Any) -> MLPClassifier:
    """Return scikit-learn's classifier, without a tolerance, so that it trains for all epochs."""
    given = {"batch_size": 32, "max_iter": 10, "learning_rate_init": 0.001 * (1 + k), "random_state": k, **more}
    return MLPClassifier((128,), tol=0, n_iter_no_change=10_000, **given)


Pair = dict[str, Any]
"""A work, and the quartiles of ours, of theirs (milliseconds by the clock), and of theirs to ours in the same round."""


def take_turns(work: str, works: dict[str, Callable[[int], Any]], rounds: int) -> Pair:
    """Run all works in turns, ours first and theirs last; print the quartiles, by the clock and of processors."""
    clock: dict[str, list[float]] = {name: [] for name in works}
    processor: dict[str, list[float]] = {name: [] for name in works}
    for k in range(rounds):
        for name, run in works.items():
            started, used = time.perf_counter(), time.process_time()
            run(k)
            clock[name].append(1e3 * (time.perf_counter() - started))
            processor[name].append(1e3 * (time.process_time() - used))

    for name in works:
        shown = [" ".join(f"{q:9,.1f}" for q in statistics.quantiles(ms[name], n=4)) for ms in (clock, processor)]
        print(f"  {name:44s} clock {shown[0]} ms, processor {shown[1]} ms (quartiles)", flush=True)

    mine, *_, other = clock.values()
    ratios = [b / a for a, b in zip(mine, other, strict=True)]
    named = {"ours": mine, "theirs": other, "ratio": ratios}
    return {"work": work, **{name: statistics.quantiles(values, n=4) for name, values in named.items()}}


def fits(rounds: int) -> list[Pair]:
    """Time repeated fits and searches on iris."""
    grid = [0.0003, 0.001, 0.003]

    def search(kind: str) -> Any:
        if kind == "ours":
            return GridSearchCV(ours(epochs=30), {"learning_rate": grid}, cv=3).fit(SCALED, Y)
        return GridSearchCV(theirs(max_iter=30), {"learning_rate_init": grid}, cv=3).fit(SCALED, Y)

    started = time.perf_counter()
    ours().fit(SCALED, Y)
    print(f"  the first fit in this process: {time.perf_counter() - started:.2f} s")
    ours().fit(SCALED, Y).predict(SCALED)
    before = PROGRAMS.compilations

    fit = take_turns(
        "iris: a fit of 10 epochs",
        {
            "EpochalClassifier, 10 epochs": lambda k: ours(k % 7).fit(SCALED[k % 50 :], Y[k % 50 :]),
            "MLPClassifier, 10 epochs": lambda k: theirs(k % 7).fit(SCALED[k % 50 :], Y[k % 50 :]),
        },
        4 * rounds,
    )
    searched = take_turns(
        "iris: `GridSearchCV` of 3 × 3 + 1 fits of 30 epochs",
        {
            "GridSearchCV(EpochalClassifier), 3 x 3 + 1": lambda k: search("ours"),
            "GridSearchCV(MLPClassifier), 3 x 3 + 1": lambda k: search("theirs"),
        },
        rounds,
    )
    print(f"  compilations meanwhile: {PROGRAMS.compilations - before}")
    return [fit, searched]


FIRST = """
import time; from sklearn.datasets import load_iris; X, y = load_iris(return_X_y=True)
started = time.perf_counter(); from epochal.sklearn import EpochalClassifier
EpochalClassifier(epochs=1); imported = time.perf_counter()
model = EpochalClassifier(epochs=10, random_state=0).fit(X, y); fitted = time.perf_counter()
model.predict(X); predicted = time.perf_counter()
print(imported - started, fitted - imported, predicted - fitted)
"""


def first(rounds: int) -> list[Pair]:
    """Time the first fit and prediction of new processes: nothing kept, and all programs kept on the disk."""
    seconds: dict[str, list[list[float]]] = {"nothing kept": [], "programs kept": []}
    for _ in range(max(3, rounds // 3)):
        with tempfile.TemporaryDirectory() as cache:
            for times in seconds.values():
                environment = os.environ | {"XDG_CACHE_HOME": cache}
                done = subprocess.run(
                    [sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True, check=True
                )
                times.append([float(word) for word in done.stdout.split()])
    for name, times in seconds.items():
        parts = zip(("import", "first fit", "first prediction"), zip(*times, strict=True), strict=True)
        shown = (f"{part} {statistics.median(one):.2f} s (least {min(one):.2f})" for part, one in parts)
        print(f"  {name}: {', '.join(shown)}")
    return []


def large(rounds: int) -> list[Pair]:
    """Time two epochs over 60,000 samples of 784 features, in batches of 200."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 1, (10, 784)).astype(np.float32)
    y = rng.integers(0, 10, 60_000)
    x = centres[y] + rng.normal(0, 1, (60_000, 784)).astype(np.float32)
    set_up = {"batch_size": 200}
    ours(**set_up, epochs=1).fit(x, y)
    pair = take_turns(
        "60,000 × 784, B = 200: a fit of 2 epochs",
        {
            "EpochalClassifier, 2 epochs": lambda k: ours(**set_up, epochs=2).fit(x, y),
            "EpochalClassifier, 12 epochs": lambda k: ours(**set_up, epochs=12).fit(x, y),
            "MLPClassifier, 2 epochs": lambda k: theirs(**set_up, max_iter=2).fit(x, y),
        },
        max(3, rounds // 5),
    )
    return [pair]


def houses() -> tuple[np.ndarray, np.ndarray]:
    """Return 5,000 rows like California's: skewed features of very different sizes, a price that is not linear."""
    rng = np.random.default_rng(0)
    income, age, rooms = rng.lognormal(1.2, 0.4, 5_000), rng.uniform(1, 52, 5_000), rng.lognormal(1.6, 0.3, 5_000)
    people, latitude, longitude = (
        rng.lognormal(7, 0.7, 5_000),
        rng.uniform(32, 42, 5_000),
        rng.uniform(-124, -114, 5_000),
    )
    coast = np.exp(-((longitude + 124 - (42 - latitude)) ** 2) / 8)
    price = 40_000 * income * (1 + coast) + 300 * age + 5_000 * np.log(rooms) + rng.normal(0, 20_000, 5_000)
    return np.column_stack([income, age, rooms, people, latitude, longitude]), price


SETS: dict[str, Callable[[], Any]] = {
    "iris": lambda: load_iris(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "friedman1": lambda: make_friedman1(1000, noise=1.0, random_state=0),
    "regression, 3 targets": lambda: make_regression(1000, 10, n_targets=3, noise=10.0, random_state=0),
    "houses": houses,
}


def scores(rounds: int) -> list[Pair]:
    """Compare accuracy or R² at the defaults, and the seconds of a fit after the first."""
    for name, load in SETS.items():
        x, y = load()
        of_classes = name in ("iris", "digits")
        contenders: dict[str, Callable[[], Any]] = {
            "Epochal": EpochalClassifier if of_classes else EpochalRegressor,
            "scikit-learn": lambda of_classes=of_classes: make_pipeline(
                StandardScaler(), MLPClassifier() if of_classes else MLPRegressor()
            ),
        }
        results: dict[str, list[tuple[float, float]]] = {one: [] for one in contenders}
        for seed in range(max(3, rounds // 3)):
            x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, random_state=seed)
            for one, build in contenders.items():
                started = time.perf_counter()
                model = build().fit(x_train, y_train)
                results[one].append((model.score(x_test, y_test), time.perf_counter() - started))

        shown = []
        for one, pairs in results.items():
            found = [score for score, _ in pairs]
            spread = f"{statistics.mean(found):7.3f} ± {statistics.stdev(found):.3f}"
            shown.append(f"{one} {spread}, {statistics.median(seconds for _, seconds in pairs):6.2f} s")
        print(f"  {name:24s} {'accuracy' if of_classes else 'R²':8s} {'; '.join(shown)}", flush=True)
    return []


PARTS = {"fits": fits, "first": first, "large": large, "scores": scores}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)

    pairs = []
    for name in options.parts or PARTS:
        print((PARTS[name].__doc__ or "").split("\n")[0])
        pairs += PARTS[name](options.rounds)
    if options.out:
        options.out.write_text(json.dumps({"rounds": options.rounds, "rows": pairs}))


if __name__ == "__main__":
    main()
