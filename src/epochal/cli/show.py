"""`epochal show`: what a run is and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.run.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCommand:
    """Describe a run: its plan, its position, its epochs and their audits, its result.

    Example: epochal show runs/mnist-mlp-1

    Attributes:
        run: the run's folder.
        json: print everything as JSON.
    """

    run: Positional[Annotated[Path, arg(metavar="RUN")]]
    json: bool = False

    def execute(self) -> int:
        """Print the run."""
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.train import print_result
        from epochal.run.run import Run
        from epochal.run.summary import describe_run

        run = Run.open(self.run)
        if self.json:
            print_json(describe_run(run))
            return 0
        console = open_console()
        _print_epochs(run, console)
        print_result(run, console)
        return 0


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
