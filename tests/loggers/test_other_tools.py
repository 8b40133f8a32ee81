"""MLflow and Trackio: what stands in their databases, over stops and kills. Skipped where they are not installed."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from following import OPTIONS, clouds, killed

from epochal import Run, resume, train
from epochal.errors import OptionError
from epochal.loggers import MLflow, Trackio
from little import StopAfter

pytestmark = pytest.mark.filterwarnings("ignore")


def check(points: dict[str, list[tuple[int, float]]], run: Run) -> None:
    assert points["loss"] == [(step, pytest.approx(loss)) for step, loss in enumerate(run.history.losses.tolist(), 1)]
    assert [step for step, _ in points["train/loss"]] == [row.end_iteration for row in run.history.epochs]
    assert all(value == 1 for _, value in points["audit/exact"])
    assert [value for _, value in points["test/accuracy"]] == pytest.approx([t.accuracy for t in run.history.tests])


def mlflow_run(database: str) -> tuple[dict[str, list[tuple[int, float]]], Any]:
    from mlflow import MlflowClient

    client = MlflowClient(database)
    experiment = client.get_experiment_by_name("epochal")
    (run,) = client.search_runs([experiment.experiment_id])
    names = run.data.metrics
    history = {name: client.get_metric_history(run.info.run_id, name) for name in names}
    return {name: sorted((point.step, point.value) for point in points) for name, points in history.items()}, run


def test_mlflow_over_a_stop_and_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="needs MLflow")
    database = f"sqlite:///{tmp_path}/mlflow.db"
    path = killed(tmp_path, f"MLflow({database!r}, share=1.0)")
    resume(path, data=clouds(), callbacks=[MLflow(database), StopAfter(15)])
    run = resume(path, data=clouds(), callbacks=MLflow(database))
    points, found = mlflow_run(database)
    check(points, run)
    assert found.info.status == "FINISHED"
    assert found.data.tags["epochal.status"] == "finished"
    assert found.data.params["config.batch_size"] == "10"
    assert not math.isnan(float(found.data.params["config.lr"]))


def test_trackio_over_a_stop_and_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="needs Trackio")
    from trackio import utils
    from trackio.sqlite_storage import SQLiteStorage

    assert str(utils.TRACKIO_DIR) == str(tmp_path / "trackio")
    path = killed(tmp_path, "Trackio('clouds', share=1.0)")
    resume(path, data=clouds(), callbacks=[Trackio("clouds"), StopAfter(15)])
    run = resume(path, data=clouds(), callbacks=Trackio("clouds"))
    (name,) = SQLiteStorage.get_runs("clouds")
    points: dict[str, list[tuple[int, float]]] = {}
    for row in SQLiteStorage.get_logs("clouds", name):
        for key, value in row.items():
            points.setdefault(key, []).append((row["step"], value))
    check(points, run)
    assert [value for _, value in points["status"]][-1] == "finished"


@pytest.mark.parametrize(("logger", "package"), [(MLflow, "mlflow"), (Trackio, "trackio")])
def test_where_one_is_missing_the_command_is_told(logger: Any, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(OptionError, match=f"pip install {package}"):
        train(clouds(), run=False, callbacks=logger(), **OPTIONS)
