"""`epochal runs`: the runs under a folder, a line each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epochal.cli.arguments import json_option
from epochal.errors import EpochalError, RunError
from epochal.options import FOLDER, option


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsCommand:
    """List the runs under a folder: data, model, method, progress, result, status.

    Example: epochal runs
    """

    folder: Path = option(Path("runs"), "Where to look, folders inside it included.", FOLDER, positional=True)
    json: bool = json_option()

    def execute(self) -> int:
        """Print the runs."""
        from epochal import formats
        from epochal.cli.screen import add_rows, build_table, open_console, print_json

        if not self.folder.is_dir():
            raise RunError(f"there is no folder {self.folder}; `epochal train` makes the first run")
        rows = [_describe(path.parent) for path in sorted(self.folder.rglob("run.toml"))]
        if self.json:
            print_json(rows)
            return 0

        columns = ("run", "data", "model", "method", "iteration", "test", "status")
        table = build_table(*((name, "right" if name in ("iteration", "test") else "left") for name in columns))

        lines = (
            (
                row["run"],
                row.get("data", "–"),
                row.get("model", "–"),
                row.get("method", "–"),
                "/".join(formats.count(row[name]) for name in ("iteration", "iterations") if row.get(name) is not None)
                or "–",
                _result(row.get("test", {})),
                row["status"],
            )
            for row in rows
        )
        open_console().print(add_rows(table, lines))
        return 0


def _result(test: dict[str, float]) -> str:
    """Return what a run is told apart by: its accuracy, or its first metric with its name, or its loss."""
    from epochal import formats

    if "accuracy" in test:
        return formats.percent(test["accuracy"])
    name = next((name for name in test if name != "loss"), "loss")
    return f"{name} {formats.metric(name, test[name])}" if name in test else "–"


def _describe(path: Path) -> dict[str, Any]:
    """Return a run's line; a run that cannot be read has its error as its status."""
    from epochal.record.run_record import RunRecord

    try:
        run = RunRecord.read(path, losses=False)
    except EpochalError as error:
        return {"run": str(path), "status": f"cannot be read: {error}"}

    plan, tests = run.plan, run.history.tests
    test = dict(tests[-1].metrics) if tests else {}
    return {
        "run": str(path),
        "data": run.config.data,
        "model": run.config.model,
        "method": f"{plan.method} B={plan.batch_size}",
        "iteration": run.history.iterations,
        "iterations": None if plan.is_open else plan.iterations,
        "test_accuracy": test.get("accuracy"),
        "test": test,
        "status": run.status,
    }
