"""What a terminal shows of several trainings at once: a bar for each that runs, and a line for each that ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from epochal.run.callbacks import Callback, End, EpochEnd
from epochal.run.epoch_lines import epoch_line
from epochal.run.progress import ProgressBar
from epochal.run.standing import Standing
from epochal.words.catalogue import tell

_REFRESHES = 5  # a second


class LaneBars:
    """Shows trainings of one console that run side by side."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: list[_LaneBar] = []
        self._live: Live | None = None

    @contextmanager
    def follow(self, title: str) -> Iterator[Sequence[Callback]]:
        """Show a training under this title while it runs, and then one line of it."""
        bar = _LaneBar(self._console, title)
        self._running.append(bar)
        if self._live is None and self._console.is_terminal:
            self._live = Live(
                console=self._console, get_renderable=self._rows, transient=True, refresh_per_second=_REFRESHES
            )
            self._live.start()
        try:
            yield (bar,)
        finally:
            self._running.remove(bar)
            if self._live is not None and not self._running:
                self._live.stop()
                self._live = None

    def _rows(self) -> Table:
        """Return a line for each that runs: its title, and where it stands."""
        rows = Table.grid(padding=(0, 2))
        for bar in list(self._running):
            rows.add_row(Text(bar.title), bar.standing)
        return rows


class _LaneBar(ProgressBar):
    """Follows one of them; nothing but its end is printed."""

    def __init__(self, console: Console, title: str) -> None:
        super().__init__(console, lines=False)
        self.title = title
        self._last: EpochEnd | None = None

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        return self._standing

    def on_warning(self, message: str) -> None:
        """Print it under the title, as several may have some."""
        self._print(self.title)
        super().on_warning(message)

    def on_epoch(self, epoch: EpochEnd) -> None:
        """Remember it."""
        self._last = epoch

    def on_end(self, end: End) -> None:
        """Print the last epoch, and how it ended where that is not the plan's end."""
        super().on_end(end)
        if self._plan is None or end.status == "changed":
            return
        line = [self.title]
        if end.status != "finished":
            line.append(tell(f"status.{end.status}"))
        if self._last is not None:
            line.append(epoch_line(self._last.row, self._plan, self._rate, self._last.validation))
        self._print("  ".join(line))
