"""`epochal plan`: the arithmetic of a training, explained before it happens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from epochal import formats
from epochal.cli.arguments import given, json_option
from epochal.cli.screen import add_rows, build_table, open_console, print_json
from epochal.clock import Plan
from epochal.config import BUDGETS, TRAIN, TrainConfig
from epochal.errors import PlanError
from epochal.formats import plural
from epochal.options import count, option, text
from epochal.plan_rows import PlanRow, plan_rows
from epochal.words.catalogue import messages

_ARITHMETIC = {name: TRAIN[name] for name in ("batch_size", "epochs", "iterations", "budget", "last")}
_ARITHMETIC["epochs"] = dataclasses.replace(_ARITHMETIC["epochs"], default="1, if no budget is given")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCommand:
    """Explain epochs, batches and iterations before training: what each is, and how many there will be.

    Example: epochal plan --samples 60000 --batch-size 100 --iterations 30000
    """

    samples: int | None = option(None, "N, the size of the training set.", count(), part="data")
    data: str | None = option(None, "Take N from this data set instead.", text("a name or a path"), part="data")
    given: Mapping[str, Any] = given(_ARITHMETIC)
    json: bool = json_option()

    def execute(self) -> int:
        """Print the plan."""
        if (self.samples is None) == (self.data is None):
            raise PlanError("give the training set's size (--samples 60000) or its name (--data mnist), one of them")
        budget: dict[str, Any] = {} if BUDGETS & self.given.keys() else {"epochs": 1}
        config = TrainConfig(**self.given, **budget)
        plan = config.plan(_size_of(str(self.data)) if self.samples is None else self.samples)
        if self.json:
            print_json(plan.facts())
        else:
            print_plan(plan, open_console())
        return 0


def _size_of(name: str) -> int:
    """Return a data set's training size, without loading it where its name is known."""
    from epochal.data import registry

    if name in registry.DATA_SETS:
        return registry.describe(name).train
    from epochal.data import load_data

    return len(load_data(name).train)


def print_plan(plan: Plan, console: Console) -> None:
    """Print the plan as a table that shows how each number comes about."""
    title = f"{plan.method_name.capitalize()} ({plan.method.upper()})"
    table = build_table(("", "left"), ("how", "left"), ("count", "right"), title=title)
    console.print(add_rows(table, map(_in_words, plan_rows(plan))))
    console.print(f"  {_lesson(plan)}")


def _in_words(row: PlanRow) -> tuple[str, str, str]:
    words = messages("en")
    how = row.formula or words[f"how.{row.how}"].format_map(row.values)
    return words[f"fact.{row.key}"], how, formats.count(row.number)


def _lesson(plan: Plan) -> str:
    batches = plural(plan.batches_per_epoch, "batch")
    match plan.method:
        case "bgd":
            return "The batch is the whole training set: each epoch is one exact, slow step downhill."
        case "sgd":
            return f"Each sample is a batch: {batches} make an epoch of quick, noisy steps."
        case "mbgd":
            return f"Each epoch is a full pass: {batches}, each for one update of the weights."
