"""`epochal runs`: the runs under a folder, a line each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epochal.cli.arguments import json_option
from epochal.config.options import FOLDER, option
from epochal.errors import EpochalError, RunError
from epochal.files import files_named

_DAMAGED = "cannot be read: "


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsCommand:
    """List the runs under a folder: data, model, method, progress, result, status.

    Example: epochal runs
    """

    folder: Path = option(Path("runs"), "Where to look, folders inside it included.", FOLDER, positional=True)
    json: bool = json_option()

    def execute(self) -> int:
        """Print the runs."""
        from epochal.cli.fitted_tables import Column, print_table
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.text_lines import print_text
        from epochal.words.catalogue import tell

        if not self.folder.is_dir():
            raise RunError(
                f"there is no folder {self.folder}; `epochal train` makes the first run, and `epochal runs .` lists "
                "those in all folders here"
            )
        rows = [_describe(path.parent) for path in files_named(self.folder, "run.toml")]
        rows += [_describe_sizes(path.parent) for path in files_named(self.folder, "batch-size.toml")]
        if self.json:
            print_json(rows)
            return 0

        console = open_console()
        if not rows:
            print_text(console, tell("listed.none", folder=self.folder))
            return 0

        columns = (
            Column(tell("listed.run"), is_text=True),
            Column(tell("listed.data"), is_text=True, folds=True),
            Column(tell("listed.model"), is_text=True, folds=True),
            Column(tell("listed.method"), is_text=True),
            Column(tell("listed.iteration")),
            Column(tell("listed.test"), folds=True),
            Column(tell("listed.status"), is_text=True, folds=True),
        )
        print_table(console, columns, [_cells(row) for row in rows])
        return 0


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a run's line: data in a file by the file's name, and one number of iterations where all are done."""
    from epochal import formats
    from epochal.cli.study_tables import status_word
    from epochal.words.catalogue import tell
    from epochal.words.phrases import translate

    status = row["status"]
    if status.startswith(_DAMAGED):
        return (row["run"], *["–"] * 5, tell("listed.damaged", reason=translate(status.removeprefix(_DAMAGED))))

    counts = dict.fromkeys(formats.count(row[name]) for name in ("iteration", "iterations") if row[name] is not None)
    named = (Path(row["data"]).name, row["model"], row["method"])
    said = status_word(status)
    if row["problems"]:
        said = tell("listed.altered", status=said)
    return (row["run"], *named, "/".join(counts), _result(row["test"]), said)


def _result(test: dict[str, float]) -> str:
    """Return what a run is told apart by: its accuracy, or its first metric with its name, or its loss."""
    from epochal import formats
    from epochal.words.catalogue import metric_word

    if "accuracy" in test:
        return formats.percent(test["accuracy"])
    name = next((name for name in test if name != "loss"), "loss")
    return f"{metric_word(name)} {formats.metric(name, test[name])}" if name in test else "–"


def _describe(path: Path) -> dict[str, Any]:
    """Return a run's line; a run that cannot be read has its error as its status."""
    from epochal.record.run_record import RunRecord

    try:
        run = RunRecord.read(path, losses=False)
    except EpochalError as error:
        return {"run": str(path), "status": f"{_DAMAGED}{error}"}

    plan, tests = run.plan, run.history.tests
    test = dict(tests[-1].metrics) if tests else {}
    return {
        "run": str(path),
        "data": run.config.data,
        "model": run.config.model,
        "method": f"{plan.method} B={plan.batch_sizes}",
        "iteration": run.history.iterations,
        "iterations": None if plan.is_open else plan.iterations,
        "test_accuracy": test.get("accuracy"),
        "test": test,
        "status": run.status,
        "problems": list(run.problems),
    }


def _describe_sizes(path: Path) -> dict[str, Any]:
    """Return the line of a study of batch sizes: the sizes that it has tried, and its trials."""
    from epochal.study.batch_size.kept import BatchSizeRecord

    try:
        record = BatchSizeRecord.read(path)
    except EpochalError as error:
        return {"run": str(path), "status": f"{_DAMAGED}{error}"}

    sizes = [] if record.study is None else [str(row.batch_size) for row in record.study.rows]
    return {
        "run": str(path),
        "data": record.data.name,
        "model": record.request.shared.model,
        "method": f"batch-size B={','.join(sizes)}",
        "iteration": sum(one.trial.updates for one in record.trials),
        "iterations": None,
        "test_accuracy": None,
        "test": {},
        "status": "finished" if record.is_finished else "stopped",
        "problems": [],
    }
