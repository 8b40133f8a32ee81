"""What a lesson leaves: tables, what is to be seen in them, a picture and what to try next; plain data, no drawing."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from epochal import formats
from epochal.lazy import drawn_by
from epochal.words.catalogue import Words, say

Kind: TypeAlias = Literal["text", "count", "percent", "loss", "rate", "times", "decimal"]
Value: TypeAlias = Words | str | int | float | tuple[float, ...] | None
"""What stands in a cell; of several seeds, a value of each."""
Row: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class LessonColumn:
    """A column of a lesson's table: the key of its values in the rows, its heading, and how they are written."""

    key: str
    heading: Words
    kind: Kind = "decimal"

    def written(self, row: Row) -> str:
        """Write a row's value in the present language: of several seeds, mean ± standard deviation."""
        value = row.get(self.key)
        if isinstance(value, tuple):
            if not value:
                return "–"
            mean = _WRITTEN[self.kind](statistics.fmean(value))
            return mean if len(value) < 2 else f"{mean} ± {_spread(self.kind, statistics.stdev(value))}"
        if value is None or isinstance(value, (Words, str)):
            return "–" if value is None else str(value)
        return _WRITTEN[self.kind](value)


@dataclass(frozen=True, slots=True)
class LessonTable:
    """Rows under their columns.

    Attributes:
        title: above it; empty for none.
    """

    columns: tuple[LessonColumn, ...]
    rows: tuple[Row, ...]
    title: Words | None = None

    def to_list(self) -> list[dict[str, Any]]:
        """Return the rows as plain values; texts are English."""
        return [{column.key: _plain(row.get(column.key)) for column in self.columns} for row in self.rows]


@dataclass(frozen=True, slots=True)
class LessonCurve:
    """A curve of a picture: points in order of x, which of several seeds are means.

    Attributes:
        low, high: the smallest and the largest of the seeds; empty where there is one.
        look: a line, a line with points, points alone, or a guide for the eye.
    """

    name: Words | str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    look: Literal["line", "marked", "points", "guide"] = "line"

    def at(self, x: tuple[float, ...]) -> LessonCurve:
        """Return the same values at other places."""
        return dataclasses.replace(self, x=x)


@dataclass(frozen=True, slots=True)
class LessonPanel:
    """One pair of axes.

    Attributes:
        log: which axes are logarithmic: ``""``, ``"x"``, ``"y"`` or ``"xy"``.
        ticks: names that stand for x = 0, 1, 2 …; empty where x is a number.
    """

    title: Words
    x_name: Words | str
    y_name: Words | str
    curves: tuple[LessonCurve, ...]
    log: str = ""
    ticks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LessonResult:
    """What a lesson showed.

    >>> from epochal.study import lesson
    >>> print(lesson("reshuffling", quick=True).numbers["times_nearer"] > 10)  # doctest: +SKIP
    True

    Attributes:
        name: the lesson's.
        is_quick: whether it was the short form.
        title: its title.
        question: what it asks.
        setting: what was trained, on what.
        tables: what came out.
        findings: what is to be seen in them, a sentence or two each; it follows from the numbers, whatever they are.
        steps: what to try next, each with a command.
        panels: the picture.
        numbers: the few numbers that the findings rest on, by name.
        seconds: that the trainings took.
    """

    name: str
    is_quick: bool
    title: Words
    question: Words
    setting: Words
    tables: tuple[LessonTable, ...]
    findings: tuple[Words, ...]
    steps: tuple[tuple[Words, str], ...]
    panels: tuple[LessonPanel, ...]
    numbers: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        return "\n".join([str(self.title), *map(str, self.findings)])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; texts are English."""
        return {
            "lesson": self.name,
            "quick": self.is_quick,
            "title": self.title.texts["en"],
            "question": self.question.texts["en"],
            "setting": self.setting.texts["en"],
            "tables": [table.to_list() for table in self.tables],
            "findings": [one.texts["en"] for one in self.findings],
            "numbers": dict(self.numbers),
            "seconds": round(self.seconds, 2),
        }

    def picture(self, file: str | Path) -> Path:
        """Draw the picture with Matplotlib into a file: .svg, .png, .pdf or whatever it can write.

        Raises `OptionError` where Matplotlib is not installed or does not know the ending, or the file cannot be
        written.
        """
        path: Path = drawn_by("lesson_picture:draw_lesson", self, Path(file))
        return path


def mean_of(values: Value) -> float:
    """Return the mean of a value that each seed has; NaN where none has."""
    if isinstance(values, tuple):
        return statistics.fmean(values) if values else math.nan
    return float(values) if isinstance(values, (int, float)) else math.nan


def curve_of(
    name: Words | str, x: Sequence[float], seeds: Sequence[Sequence[float]], look: Literal["line", "marked"] = "line"
) -> LessonCurve:
    """Return the curve of the seeds' means, with the smallest and the largest of each point."""
    points = list(zip(*seeds, strict=True))
    low, high = ((), ()) if len(seeds) < 2 else (tuple(map(min, points)), tuple(map(max, points)))
    return LessonCurve(name, tuple(x), tuple(map(statistics.fmean, points)), low, high, look)


def column(heading: str, kind: Kind = "decimal") -> LessonColumn:
    """Return a column whose heading has this key in the catalogue, and its values the key's last part."""
    return LessonColumn(heading.rpartition(".")[2], say(heading), kind)


def significant(number: float) -> str:
    """Write a number with three significant digits.

    >>> significant(0.0018966), significant(21.04), significant(1234.5)
    ('0.0019', '21', '1,234')
    """
    if not math.isfinite(number):
        return formats.decimal(number)
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.2g}"


_WRITTEN: Mapping[Kind, Callable[[Any], str]] = {
    "text": str,
    "count": lambda value: formats.count(round(value)),
    "percent": lambda value: formats.percent(value).replace(" ", "\N{NO-BREAK SPACE}"),
    "loss": formats.loss,
    "rate": lambda value: f"{value:.4g}",
    "times": lambda value: f"{significant(value)}×",
    "decimal": significant,
}


def _spread(kind: Kind, value: float) -> str:
    return f"{100 * value:.2f}" if kind == "percent" else _WRITTEN[kind](value)


def _plain(value: Value) -> Any:
    if isinstance(value, Words):
        return value.texts["en"]
    return list(value) if isinstance(value, tuple) else value
