"""`epochal evaluate`: a run's model on each sample of a split once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from epochal.cli.arguments import json_option, run_option
from epochal.options import choice, option, text


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateCommand:
    """Evaluate a run's model: the loss and the run's metrics over each sample once.

    Example: epochal evaluate runs/mnist-mlp-1
    """

    run: Path = run_option()
    data: str | None = option(
        None, "Another data set, or your own file, with samples of the same shape.",
        text("a name or a path", "DATA"), text="the run's",
    )  # fmt: skip
    split: Literal["test", "train"] = option("test", "Which samples.", choice("test", "train"))
    json: bool = json_option()

    def execute(self) -> int:
        """Evaluate and print the result."""
        from epochal import formats
        from epochal.cli.load import load_with_progress
        from epochal.cli.results import print_classes
        from epochal.cli.screen import open_console, print_json
        from epochal.run.run import Run

        console = open_console()
        run = Run.open(self.run)
        data = run.data if self.data is None else load_with_progress(console, self.data)
        result = run.evaluate(data if self.split == "test" else replace(data, test=data.train))

        if self.json:
            facts = {"samples": result.samples, "accuracy": result.accuracy, **result.values}
            print_json({"run": str(run.path), "data": data.name, "split": self.split, **facts})
            return 0

        console.print(f"{data.name}, {self.split} split: {result.samples:,} samples, each once")
        single = [name for name in result.values if name != "loss" and "/" not in name]
        values = [f"{name} {formats.metric(name, result.values[name])}" for name in single]
        console.print("   ".join([f"loss {result.loss:.4f}", *values]), soft_wrap=not console.is_terminal)
        print_classes(result.values, console)
        return 0
