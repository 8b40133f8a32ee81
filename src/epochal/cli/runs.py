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
        from epochal.cli.screen import add_rows, build_table, open_console, percent, print_json

        if not self.folder.is_dir():
            raise RunError(f"there is no folder {self.folder}; `epochal train` makes the first run")
        rows = [_describe(path.parent) for path in sorted(self.folder.rglob("run.toml"))]
        if self.json:
            print_json(rows)
            return 0
        columns = ("run", "data", "model", "method", "iteration", "accuracy", "status")
        table = build_table(*((name, "right" if name in ("iteration", "accuracy") else "left") for name in columns))
        lines = (
            (
                row["run"],
                row.get("data", "–"),
                row.get("model", "–"),
                row.get("method", "–"),
                f"{row['iteration']:,}/{row['iterations']:,}" if "iteration" in row else "–",
                percent(row.get("test_accuracy")),
                row["status"],
            )
            for row in rows
        )
        open_console().print(add_rows(table, lines))
        return 0


def _describe(path: Path) -> dict[str, Any]:
    """Return a run's line; a run that cannot be read has its error as its status."""
    from epochal.run.run import Run

    try:
        run = Run.open(path)
        plan = run.plan
        sessions = () if run.is_new else run.history.sessions
        evaluations = () if run.is_new else run.history.evaluations
        return {
            "run": str(path),
            "data": run.config.data,
            "model": run.config.model,
            "method": f"{plan.method} B={plan.batch_size}",
            "iteration": sessions[-1].end_iteration if sessions else 0,
            "iterations": plan.iterations,
            "test_accuracy": next((row.accuracy for row in reversed(evaluations) if row.split == "test"), None),
            "status": run.status,
        }
    except EpochalError as error:
        return {"run": str(path), "status": f"cannot be read: {error}"}
