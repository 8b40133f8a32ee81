"""Records made by hand, without any training: what a page is rendered from."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from epochal.record.events import EpochRow
from epochal.record.summary import Fact

from epochal.audit import ExpectedAudit
from epochal.clock import Plan, Position
from epochal.config import TrainConfig
from epochal.order import Order
from epochal.record.folder import RunFile
from epochal.record.history import EvaluationRow, SessionRow
from epochal.study.records import Landscape, Mistake, Notice, Predictions, Records, RunRecord, Straight, Way


def made_file(config: TrainConfig, samples: int, **changes: Any) -> RunFile:
    return RunFile(
        config=config,
        data={
            "name": config.data,
            "fingerprint": "f" * 64,
            "train": samples,
            "test": 50,
            "sample_shape": [8, 8],
            "task": "classification",
            "outputs": 3,
            **changes,
        },
        model={"name": config.model, "parameters": 1234, "options": {}},
        versions={"python": "3.11", "epochal": "0.1.0", "jax": "0.10.2"},
        device={"platform": "cpu", "kind": "cpu", "count": 1},
    )


def made_epochs(plan: Plan, done: int) -> tuple[EpochRow, ...]:
    rows = []
    for epoch in range(1, done // plan.iterations_per_epoch + 1):
        audit = ExpectedAudit.of(Order(plan.samples, 0)).everything if plan.samples < 10_000 else None
        digits = audit.hash if audit else "0" * 16
        rows.append(
            EpochRow(
                epoch=epoch,
                end_iteration=epoch * plan.iterations_per_epoch,
                iterations=plan.iterations_per_epoch,
                samples=plan.samples_per_epoch,
                expected_samples=plan.samples_per_epoch,
                complete=True,
                train_loss=1.0 / epoch,
                test_loss=1.2 / epoch,
                test_accuracy=1 - 0.5 / epoch,
                seconds=0.5,
                audit_hash=digits,
                expected_hash=digits,
            )
        )
    return tuple(rows)


def made_losses(iterations: int, seed: int = 0) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(seed).lognormal(0, 0.4, iterations)
    return (2 * noise / np.sqrt(1 + np.arange(iterations) / 10)).astype(np.float32)


def made_run(
    name: str = "run-1",
    *,
    samples: int = 1000,
    batch_size: int = 100,
    iterations: int = 120,
    done: int | None = None,
    status: str = "finished",
    losses: np.ndarray[Any, Any] | None = None,
    **others: Any,
) -> RunRecord:
    config = TrainConfig(data="digits", model="mlp", batch_size=batch_size, budget=f"{iterations}it", lr=0.1, loss="ce")
    plan = config.plan(samples)
    done = iterations if done is None else done
    epochs = made_epochs(plan, done)
    values: dict[str, Any] = {
        "name": name,
        "path": f"runs/{name}",
        "status": status,
        "file": made_file(config, samples),
        "plan": plan,
        "position": plan.position(iteration=done) if done else Position(),
        "losses": made_losses(done) if losses is None else losses,
        "epochs": epochs,
        "evaluations": tuple(
            EvaluationRow(row.end_iteration, "test", 50, row.test_loss or 0.0, row.test_accuracy) for row in epochs
        ),
        "sessions": (SessionRow("2025-01-02T03:04:05.678+00:00", 0, done, 8.0, 0.5 * len(epochs), status),),
        "events": (),
        "facts": (Fact("full epochs", plan.full_epochs, len(epochs)), Fact("something new", 3, 4)),
        "weights_sha256": "a" * 64,
        "predictions": made_predictions(),
    }
    return RunRecord(**{**values, **others})


def made_predictions(classes: tuple[str, ...] = ("cat", "dog", "<owl>")) -> Predictions:
    confusion = np.diag(np.arange(len(classes)) + 10).astype(np.int64)
    confusion[0, 1] = 4
    image = (np.arange(64, dtype=np.uint8) * 3).reshape(8, 8)
    return Predictions(120, classes, confusion, (Mistake(7, 0, 1, 0.987, image), Mistake(9, 0, 1, 0.9, None)))


def made_landscape(*ways: str, **others: Any) -> Landscape:
    x, y = np.linspace(-1, 3, 9), np.linspace(-2, 2, 7)
    loss = 0.1 + (x[None, :] - 2) ** 2 + y[:, None] ** 2
    dots = np.arange(4)
    values: dict[str, Any] = {
        "kind": "pca",
        "split": "train",
        "samples": 500,
        "of": 1000,
        "x": x,
        "y": y,
        "loss": loss,
        "explained": (0.7, 0.2),
        "ways": tuple(Way(name, dots * 10, dots / 1.0, dots * 0.6, 1 - dots * 0.3, 2.0 / (1 + dots)) for name in ways),
        "lines": (Straight(("run-1", 0.0), ("run-1", 3.0), np.linspace(0, 1, 5), np.linspace(2, 0.2, 5)),),
    }
    return Landscape(**{**values, **others})


def made_records(*runs: RunRecord, **others: Any) -> Records:
    runs = runs or (made_run(),)
    values: dict[str, Any] = {"title": runs[0].name, "made": "2025-01-02T03:04", "version": "0.1.0", "runs": runs}
    return Records(**{**values, **others})


def three_runs(iterations: int = 30_000) -> Records:
    """The size of the worked example, three times."""
    sizes = {"batch-1": 1, "batch-100": 100, "batch-all": 60_000}
    runs = [
        dataclasses.replace(made_run(name, samples=60_000, batch_size=size, iterations=iterations))
        for name, size in sizes.items()
    ]
    return made_records(*runs, title="three", landscapes=(made_landscape(*sizes),), target_accuracy=0.9, study="three")


HOSTILE = (
    """x"><img src=x onerror="document.title='hacked'"></script><script>document.title='hacked'</script>{{7*7}}&'"""
)


def hostile_records() -> Records:
    """Text from outside in every place that takes some, each with markup in it."""
    run = made_run(HOSTILE)
    config = dataclasses.replace(run.file.config, data=HOSTILE, model=HOSTILE, optimizer=HOSTILE)
    file = dataclasses.replace(
        made_file(config, 1000), versions={HOSTILE: HOSTILE}, device={"platform": HOSTILE, "kind": HOSTILE, "count": 1}
    )
    run = dataclasses.replace(run, path=HOSTILE, file=file, predictions=made_predictions((HOSTILE, "b", "c")))
    other = dataclasses.replace(made_run("other"), predictions=Notice("unpredicted", {"reason": HOSTILE}))
    return made_records(
        run,
        other,
        title=HOSTILE,
        landscapes=(made_landscape(HOSTILE),),
        notices=(Notice("unreadable", {"run": HOSTILE, "reason": HOSTILE}),),
    )
