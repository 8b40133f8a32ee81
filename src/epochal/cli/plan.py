"""`epochal plan`: the arithmetic of a training, explained before it happens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from epochal import formats
from epochal.cli.arguments import given, json_option
from epochal.cli.fitted_tables import Column, print_table
from epochal.cli.screen import open_console, print_json
from epochal.cli.text_lines import print_wrapped
from epochal.clock import Plan
from epochal.config.options import count, option, text
from epochal.config.train_config import BUDGETS, TRAIN, TrainConfig
from epochal.errors import PlanError
from epochal.plan_rows import PlanRow, plan_rows
from epochal.words.catalogue import counted, tell

_ARITHMETIC = {name: TRAIN[name] for name in ("batch_size", "epochs", "iterations", "budget", "last")}
_ARITHMETIC["epochs"] = dataclasses.replace(_ARITHMETIC["epochs"], default="1, if no budget is given")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCommand:
    """Explain epochs, batches and iterations before training: what each is, and how many there will be.

    Example: epochal plan --samples 60000 --batch-size 100 --iterations 30000
    """

    samples: int | None = option(None, "N, the size of the training set.", count(), part="data")
    data: str | None = option(None, "Take N from this data set instead.", text("a name or a path", "DATA"), part="data")
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
    name = tell(f"method.{plan.method}")
    how = Column(tell("plan_table.how"), is_text=True, folds=True)
    columns = (Column("", is_text=True, folds=True), how, Column(tell("plan_table.count")))
    rows = [_in_words(row) for row in plan_rows(plan)]
    print_table(console, columns, rows, title=name[0].upper() + name[1:], gap=3)
    print_wrapped(console, _lesson(plan), indent="  ")


def _in_words(row: PlanRow) -> tuple[str, str, str]:
    how = row.formula or tell(f"how.{row.how}", **row.values)
    return tell(f"fact.{row.key}"), how, formats.count(row.number)


def _lesson(plan: Plan) -> str:
    if plan.is_schedule:
        return tell("plan_table.schedule")
    batches = counted(plan.batches_per_epoch, "batch")
    match plan.method:
        case "bgd":
            return tell("plan_table.bgd")
        case "sgd":
            return tell("plan_table.sgd", batches=batches)
        case "mbgd":
            return tell("plan_table.mbgd", batches=batches)
