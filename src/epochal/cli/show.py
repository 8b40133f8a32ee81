"""`epochal show`: what a run is and what it did."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from epochal.cli.arguments import json_option, run_option
from epochal.config.options import FILE, SWITCH, option, text

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.record.run_record import RunRecord
    from epochal.record.study_record import StudyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCommand:
    """Describe a run: its plan, its position, its epochs and their audits, its result. A study: its tables.

    Example: epochal show runs/mnist-mlp-1 --csv > losses.csv
    """

    run: Path = run_option("The folder of a run, or of a study.", "RUN|STUDY")
    json: bool = json_option()
    csv: bool = option(False, "Print a table of its history as CSV.", SWITCH)
    parquet: Path | None = option(None, "Write a table of its history to this Parquet file (needs Polars).", FILE)
    table: str = option(
        "iterations", "iterations, epochs, metrics, sessions, events, noise or gradients.",
        text("a table's name", known=("iterations", "epochs", "metrics", "sessions", "events", "noise", "gradients")),
    )  # fmt: skip

    def execute(self) -> int:
        """Print the run, or the study."""
        from epochal.cli.batch_size import print_sizes
        from epochal.cli.results import print_result
        from epochal.cli.screen import open_console, print_json
        from epochal.record.run_record import RunRecord
        from epochal.record.study_record import StudyRecord
        from epochal.study.batch_size.kept import BatchSizeRecord

        if self.csv or self.parquet is not None:
            self._export()
            return 0
        if StudyRecord.is_at(self.run):
            self._show_study(StudyRecord.read(self.run))
            return 0
        if BatchSizeRecord.is_at(self.run):
            print_sizes(BatchSizeRecord.read(self.run), open_console(quiet=self.json))
            return 0

        run = RunRecord.read(self.run)
        if self.json:
            print_json(run.to_dict())
            return 0
        run.check()
        console = open_console()
        _print_epochs(run, console)
        _print_surroundings(run, console)
        print_result(run, console)
        return 0

    def _show_study(self, study: StudyRecord) -> None:
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.study_tables import print_study

        if self.json:
            print_json(study.to_dict())
        else:
            print_study(study, open_console())

    def _export(self) -> None:
        """Write one table."""
        from epochal.record.frames import csv_blocks, write_parquet
        from epochal.record.run_record import RunRecord

        history = RunRecord.read(self.run).history
        if self.parquet is not None:
            write_parquet(history, self.table, self.parquet)
        if self.csv:
            sys.stdout.writelines(csv_blocks(history, self.table))


def _print_epochs(run: RunRecord, console: Console) -> None:
    """Print a row for each epoch, with every metric that has one value; values of single classes are in --json."""
    from epochal import formats
    from epochal.cli.fitted_tables import Column, print_table
    from epochal.words.catalogue import duration, metric_word, tell

    epochs = run.history.epochs
    found = [name for name in dict.fromkeys(name for row in epochs for name in row.test) if "/" not in name]
    metrics = found or ["loss"]

    headings = (
        tell("shown.epoch"),
        tell("shown.iterations"),
        tell("shown.train_loss"),
        *(str(metric_word(name, "test")) for name in metrics),
        tell("shown.time"),
        tell("shown.each_once"),
    )

    rows = [
        (
            formats.count(row.epoch) if row.complete else f"({row.epoch:,})",
            formats.count(row.iterations),
            formats.loss(row.train_loss),
            *(_cell(name, row.test.get(name)) for name in metrics),
            str(duration(row.seconds)),
            tell("shown.yes" if row.is_exact else "shown.no"),
        )
        for row in epochs
    ]
    print_table(console, [Column(heading) for heading in headings], rows, title=run.name)


def _print_surroundings(run: RunRecord, console: Console) -> None:
    """Print in which order of samples, by which processes, and beside how many others: what is not usual of it."""
    from epochal.block_order import BlockSize
    from epochal.cli.text_lines import print_text
    from epochal.words.catalogue import tell

    order, hosts = run.config.order, run.hosts
    if order is not None:
        size = BlockSize.parse(order.removeprefix("blocks:"))
        print_text(console, tell("shown.order", order=order, rows=f"{size.rows:,}", blocks=f"{size.blocks:,}"))
    if hosts:
        print_text(console, tell("shown.hosts", processes=sum(hosts.values()), hosts=", ".join(hosts)))
    if run.at_once > 1:
        print_text(console, tell("study.at_once", count=run.at_once))


def _cell(name: str, value: float | None) -> str:
    from epochal import formats

    return formats.loss(value) if name == "loss" and value is not None else formats.metric(name, value)
