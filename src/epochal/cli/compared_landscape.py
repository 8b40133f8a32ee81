"""The landscape at a comparison's end: computed in seconds, once, and never at the expense of the comparison."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from epochal import formats
from epochal.cli.screen import command_line
from epochal.cli.text_lines import print_text, print_whole
from epochal.errors import EpochalError
from epochal.landscape import Cancelled, LandscapeOptions
from epochal.record.landscape_record import LandscapeRecord
from epochal.study.landscape_size import MOST_MEMORY, MOST_SECONDS, WantedLandscape, has_current, quick_size
from epochal.study.landscapes import landscape_of
from epochal.study.runner import Parts
from epochal.study.study import Study
from epochal.words.catalogue import duration, tell
from epochal.words.phrases import translate

_LOSSES_MEASURED, _LONG_SECONDS = 4, 60.0

BY_DEFAULT: Final = (WantedLandscape(),)
"""What a comparison ends with unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class LandscapeWork:
    """Computes landscapes of a study that has come to its end, and says in a line where there is none, and why."""

    study: Study
    console: Console
    should_stop: Callable[[], bool]
    parts: Parts | None = None

    def add(self, wanted: Sequence[WantedLandscape]) -> None:
        """Compute those that are wanted and not there yet. Whatever prevents it, the study stays as it is."""
        if wanted and not self.study.is_finished:
            self._say_none(tell("landscape.unfinished"))
            return
        if wanted and all(row.status == "diverged" for row in self.study.compared_runs()):
            self._say_none(tell("landscape.diverged"))
            return

        for one in wanted:
            try:
                self._add(one)
            except Cancelled:
                self._say_none(tell("landscape.interrupted"))
                self._suggest()
                return
            # where a device has no memory left, JAX raises a RuntimeError
            except (EpochalError, MemoryError, OSError, RuntimeError) as error:
                self._say_none(translate(" ".join(str(error).split()) or type(error).__name__))

    def _add(self, wanted: WantedLandscape) -> None:
        if self.should_stop():
            raise Cancelled

        if wanted.in_full:
            self._say_done(self._compute(wanted.options))
            return
        if has_current(self.study, wanted):
            return

        size = quick_size(self.study, wanted)
        if size.memory > MOST_MEMORY:
            self._say_none(tell("landscape.too_large", gigabytes=f"{size.memory / 1e9:.1f}"))
        elif size.seconds > MOST_SECONDS:
            self._say_none(tell("landscape.too_long", time=duration(size.seconds)))
        else:
            self._say_done(self._compute(size.options))
            if size.options == wanted.options:
                return
            print_text(self.console, tell("landscape.reduced", time=duration(size.seconds_in_full)))
        self._suggest(*_in_full(wanted))

    def _compute(self, options: LandscapeOptions) -> LandscapeRecord:
        """Compute a landscape with a bar."""
        with _bar(self.console) as bar:
            task = bar.add_task(_title(options.kind))
            estimate = _Estimate(self.console)

            def advance(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)
                estimate.update(done, total)

            return landscape_of(self.study, options, parts=self.parts, progress=advance, should_stop=self.should_stop)

    def _say_done(self, record: LandscapeRecord) -> None:
        facts = {"title": _title(record.kind), "columns": record.x.size, "rows": record.y.size}
        of, time_ = formats.count(record.of), duration(record.seconds)
        self.console.print()
        if record.samples == record.of:
            print_text(self.console, tell("landscape.done_of_all", **facts, of=of, time=time_))
        else:
            samples = formats.count(record.samples)
            print_text(self.console, tell("landscape.done", **facts, samples=samples, of=of, time=time_))
        if record.explained:
            print_text(
                self.console, tell("landscape.explained", share=formats.percent(sum(record.explained))), indent="  "
            )
        for run, why in record.left_out:
            print_text(self.console, tell("landscape.without", run=run, reason=translate(why)), indent="  ")

    def _suggest(self, *flags: str) -> None:
        """Print the command that computes it."""
        print_whole(self.console, f"  {command_line('compare', '--run', self.study.path, *flags)}")

    def _say_none(self, reason: str) -> None:
        self.console.print()
        print_text(self.console, tell("landscape.none", reason=reason))


def _title(kind: str) -> str:
    return tell("landscape.title_pca" if kind == "pca" else "landscape.title_random")


def _in_full(wanted: WantedLandscape) -> list[str]:
    return ["--landscape"] if wanted.kind == "pca" else ["--landscape", "--random-landscape"]


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    title = TextColumn("{task.description}", markup=False)
    columns = (title, BarColumn(bar_width=12), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar


@dataclass(slots=True)
class _Estimate:
    """Says once how long a landscape will take, where that is long, and what makes it shorter."""

    console: Console
    started: float | None = None
    said: bool = False

    def update(self, done: int, total: int) -> None:
        """Measure from the second loss on, since the first includes a compilation."""
        now = time.monotonic()
        if done == 1:
            self.started = now
        elif not self.said and self.started is not None and done > _LOSSES_MEASURED:
            self.said = True
            seconds = (now - self.started) / (done - 1) * total
            if seconds > _LONG_SECONDS:
                text = tell("landscape.long", losses=formats.count(total), time=duration(seconds))
                print_text(self.console, text)
