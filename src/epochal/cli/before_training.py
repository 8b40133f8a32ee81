"""What commands print before a training: its data and how they were taken, its model and optimizer, and its plan."""

from __future__ import annotations

from rich.console import Console

from epochal.block_order import BlockOrder
from epochal.cli.data import print_data
from epochal.cli.plan import print_plan
from epochal.cli.text_lines import print_text, print_wrapped
from epochal.run.setup import Setup
from epochal.words.catalogue import tell

_FEW = 20  # samples: fewer are learned by heart, and teach nothing of others


def print_setup(setup: Setup, console: Console) -> None:
    """Print what is trained: data, how they were taken, model, optimizer, and the plan."""
    config, data = setup.config, setup.data
    sizes = {"name": data.name, "train": f"{len(data.train):,}", "test": f"{len(data.test):,}"}
    if data.validation is None:
        console.print(tell("before.data", **sizes))
    else:
        console.print(tell("before.with_validation", **sizes, validation=f"{len(data.validation):,}"))
    print_data(data, console)
    if len(data.train) < _FEW:
        print_text(console, tell("before.few"))

    # what is trained, and with what
    parts = {"model": setup.model.name, "optimizer": config.optimizer or tell("before.own_optimizer")}
    if config.lr is None:
        console.print(tell("before.own_rate", **parts))
    else:
        console.print(tell("before.model", **parts, lr=f"{config.lr:g}"))
    if isinstance(order := setup.engine.order, BlockOrder):
        size = {"rows": f"{order.block_rows:,}", "blocks": f"{order.window_blocks:,}"}
        console.print(tell("before.order", **size))
    console.print()
    print_plan(setup.plan, console)
    adaptive = config.adaptive(setup.plan.samples)
    if adaptive is not None:
        high = adaptive.high if isinstance(adaptive.high, int) else setup.plan.samples
        print_wrapped(console, tell("plan_table.adaptive", high=f"{high:,}"), indent="  ")
    console.print()
