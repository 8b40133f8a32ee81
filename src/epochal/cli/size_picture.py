"""A picture of letters: updates to a target against the batch size, both scales logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from epochal.formats import count
from epochal.study.batch_size.answer import Answer
from epochal.words.catalogue import tell
from epochal.words.layout import cells

_LINES = 11
_WIDEST, _NARROWEST = 64, 24  # columns of the field
_MEASURED, _EDGE, _FITTED = "●", "○", "·"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Logarithms of ``low`` to ``high`` on so many places, from 0."""

    low: float
    high: float
    places: int

    def place(self, value: float) -> int:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(share * (self.places - 1))

    def value(self, place: int) -> float:
        return self.low * math.exp(math.log(self.high / self.low) * place / (self.places - 1))


def picture_lines(answer: Answer, width: int) -> list[str]:
    """Return the picture for a screen so many columns wide; none for fewer than two sizes that reached the target."""
    points = [(row.batch_size, row.steps, row.is_edge) for row in answer.rows if row.steps is not None]
    if len(points) < 2:
        return []
    steps = [value for _, value, _ in points]
    label = max(cells(count(round(value))) for value in steps)
    x = _Scale(float(points[0][0]), float(points[-1][0]), min(_WIDEST, max(_NARROWEST, width - label - 4)))
    y = _Scale(min(steps), max(max(steps), 1.01 * min(steps)), _LINES)

    field = [[" "] * x.places for _ in range(_LINES)]
    _draw_curve(answer, field, x, y)
    for size, value, is_edge in points:
        field[y.place(value)][x.place(float(size))] = _EDGE if is_edge else _MEASURED

    key = tell("sizes.key" if answer.curve is not None else "sizes.key_plain")
    body = [_line(number, field[number], y, label) for number in reversed(range(_LINES))]
    below = _axis([size for size, _, _ in points], x)
    indent = " " * (label + 2)
    return [tell("sizes.picture"), *body, *(indent + line for line in (*below, *_range(answer, x))), key]


def _draw_curve(answer: Answer, field: list[list[str]], x: _Scale, y: _Scale) -> None:
    if answer.curve is None:
        return
    fitted = answer.curve.steps(np.array([x.value(place) for place in range(x.places)]))
    for place, value in enumerate(fitted.tolist()):
        line = y.place(value)
        if 0 <= line < _LINES:
            field[line][place] = _FITTED


def _line(number: int, letters: Sequence[str], y: _Scale, label: int) -> str:
    """Return a line of the field; the first and the last say what they stand for."""
    text = count(round(y.value(number))) if number in (0, _LINES - 1) else ""
    return f"{text:>{label}} │{''.join(letters).rstrip()}"


def _axis(sizes: Sequence[int], x: _Scale) -> list[str]:
    """Return the axis with a mark for each size, and below it those sizes that there is room for."""
    marks, names = ["─"] * x.places, ""
    for size in sizes:
        place, text = x.place(float(size)), count(size)
        marks[place] = "┴"
        start = min(max(0, place - len(text) // 2), x.places - len(text))
        if not names or start > len(names):
            names = names.ljust(start) + text
    return ["".join(marks), names]


def _range(answer: Answer, x: _Scale) -> list[str]:
    """Return the line that shows which sizes are the fastest here, and its name where there is room for it."""
    if answer.range is None or answer.study.fastest is None or answer.study.fastest.seconds is None:
        return []
    low, high = (x.place(float(size)) for size in answer.range)
    bar = " " * low + ("╵" if low == high else "╰" + "─" * (high - low - 1) + "╯")
    name = tell("sizes.fastest_here")
    if len(bar) + 1 + cells(name) <= x.places:
        return [f"{bar} {name}"]
    return [f"{name} {bar[cells(name) + 1 :]}" if low > cells(name) else bar]
