"""Where a training stands, in a line: what matters less is left out where there is no room, and no number is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.text import Text

from epochal import formats
from epochal.clock import Plan, Position
from epochal.plan_rows import counters, totals
from epochal.words.catalogue import tell
from epochal.words.layout import cells

_ORDER = ("epoch", "batch", "iteration", "loss", "rate", "bar", "left")
_BY_IMPORTANCE = ("epoch", "iteration", "rate", "bar", "batch", "loss", "left")
_GAP = "  "
_SHORTEST_BAR, _LONGEST_BAR = 6, 16


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a training stands.

    Attributes:
        parts: what is said of it, by the names of `_ORDER` without ``bar``.
        share: how much of the budget is spent, 0 to 1; ``None`` before it began.
    """

    parts: Mapping[str, str] = field(default_factory=dict)
    share: float | None = None

    @classmethod
    def at(cls, position: Position, plan: Plan, share: float) -> Standing:
        """Return where it stands, as far as a position tells."""
        done, of = counters(position, plan), totals(plan, position)
        parts = {}
        for name, number in done.items():
            if name in of:
                total = f"{of[name]:,}"
                parts[name] = tell(f"standing.{name}", number=f"{number:>{len(total)},}", total=total)
            else:
                parts[name] = tell(f"standing.{name}_open", number=f"{number:,}")
        return cls(parts, share)

    def with_speed(self, loss: float, rate: float, seconds_left: float | None) -> Standing:
        """Return it with a loss, iterations per second, and how long it will take."""
        more = {
            "loss": tell("epoch_line.loss", loss=formats.loss(loss)),
            "rate": tell("epoch_line.rate", rate=f"{rate:,.0f}"),
        }
        if seconds_left is not None:
            more["left"] = tell("standing.left", time=_clock(seconds_left))
        return Standing({**self.parts, **more}, self.share)

    def line(self, width: int) -> str:
        """Return the parts that fit into so many columns, the most important ones first; NUL is each cell of a bar.

        >>> Standing({"epoch": "epoch 3/50", "rate": "2,225 it/s"}).line(20)
        'epoch 3/50'
        """
        said = dict(self.parts)
        if self.share is not None:
            said["bar"] = "\0" * _SHORTEST_BAR

        kept: list[str] = []
        for name in _BY_IMPORTANCE:
            if name in said and (not kept or cells(_GAP.join(said[one] for one in [*kept, name])) <= width):
                kept.append(name)

        free = width - cells(_GAP.join(said[one] for one in kept))
        if "bar" in kept:
            said["bar"] += "\0" * min(free, _LONGEST_BAR - _SHORTEST_BAR)
        return _GAP.join(said[name] for name in _ORDER if name in kept)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        """Draw the line in a terminal."""
        if not self.parts:
            yield Text(tell("cell.compiling"))
            return
        line = self.line(options.max_width)
        start, length = line.find("\0"), line.count("\0")
        done = round((self.share or 0) * length)
        full, empty = ("=", "-") if options.ascii_only else ("━", "─")
        text = Text(line.replace("\0" * done, full * done, 1) if done else line, overflow="fold")
        text.plain = text.plain.replace("\0", empty)
        if length:
            text.stylize("bar.complete", start, start + done)
            text.stylize("bar.back", start + done, start + length)
        yield text


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
