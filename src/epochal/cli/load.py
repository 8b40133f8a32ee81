"""Progress while a data set is fetched or made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from epochal.data import Dataset, load_data
from epochal.data.storage import Progress as Advance
from epochal.words.phrases import translate


def load_with_progress(console: Console, source: str, **options: Any) -> Dataset:
    """Load a data set as `epochal.data.load_data` does; show a bar in a terminal while it is fetched, made or read."""
    with showing_progress(console) as advance:
        return load_data(source, progress=advance, **options)


@contextmanager
def showing_progress(console: Console) -> Iterator[Advance | None]:
    """Show a bar in a terminal for each title that is reported; elsewhere nothing."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def advance(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = bar.add_task(translate(title))
            bar.update(tasks[title], completed=done, total=total)

        yield advance if console.is_terminal else None
