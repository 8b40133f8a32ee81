"""`epochal plan`: the arithmetic of a training, explained before it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Optional, TypeAlias

from rich.console import Console
from tyro.conf import arg

from epochal.cli.screen import add_rows, build_table, open_console, print_json
from epochal.clock import Last, Plan, Unit
from epochal.config import DEFAULT_BATCH_SIZE
from epochal.counts import parse_count
from epochal.errors import PlanError
from epochal.formats import plural

Text: TypeAlias = Optional[str]  # noqa: UP045  for `str | None` tyro imports typeguard, a third of this command's time


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCommand:
    """Explain epochs, batches and iterations before training: what each is, and how many there will be.

    Example: epochal plan --samples 60000 --batch-size 100 --iterations 30000

    Attributes:
        samples: N, the size of the training set.
        data: take N from this data set instead.
        batch_size: B, samples an update: 1 to N, or ``all``; 100 where not given, or N if that is less.
        epochs: budget in passes over the training set; 1 where no budget is given.
        iterations: budget in weight updates.
        budget: budget with its unit: 50ep, 30000it or 3000000sa.
        last: keep or drop an epoch's smaller last batch.
        json: print JSON.
    """

    samples: Annotated[Text, arg(metavar="N", help_behavior_hint="")] = None
    data: Annotated[Text, arg(metavar="NAME", help_behavior_hint="")] = None
    batch_size: Annotated[Text, arg(metavar="B", help_behavior_hint="")] = None
    epochs: Annotated[Text, arg(metavar="N", help_behavior_hint="")] = None
    iterations: Annotated[Text, arg(metavar="N", help_behavior_hint="")] = None
    budget: Annotated[Text, arg(metavar="LENGTH", help_behavior_hint="")] = None
    last: Last = "keep"
    json: bool = False

    def execute(self) -> int:
        """Print the plan."""
        samples = parse_count("samples", self._samples())
        plan = Plan(
            samples,
            min(DEFAULT_BATCH_SIZE, samples) if self.batch_size is None else self.batch_size,
            epochs=self.epochs,
            iterations=self.iterations,
            budget=self.budget,
            last=self.last,
        )
        if self.json:
            print_json(plan.facts())
        else:
            print_plan(plan, open_console())
        return 0

    def _samples(self) -> str | int:
        if (self.samples is None) == (self.data is None):
            raise PlanError("give the training set's size (--samples 60000) or its name (--data mnist), one of them")
        return self.samples if self.samples is not None else _size_of(str(self.data))


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
    console.print(add_rows(table, [*_epoch_rows(plan), *_budget_rows(plan)]))
    console.print(f"  {_lesson(plan)}")


def _epoch_rows(plan: Plan) -> list[tuple[str, str, str]]:
    n, b, batches = f"{plan.samples:,}", f"{plan.batch_size:,}", f"{plan.batches_per_epoch:,}"
    rounded = "⌊N / B⌋ = ⌊{n} / {b}⌋" if plan.last == "drop" else "⌈N / B⌉ = ⌈{n} / {b}⌉"
    divide = ("N / B = {n} / {b}" if plan.samples % plan.batch_size == 0 else rounded).format(n=n, b=b)
    rows = [
        ("training samples (N)", "", n),
        ("batch size (B)", "samples that one update uses", b),
        ("batches per epoch", divide, batches),
        ("iterations per epoch", "one for each batch", batches),
        ("updates per epoch", "one for each iteration", batches),
    ]
    if plan.dropped_per_epoch:
        rows.append(("samples left out", "N mod B, others each epoch", f"{plan.dropped_per_epoch:,}"))
    elif plan.last_batch_size != plan.batch_size:
        rows.append(("last batch", f"{n} - {plan.batches_per_epoch - 1:,} × {b}", f"{plan.last_batch_size:,}"))
    rows.append(("samples per epoch", "each once", f"{plan.samples_per_epoch:,}"))
    return rows


def _budget_rows(plan: Plan) -> list[tuple[str, str, str]]:
    per_epoch, total = f"{plan.iterations_per_epoch:,}", f"{plan.iterations:,}"
    full = f"{plan.full_epochs:,}"
    if plan.budget.unit is Unit.EPOCHS:
        rows = [("epochs", "the budget", full), ("iterations", f"{full} × {per_epoch}", total)]
    else:
        given = "the budget" if plan.budget.unit is Unit.ITERATIONS else f"that {plan.budget.amount:,} samples pay for"
        rows = [
            ("iterations", given, total),
            (
                "full epochs",
                f"{total} / {per_epoch}" if not plan.extra_iterations else f"⌊{total} / {per_epoch}⌋",
                full,
            ),
        ]
        if plan.extra_iterations:
            rest = f"{total} - {full} × {per_epoch}"
            rows.append(("iterations beyond them", rest, f"{plan.extra_iterations:,}"))
    rows.append(("weight updates", "one for each iteration", total))
    if plan.full_epochs > 10:
        rows.append(("updates after 10 epochs", f"10 × {per_epoch}", f"{plan.iterations_after(epochs=10):,}"))
    rows.append(("samples used", "each as often as it is used", f"{plan.samples_used:,}"))
    return rows


def _lesson(plan: Plan) -> str:
    batches = plural(plan.batches_per_epoch, "batch")
    match plan.method:
        case "bgd":
            return "The batch is the whole training set: each epoch is one exact, slow step downhill."
        case "sgd":
            return f"Each sample is a batch: {batches} make an epoch of quick, noisy steps."
        case "mbgd":
            return f"Each epoch is a full pass: {batches}, each for one update of the weights."
