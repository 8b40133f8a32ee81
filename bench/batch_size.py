"""The study of batch sizes against what was measured before it was built: counts of updates, which load does not move.

python bench/batch_size.py digits | mnist | small | stable | within   (mnist takes minutes)

``mnist`` and ``small`` judge by MNIST's own test set, as those measurements did: a study itself holds training samples
out. Each check prints its number, the range that it must lie in, and whether it does; the exit status says the same.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from epochal import batch_sizes, load_data
from epochal.study.batch_size.answer import Answer
from epochal.study.batch_size.preparing import Prepared, prepare_trials
from epochal.study.batch_size.request import Request
from epochal.study.batch_size.work import BatchSizesCallback, work
from epochal.study.target import Trial
from epochal.study.to_target import ToTarget

Check = tuple[str, float, float, float]


class Watch(BatchSizesCallback):
    """Prints each trial."""

    def on_trial(self, trial: Trial) -> None:
        print(f"  B={trial.batch_size:<6} lr={trial.lr:<8g} seed {trial.seed}: {trial.steps} {trial.why}", flush=True)


def judged_by_the_test_set(samples: int | None, **given: Any) -> Answer:
    """Study MNIST's first samples, judged by its test set."""
    request = Request.of({"data": "mnist", **given})
    data = load_data("mnist")
    if samples is not None:
        import numpy as np

        data = dataclasses.replace(data, train=data.train.take(np.arange(samples)))
    sizes = tuple(len(data.train) if size == "all" else int(size) for size in request.batch_sizes)
    prepared: Prepared = prepare_trials(request, data, ToTarget(request.shared, data), data, sizes)
    with tempfile.TemporaryDirectory() as folder:
        return Answer.of(work(prepared, Path(folder) / "study", Watch()).results)


def steps(answer: Answer, size: int) -> float:
    row = answer.study.row(size)
    return float("nan") if row is None or row.steps is None else row.steps


def rate(answer: Answer, size: int) -> float:
    row = answer.study.row(size)
    return float("nan") if row is None or row.lr is None else row.lr


def critical(answer: Answer) -> float:
    return float("nan") if answer.critical is None else answer.critical[0]


def digits() -> Iterator[Check]:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        answer = batch_sizes("digits", target_accuracy=0.95, run=Path(folder) / "study")
    yield "digits: seconds in all (quiet machine)", time.perf_counter() - started, 0, 15
    yield "digits: critical batch size", critical(answer), 20, 50
    yield "digits: fastest", float(answer.best or 0), 4, 64


def mnist() -> Iterator[Check]:
    answer = judged_by_the_test_set(
        None, optimizer="sgd", target_accuracy=0.97, batch_sizes=[1, 4, 16, 64, 256, 1024], seeds=2
    )
    yield "mnist: updates of B = 1", steps(answer, 1), 77_000 * 0.75, 77_000 * 1.25
    yield "mnist: updates of B = 64", steps(answer, 64), 1_440 * 0.75, 1_440 * 1.25
    yield "mnist: updates of B = 1,024", steps(answer, 1024), 650 * 0.8, 650 * 1.2
    yield "mnist: critical batch size", critical(answer), 90, 210
    yield "mnist: fastest", float(answer.best or 0), 16, 256
    yield "mnist: rate of 64 over that of 1", rate(answer, 64) / rate(answer, 1), 16, 100


def small() -> Iterator[Check]:
    """10,000 samples to 94 %."""
    sizes = [1, 4, 16, 64, 256, 1024, "all"]
    found = {
        name: judged_by_the_test_set(10_000, optimizer=name, target_accuracy=0.94, batch_sizes=sizes, seeds=2)
        for name in ("sgd", "momentum")
    }
    sgd, momentum = found["sgd"], found["momentum"]
    yield "momentum's critical batch size over sgd's", critical(momentum) / critical(sgd), 2.5, 100
    for name, answer in found.items():
        yield f"{name}: updates of 1 over those of 64", steps(answer, 1) / steps(answer, 64), 48, 80
    yield "sgd: updates of 256 over those of all", steps(sgd, 256) / steps(sgd, 10_000), 0, 1.4
    yield "momentum: updates of 64 over those of 1,024", steps(momentum, 64) / steps(momentum, 1024), 3, 100
    yield "sgd: rate of 64 over that of 1", rate(sgd, 64) / rate(sgd, 1), 16, 100
    yield "sgd: rate of all over that of 256", rate(sgd, 10_000) / rate(sgd, 256), 0, 2.1


def stable() -> Iterator[Check]:
    """Three seeds of the whole study."""
    with tempfile.TemporaryDirectory() as folder:
        answers = [
            batch_sizes("digits", target_accuracy=0.95, seed=seed, run=Path(folder) / str(seed)) for seed in (0, 10, 20)
        ]
    fastest = [answer.best or 0 for answer in answers]
    yield "digits: largest over smallest fastest of three studies", max(fastest) / min(fastest), 1, 4
    knees = [critical(answer) for answer in answers]
    yield "digits: largest over smallest critical of three studies", max(knees) / min(knees), 1, 1.6


def within() -> Iterator[Check]:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        answer = batch_sizes("mnist", within="60s", run=Path(folder) / "study", callback=Watch())
    yield "mnist within 60 s: seconds", time.perf_counter() - started, 0, 75
    yield "mnist within 60 s: sizes", float(len(answer.rows)), 2, 20
    print("  left out:", ", ".join(f"{one.batch_size} ({one.why})" for one in answer.study.left_out) or "none")


def main(names: list[str]) -> int:
    checks = {"digits": digits, "mnist": mnist, "small": small, "stable": stable, "within": within}
    failed = 0
    for name in names or ["digits"]:
        for what, value, low, high in checks[name]():
            is_within = low <= value <= high
            failed += not is_within
            print(f"{'ok  ' if is_within else 'MISS'} {what}: {value:,.4g} ({low:,.4g} to {high:,.4g})", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
