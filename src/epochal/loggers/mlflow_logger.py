"""MLflow: a training as one of its runs. It is imported when it is used."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from epochal.errors import OptionError
from epochal.loggers.logger import Done, Logger, Values
from epochal.record.run_toml import RunFile
from epochal.run.callbacks import Start

_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "interrupted": "KILLED"}
_MOST_PARAMETERS, _LONGEST = 100, 500  # what MLflow takes in one call, and of one value


class MLflow(Logger):
    """Writes a training into MLflow: ``train(…, callbacks=MLflow("sqlite:///mlflow.db"))``.

    A run that is resumed goes on in the same MLflow run, which cannot take anything back: what a killed process had
    written after the last checkpoint stays, and is not written again.

    Args:
        tracking_uri: a database or a server. Default: MLflow's own, i.e. ``MLFLOW_TRACKING_URI`` or a file here.
        experiment: its name; made where it is missing.
        name: of the run. Default: the run folder's.
        tags: of the run.
        share: of the training's time that writing may take while it runs; an iteration takes about 0.2 ms.
    """

    points_at_once = 100

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        experiment: str = "epochal",
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        share: float = 0.005,
    ) -> None:
        super().__init__(share)
        self._uri, self._experiment, self._name, self._tags = tracking_uri, experiment, name, dict(tags or {})
        self._client: Any = None
        self._run_id = ""

    def begin(self, start: Start, notes: Mapping[str, Any]) -> Done:
        """Begin MLflow's run, or continue it from what it holds."""
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise OptionError("MLflow needs the package mlflow, which is not installed: pip install mlflow") from None
        self._client = MlflowClient(self._uri)

        if "run_id" in notes:
            self._run_id = notes["run_id"]
            self._client.update_run(self._run_id, status="RUNNING")
            return Done(self._last_step("loss"), self._last_step("epoch"))

        known = self._client.get_experiment_by_name(self._experiment)
        experiment = self._client.create_experiment(self._experiment) if known is None else known.experiment_id
        name = self._name or (None if start.folder is None else start.folder.name)
        self._run_id = self._client.create_run(experiment, tags=self._tags, run_name=name).info.run_id
        self._write_parameters(start.file)
        return Done()

    def notes(self) -> dict[str, Any]:
        """Return MLflow's name of the run."""
        return {"run_id": self._run_id}

    def configure(self, file: RunFile, iteration: int) -> None:
        """Write what changed: MLflow's parameters themselves never change."""
        if changes := file.to_dict()["changes"]:
            self._client.set_tag(self._run_id, "epochal.changes", json.dumps(changes))

    def write_losses(self, first: int, losses: Float32[np.ndarray, " iterations"]) -> None:
        """Write them in one call."""
        self._log(("loss", loss, iteration) for iteration, loss in enumerate(losses.tolist(), first + 1))

    def write_values(self, iteration: int, values: Values) -> None:
        """Write them in one call."""
        self._log((_allowed(name), value, iteration) for name, value in values.items())

    def finish(self, iteration: int, status: str) -> None:
        """Write the status."""
        self._client.set_tag(self._run_id, "epochal.status", status)
        self._client.set_terminated(self._run_id, _STATUS.get(status, "FAILED"))

    def _log(self, points: Iterator[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._client.log_batch(self._run_id, metrics=[Metric(name, value, now, step) for name, value, step in points])

    def _write_parameters(self, file: RunFile) -> None:
        from mlflow.entities import Param

        named = [Param(_allowed(name), str(value)[:_LONGEST]) for name, value in _flat(file.to_dict())]
        for first in range(0, len(named), _MOST_PARAMETERS):
            self._client.log_batch(self._run_id, params=named[first : first + _MOST_PARAMETERS])

    def _last_step(self, metric: str) -> int:
        return max((point.step for point in self._client.get_metric_history(self._run_id, metric)), default=0)


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a table's values with names such as ``config.lr``."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _allowed(name: str) -> str:
    """Return a name without what MLflow does not take in one."""
    return re.sub(r"[^\w./ :-]", "_", name)
