"""`epochal evaluate`: a run's model on each sample of a split, or of other data, once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from epochal.cli.arguments import json_option, model_option, run_option
from epochal.config.options import choice, option, text


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateCommand:
    """Evaluate a run's model: the loss and the run's metrics over each sample once.

    Example: epochal evaluate runs/mnist-mlp-1
    """

    run: Path = run_option()
    data: str | None = option(
        None,
        "Data with targets: a data set's name, or your own file; where they are not the run's own, every row is taken.",
        text("a name or a path", "DATA"), text="the run's",
    )  # fmt: skip
    split: Literal["test", "validation", "train"] = option(
        "test", "Which samples of a data set.", choice("test", "validation", "train")
    )
    weights: Literal["last", "best"] | None = option(
        None, "Which weights.", choice("last", "best"), text="the best on validation samples, if there were any"
    )
    model: str | None = model_option()
    json: bool = json_option()

    def execute(self) -> int:
        """Evaluate and print the result."""
        from epochal import formats
        from epochal.cli.results import print_classes
        from epochal.cli.screen import open_console, print_json
        from epochal.cli.text_lines import print_text
        from epochal.run.run import Run
        from epochal.words.catalogue import counted, metric_word, tell

        console = open_console()
        run = Run.open(self.run, model=self.model).with_weights(self.weights)
        name = run.file.data.name if self.data is None else self.data

        # other data have no splits that the run knows of
        part = None if self.data is None else run.split_of(self.data, self.split)
        split = self.split if self.data is None or part is not None else None
        result = run.evaluate(self.data if part is None else part, split=split)
        if self.json:
            facts = {"samples": result.samples, "accuracy": result.accuracy, **result.values}
            print_json({"run": str(run.path), "data": name, "split": split, "weights": run.weights, **facts})
            return 0

        keys = {"test": "evaluation.test", "validation": "evaluation.validation", "train": "evaluation.train"}
        samples, part_name = counted(result.samples, "sample"), tell(keys[split] if split else "evaluation.all")
        print_text(console, tell("evaluation.of", data=name, split=part_name, samples=samples))
        if run.weights == "best":
            print_text(console, tell("evaluation.best"))
        single = [name for name in result.values if name != "loss" and "/" not in name]
        values = [f"{metric_word(name)} {formats.metric(name, result.values[name])}" for name in single]
        print_text(console, "   ".join([f"{metric_word('loss')} {formats.loss(result.loss)}", *values]))
        print_classes(result.values, console)
        return 0
