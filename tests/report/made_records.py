"""Records made by hand, without any training: what a page is rendered from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from epochal.audit import ExpectedAudit
from epochal.clock import Plan, Position
from epochal.config.train_config import TrainConfig
from epochal.order import Order
from epochal.record.history import History
from epochal.record.landscape_record import Interpolation, LandscapeRecord, Place, Trajectory
from epochal.record.rows import EpochRow, EvaluationRow, SessionRow
from epochal.record.run_record import RunRecord
from epochal.record.run_toml import DataFacts, DeviceFacts, ModelFacts, RunFile
from epochal.report.page_model import (
    Mistake,
    Notice,
    Page,
    PageRun,
    Predictions,
)


def made_file(config: TrainConfig, samples: int, **changes: Any) -> RunFile:
    return RunFile(
        config=config,
        data=DataFacts(
            **{
                "name": config.data,
                "fingerprint": "f" * 64,
                "train": samples,
                "test": 50,
                "sample_shape": [8, 8],
                "task": "classification",
                "outputs": 3,
                **changes,
            }
        ),
        model=ModelFacts(config.model, 1234, {}),
        versions={"python": "3.11", "epochal": "0.1.0", "jax": "0.10.2"},
        device=DeviceFacts("cpu", "cpu", 1),
    )


def made_epochs(plan: Plan, done: int) -> tuple[EpochRow, ...]:
    rows = []
    for epoch in range(1, done // plan.iterations_per_epoch + 1):
        audit = ExpectedAudit(Order(plan.samples, 0)).everything if plan.samples < 10_000 else None
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
                seconds=0.5,
                audit_hash=digits,
                expected_hash=digits,
                test={"loss": 1.2 / epoch, "accuracy": 1 - 0.5 / epoch},
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
    budget: str | None = None,
    done: int | None = None,
    status: str = "finished",
    losses: np.ndarray[Any, Any] | None = None,
    epochs: tuple[EpochRow, ...] | None = None,
    file: RunFile | None = None,
    path: str | None = None,
    predictions: Predictions | Notice | None = None,
) -> PageRun:
    """A run of so many iterations; its epochs' test metrics are its evaluations."""
    config = TrainConfig(
        data="digits",
        model="mlp",
        batch_size=batch_size,
        budget=budget or f"{iterations}it",
        lr=0.1,
        loss="ce",
    )
    done = iterations if done is None else done
    if epochs is None:
        epochs = made_epochs(config.plan(samples), done)
    history = History(
        losses=made_losses(done) if losses is None else losses,
        iterations=done if losses is None else losses.size,
        epochs=epochs,
        evaluations=tuple(EvaluationRow(row.end_iteration, "test", 50, row.test) for row in epochs),
        sessions=(SessionRow("2025-01-02T03:04:05.678+00:00", 0, done, 8.0, 0.5 * len(epochs), status),),
        events=(),
    )
    record = RunRecord(Path(path or f"runs/{name}"), file or made_file(config, samples), history, status, Position())
    return PageRun(record, name, predictions or made_predictions(), "a" * 64)


def with_metrics(run: PageRun, **metrics: float) -> PageRun:
    """The same run, with other metrics of its test set; ``__`` in a name stands for a slash."""
    named = {name.replace("__", "/"): value for name, value in metrics.items()}
    history = run.record.history
    history = dataclasses.replace(
        history,
        epochs=tuple(dataclasses.replace(row, test=named) for row in history.epochs),
        evaluations=tuple(dataclasses.replace(row, metrics=named) for row in history.evaluations),
    )
    return dataclasses.replace(run, record=dataclasses.replace(run.record, history=history))


def made_predictions(classes: tuple[str, ...] = ("cat", "dog", "<owl>")) -> Predictions:
    confusion = np.diag(np.arange(len(classes)) + 10).astype(np.int64)
    confusion[0, 1] = 4
    image = (np.arange(64, dtype=np.uint8) * 3).reshape(8, 8)
    return Predictions(120, classes, confusion, (Mistake(7, 0, 1, 0.987, image), Mistake(9, 0, 1, 0.9, None)))


def made_landscape(*trajectories: str, **others: Any) -> LandscapeRecord:
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
        "trajectories": tuple(
            Trajectory(name, dots * 10, dots / 1.0, dots * 0.6, 1 - dots * 0.3, 2.0 / (1 + dots))
            for name in trajectories
        ),
        "lines": (
            Interpolation(
                Place("run-1", 0, 0.0), Place("run-1", 30, 3.0), np.linspace(0, 1, 5), np.linspace(2, 0.2, 5)
            ),
        ),
    }
    return LandscapeRecord(**{**values, **others})


def made_page(*runs: PageRun, **others: Any) -> Page:
    runs = runs or (made_run(),)
    values: dict[str, Any] = {"title": runs[0].name, "made": "2025-01-02T03:04", "version": "0.1.0", "runs": runs}
    return Page(**{**values, **others})


def three_runs(iterations: int = 30_000) -> Page:
    """The size of the worked example, three times."""
    sizes = {"batch-1": 1, "batch-100": 100, "batch-all": 60_000}
    runs = [made_run(name, samples=60_000, batch_size=size, iterations=iterations) for name, size in sizes.items()]
    return made_page(*runs, title="three", landscapes=(made_landscape(*sizes),), target_accuracy=0.9, study="three")


HOSTILE = (
    """x"><img src=x onerror="document.title='hacked'"></script><script>document.title='hacked'</script>{{7*7}}&'"""
)


def hostile_page() -> Page:
    """Text from outside in every place that takes some, each with markup in it."""
    config = dataclasses.replace(made_run().record.config, data=HOSTILE, model=HOSTILE, optimizer=HOSTILE)
    file = dataclasses.replace(
        made_file(config, 1000), versions={HOSTILE: HOSTILE}, device=DeviceFacts(HOSTILE, HOSTILE, 1)
    )
    run = made_run(HOSTILE, path=HOSTILE, file=file, predictions=made_predictions((HOSTILE, "b", "c")))
    run = with_metrics(run, **{"loss": 0.1, HOSTILE.replace("/", ""): 0.2, f"recall__{HOSTILE}": 0.3})
    other = made_run("other", predictions=Notice("unpredicted", {"reason": HOSTILE}))
    return made_page(
        run,
        other,
        title=HOSTILE,
        landscapes=(made_landscape(HOSTILE),),
        notices=(Notice("unreadable", {"run": HOSTILE, "reason": HOSTILE}),),
    )
