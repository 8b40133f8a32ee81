"""Progress while a data set is fetched or made."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from epochal.config import Task
from epochal.data import Dataset, load_data


def load_with_progress(console: Console, source: str, target: str | None = None, task: Task | None = None) -> Dataset:
    """Load a data set; show a bar in a terminal while it is fetched or made."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def advance(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = bar.add_task(title)
            bar.update(tasks[title], completed=done, total=total)

        return load_data(source, target=target, task=task, progress=advance if console.is_terminal else None)
