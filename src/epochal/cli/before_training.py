"""What commands print before a training: its data and how they were taken, its model and optimizer, and its plan."""

from __future__ import annotations

from rich.console import Console

from epochal.cli.data import print_data
from epochal.cli.plan import print_plan
from epochal.run.setup import Setup


def print_setup(setup: Setup, console: Console) -> None:
    """Print what is trained: data, how they were taken, model, optimizer, and the plan."""
    config, data = setup.config, setup.data
    sizes = f"{len(data.train):,} training and {len(data.test):,} test samples"
    validation = "" if data.validation is None else f", {len(data.validation):,} validation samples"
    console.print(f"{data.name}: {sizes}{validation}")
    print_data(data, console)
    rate = "with its own learning rate" if config.lr is None else f"at learning rate {config.lr:g}"
    console.print(f"model {setup.model.name}, {config.optimizer or 'your own optimizer'} {rate}\n")
    print_plan(setup.plan, console)
    console.print()
