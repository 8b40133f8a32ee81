"""`--quick`: one training to the target, the noise of its gradients on the way, and from them the rows of all sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epochal.engine.sharpness import measure_sharpness
from epochal.study.batch_size.predicted import Prediction, checkpoints, predict
from epochal.study.batch_size.preparing import Prepared
from epochal.study.batch_size.search import Question
from epochal.study.batch_size.trials import SizeRow
from epochal.study.target import Trial


def predicted_rows(
    prepared: Prepared, question: Question, measured: SizeRow
) -> tuple[tuple[SizeRow, ...], Mapping[str, Any]]:
    """Return a row for each size, the measured one as it is, and what was measured on its way.

    Raises `OptionError` where the curve cannot be predicted.
    """
    pilot = measured.trials[0]
    assert pilot.steps is not None
    engine = prepared.trials.set_up(pilot.batch_size, pilot.lr, pilot.seed).engine

    # the same training once more, to look at its weights
    stops = checkpoints(pilot.steps)
    given: dict[str, Any] = {"batch_size": pilot.batch_size, "lr": pilot.lr, "seed": pilot.seed}
    on_the_way = prepared.trials.evaluations(**given, limit=stops[-1], stops=[stop for stop in stops if stop])
    scales = [measure_sharpness(engine, seen.state, pilot.seed) for seen in on_the_way if seen.updates in stops]

    prediction = predict(pilot.batch_size, pilot.steps, scales)
    rows = tuple(
        measured if size == pilot.batch_size else _row(prediction, question, pilot, size) for size in prepared.sizes
    )
    return rows, prediction.to_dict()


def _row(prediction: Prediction, question: Question, pilot: Trial, size: int) -> SizeRow:
    """Return a predicted row."""
    steps = prediction.steps_of(size)
    lr = float(f"{pilot.lr * _share(prediction, size) / _share(prediction, pilot.batch_size):.3g}")
    trial = Trial(size, lr, pilot.seed, steps, "reached", question.target.value, round(steps))
    return SizeRow(size, lr, False, (trial,))


def _share(prediction: Prediction, size: int) -> float:
    """Return which share of its largest value the best rate has at this size (McCandlish et al. 2018, equation 2.6)."""
    return 1 / (1 + prediction.critical / size)
