"""`epochal lesson`: a question about batches, epochs and rates, and the trainings that answer it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epochal.cli.arguments import json_option
from epochal.config.options import FILE, FOLDER, SWITCH, count, option, text
from epochal.errors import OptionError

if TYPE_CHECKING:
    from rich.console import Console

    from epochal.config.train_config import TrainConfig
    from epochal.run.callbacks import Callback
    from epochal.study.lessons.lesson_result import LessonResult
    from epochal.study.runner import RunStart

NAMES = ("ladder", "reshuffling", "growth", "gap", "rates")


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonCommand:
    """Ask a question about batches, epochs or rates, and let trainings answer it: a table, and what to see in it.

    Example: epochal lesson reshuffling --quick

    Without a name it lists the lessons. With the --run FOLDER of one that was stopped it goes on, or shows it again.
    """

    name: str | None = option(
        None, "The lesson: ladder, reshuffling, growth, gap or rates.", text("a lesson's name", "LESSON", known=NAMES),
        text="lists all lessons", positional=True,
    )  # fmt: skip
    quick: bool = option(False, "The short form: seconds, on few samples.", SWITCH)
    data: str | None = option(
        None, "Classes to learn from, as for train.", text("a name or a path", "DATA"),
        text="the lesson's own: MNIST, or the embedded digits",
    )  # fmt: skip
    seeds: int | None = option(
        None, "Seeds that each training is repeated with: 0, 1, 2, ….", count(), text="the lesson's own number"
    )
    at_once: int | None = option(None, "Trainings side by side.", count(), text="one for each processor, at most 8")
    picture: Path | None = option(
        None, "Draw its picture into a file, such as gap.svg or gap.png; needs Matplotlib.", FILE, text="none"
    )
    run: Path | None = option(None, "The lesson's folder.", FOLDER, text="runs/lesson-NAME-1, or the next free number")
    json: bool = json_option()

    def execute(self) -> int:
        """Give the lesson, or list all of them."""
        from epochal.cli.screen import open_console

        console = open_console(quiet=self.json)
        if self.name is not None:
            return self._give(self.name, console)
        for word, value in (
            ("--quick", self.quick),
            ("--picture", self.picture),
            ("--data", self.data),
            ("--run", self.run),
        ):
            if value:
                raise OptionError(f"{word} is of one lesson; name it: epochal lesson {NAMES[0]}")
        return self._list(console)

    def _list(self, console: Console) -> int:
        from epochal.cli.fitted_tables import Column, print_table
        from epochal.cli.screen import print_json, print_next
        from epochal.cli.text_lines import print_text
        from epochal.study.lessons.teaching import lessons
        from epochal.words.catalogue import tell

        known = lessons().values()
        if self.json:
            keys = ("name", "seconds", "quick_seconds", "data", "quick_data")
            print_json([{**{key: getattr(one, key) for key in keys}, "asks": one.asks.texts["en"]} for one in known])
            return 0
        columns = (
            Column(tell("taught.name"), is_text=True), Column(tell("taught.asks"), is_text=True, folds=True),
            Column(tell("taught.takes")), Column("--quick"),
        )  # fmt: skip
        print_text(console, tell("taught.lessons"))
        rows = [(one.name, str(one.asks), _about(one.seconds), _about(one.quick_seconds)) for one in known]
        print_table(console, columns, rows)
        print_next([(tell("taught.begin"), "epochal lesson reshuffling --quick")], console)
        return 0

    def _give(self, name: str, console: Console) -> int:
        from epochal.cli.load import load_with_progress
        from epochal.cli.screen import print_json
        from epochal.cli.signals import stop_on_signal
        from epochal.cli.text_lines import print_whole
        from epochal.record.folder import create_run_folder
        from epochal.study.lessons.lesson_trainings import LessonStopped
        from epochal.study.lessons.teaching import find_lesson, lesson
        from epochal.words.catalogue import tell

        one = find_lesson(name)
        if self.picture is not None:
            _check_picture(self.picture)
        source = self.data or (one.quick_data if self.quick else one.data)
        data = load_with_progress(console, source)

        folder = self.run or create_run_folder(None, f"lesson-{name}").path
        again = self._again(name, folder)
        with stop_on_signal() as stop:
            try:
                result = lesson(
                    name, quick=self.quick, data=data, seeds=self.seeds, at_once=self.at_once,
                    callback=_progress(console), should_stop=stop.is_asked, run=folder,
                )  # fmt: skip
            except LessonStopped:
                print_whole(console, tell("taught.stopped", command=again))
                return stop.exit_status

        if self.json:
            print_json(result.to_dict())
        else:
            print_lesson(result, console, again=None if self.picture is not None else again)
        if self.picture is not None:
            print_whole(console, tell("taught.picture", file=result.picture(self.picture)))
        return 0

    def _again(self, name: str, folder: Path) -> str:
        """Return the command that goes on with this lesson, or shows it again."""
        from epochal.cli.screen import command_line

        more: list[object] = ["--quick"] if self.quick else []
        more += [] if self.data is None else ["--data", self.data]
        more += [] if self.seeds is None else ["--seeds", self.seeds]
        return command_line("lesson", name, *more, "--run", folder)


def print_lesson(result: LessonResult, console: Console, again: str | None) -> None:
    """Print what a lesson asks, its tables, what is to be seen in them, and what to try next.

    ``again`` is the command that shows it again, to which a picture may be added.
    """
    from epochal.cli.fitted_tables import Column, print_table
    from epochal.cli.screen import print_next
    from epochal.cli.text_lines import print_text, print_wrapped
    from epochal.words.catalogue import duration, tell

    console.print()
    print_text(console, str(result.title))
    print_wrapped(console, str(result.question), indent="  ")
    print_wrapped(console, str(result.setting), indent="  ")
    for table in result.tables:
        console.print()
        columns = [Column(str(one.heading), is_text=one.kind == "text", folds=one.kind == "text")
                   for one in table.columns]  # fmt: skip
        rows = [[one.written(row) for one in table.columns] for row in table.rows]
        print_table(console, columns, rows, title=str(table.title or ""))

    print_text(console, tell("taught.see"))
    for found in result.findings:
        _print_point(console, str(found))
    console.print()
    print_text(console, tell("taught.took", time=duration(result.seconds)))
    if result.is_quick:
        print_text(console, tell("taught.short_form"))

    steps = [(str(about), command) for about, command in result.steps]
    if result.is_quick:
        steps.append((tell("taught.step_full"), f"epochal lesson {result.name}"))
    if again is not None:
        steps.append((tell("taught.step_draw"), f"{again} --picture {result.name}.svg"))
    print_next(steps, console)


def _print_point(console: Console, sentence: str) -> None:
    """Print a sentence behind a dash, its lines below each other."""
    from epochal.cli.text_lines import print_whole
    from epochal.words.layout import NARROWEST, wrap

    for number, line in enumerate(wrap(sentence, max(NARROWEST, console.width) - 4)):
        print_whole(console, f"  {'–' if number == 0 else ' '} {line}")


def _about(seconds: float) -> str:
    from epochal.words.catalogue import tell

    if seconds < 60:
        return tell("taught.about_seconds", seconds=f"{seconds:g}")
    return tell("taught.about_minutes", minutes=f"{seconds / 60:.0f}")


def _check_picture(file: Path) -> None:
    """Refuse a picture that cannot be drawn, before minutes are trained: raises `OptionError`."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise OptionError("a picture needs Matplotlib, which is not installed: pip install 'epochal[pictures]'")
    if not file.suffix:
        raise OptionError(f"a picture's name ends in its format, such as {file}.svg or {file}.png")
    if not file.absolute().parent.is_dir():
        raise OptionError(f"cannot write {file}: there is no folder {file.parent}")


def _progress(console: Console) -> Any:
    """Return what shows a lesson's trainings: a bar for each that runs, and a line of each that ended."""
    from epochal.cli.lane_bars import LaneBars
    from epochal.study.runner import StudyCallback
    from epochal.words.catalogue import tell

    bars = LaneBars(console)

    class LessonProgress(StudyCallback):
        def on_tuning(self, config: TrainConfig) -> None:
            console.print(tell("taught.searching", optimizer=config.optimizer, size=config.batch_size))

        @contextmanager
        def follow(self, run: RunStart) -> Iterator[Sequence[Callback]]:
            title = tell("study.number_of", number=run.number, count=run.count, name=run.name)
            with bars.follow(title) as followers:
                yield followers

    return LessonProgress()
