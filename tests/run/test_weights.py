"""Weights of samples and classes: how much each loss counts in training, and in nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from epochal import train
from epochal.data import from_arrays
from epochal.data.splitting import with_balanced_classes
from epochal.errors import OptionError

RARE = np.arange(120) % 6 == 0
X = np.random.default_rng(0).normal(size=(120, 3)) + RARE[:, None]
OPTIONS: dict[str, Any] = {
    "model": "linear",
    "optimizer": "sgd",
    "lr": 0.1,
    "batch_size": 96,
    "epochs": 30,
    "run": False,
}


def recall_of_the_rare(**options: Any) -> float:
    run = train((X, RARE.astype(int)), metrics=["recall"], progress=False, **{**OPTIONS, **options})
    return run.history.tests[-1].metrics["recall/1"]


def test_balanced_classes_count_alike() -> None:
    data = with_balanced_classes(from_arrays(X, RARE.astype(int)))
    assert data.train.weight is not None
    totals = [float(data.train.weight[data.train.y == number].sum()) for number in (0, 1)]
    assert totals[0] == pytest.approx(totals[1], rel=1e-5)
    assert float(data.train.weight.mean()) == pytest.approx(1, rel=1e-6)


def test_they_multiply_the_samples_own_weights() -> None:
    own = np.where(np.arange(120) % 2 == 0, 3.0, 1.0)
    weight = with_balanced_classes(
        from_arrays(X, RARE.astype(int), weights=own, test=(X, RARE.astype(int)))
    ).train.weight
    assert weight is not None
    common = weight[~RARE]
    assert common[own[~RARE] == 3].mean() / common[own[~RARE] == 1].mean() == pytest.approx(3, rel=1e-5)


def test_a_rare_class_is_found_more_often() -> None:
    assert recall_of_the_rare(class_weight="balanced") > recall_of_the_rare() + 0.2


def test_evaluations_weigh_nothing() -> None:
    """The weights of training leave the metrics alone: the test loss is the plain mean."""
    run = train((X, RARE.astype(int)), class_weight="balanced", progress=False, **OPTIONS)
    test = run.data.test
    shares = run.predict_proba(test.x)[np.arange(len(test)), test.y]
    assert run.history.tests[-1].loss == pytest.approx(-np.log(shares).mean(), rel=1e-4)


def test_weights_of_one_change_no_bit() -> None:
    y = RARE.astype(int)
    plain, weighted = (train(source, progress=False, **OPTIONS) for source in ((X, y), (X, y, np.ones(120))))
    assert plain.weights_sha256 == weighted.weights_sha256


def test_a_regression_has_no_classes_to_weigh() -> None:
    with pytest.raises(OptionError, match="class_weight weighs classes"):
        train((X, X[:, 0]), class_weight="balanced", progress=False, **OPTIONS)
