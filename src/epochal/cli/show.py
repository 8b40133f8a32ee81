"""`epochal show`: what a run is and what it did."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from epochal.cli.arguments import json_option, run_option
from epochal.options import FILE, SWITCH, option, text

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.run.run import Run
    from epochal.study.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCommand:
    """Describe a run: its plan, its position, its epochs and their audits, its result. A study: its tables.

    Example: epochal show runs/mnist-mlp-1 --csv > losses.csv
    """

    run: Path = run_option("The folder of a run, or of a study.", "RUN|STUDY")
    json: bool = json_option()
    csv: bool = option(False, "Print a table of its history as CSV.", SWITCH)
    parquet: Path | None = option(None, "Write a table of its history to this Parquet file (needs Polars).", FILE)
    table: str = option("iterations", "iterations, epochs, evaluations, sessions or events.", text("a table's name"))

    def execute(self) -> int:
        """Print the run, or the study."""
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.train import print_result
        from epochal.record.summary import describe_run
        from epochal.run.run import Run
        from epochal.study.study import Study

        if self.csv or self.parquet is not None:
            self._export()
            return 0
        if Study.is_at(self.run):
            self._show_study(Study.open(self.run))
            return 0
        run = Run.open(self.run)
        if self.json:
            print_json(describe_run(run))
            return 0
        console = open_console()
        _print_epochs(run, console)
        print_result(run, console)
        return 0

    def _show_study(self, study: Study) -> None:
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.studies import print_study
        from epochal.study.summary import describe_study

        if self.json:
            print_json(describe_study(study))
        else:
            print_study(study, open_console())

    def _export(self) -> None:
        """Write one table, without importing JAX."""
        from epochal.record.folder import RunFolder
        from epochal.record.frames import csv_blocks, write_parquet
        from epochal.record.history import History

        folder = RunFolder(self.run)
        folder.read()
        history = History(folder.history_db)
        if self.parquet is not None:
            write_parquet(history, self.table, self.parquet)
        if self.csv:
            sys.stdout.writelines(csv_blocks(history, self.table))


def _print_epochs(run: Run, console: Console) -> None:
    from epochal.cli.screen import add_rows, build_table, duration, percent

    columns = ("epoch", "iterations", "train loss", "test loss", "accuracy", "time", "each once")
    table = build_table(*((name, "right") for name in columns), title=str(run.path))
    add_rows(
        table,
        (
            (
                f"{row.epoch:,}" if row.complete else f"({row.epoch:,})",
                f"{row.iterations:,}",
                f"{row.train_loss:.4f}",
                "–" if row.test_loss is None else f"{row.test_loss:.4f}",
                percent(row.test_accuracy),
                duration(row.seconds),
                "yes" if row.is_exact else "NO",
            )
            for row in run.history.epochs
        ),
    )
    console.print(table)
