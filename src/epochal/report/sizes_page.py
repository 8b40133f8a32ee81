"""`render_sizes`: the answer to "which batch size?" as one HTML page: sentences, a table and three pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jinja2 import Environment

from epochal.formats import count
from epochal.study.batch_size.answer import Answer
from epochal.study.batch_size.sentences import about, answer_sentences, brief, caveats, interval, subject, target
from epochal.study.batch_size.size_cells import MARKS, rate_text, seeds_text, short
from epochal.study.batch_size.trials import SizeRow
from epochal.version import __version__
from epochal.web.one_file import Sources, render_in_one, templates_of
from epochal.words.catalogue import Words, messages, say
from epochal.words.language import LANGUAGES

_SOURCES = Sources(
    package="epochal.report",
    styles=("page", "sizes"),
    scripts=("numbers", "canvas", "chart", "vector", "save", "print", "sizes"),
)
_CURVE_POINTS = 81
_DRAWN = (
    "sizes.axis_size",
    "sizes.axis_updates",
    "sizes.axis_seconds",
    "sizes.axis_rate",
    "sizes.updates",
    "sizes.second",
    "sizes.as_fast",
)
"""What the script writes into the pictures."""


@dataclass(frozen=True, slots=True)
class _TableRow:
    """A row of the table: its cells, and what its size is: ``fast``, ``guessed`` or nothing particular."""

    cells: tuple[Words | str, ...]
    kind: str = ""


def render_sizes(answer: Answer, lang: str = "en", *, title: str, made: str) -> str:
    """Return the page: one self-contained HTML document in both languages that needs neither files nor a network.

    Args:
        answer: what the study says.
        lang: the language that the page opens in.
        title: its heading, such as the study's folder.
        made: when: UTC, ISO 8601.

    Raises:
        OptionError: for an unknown language.
    """
    return render_in_one(
        _environment().get_template("sizes.html.j2"),
        _SOURCES,
        lang,
        _payload(answer),
        # the answer
        title=title,
        subject=subject(answer),
        target=target(answer),
        sentences=answer_sentences(answer),
        keys=list(_keys(answer)),
        command=answer.next_command,
        caveats=caveats(answer),
        # the table, and what the pictures need to be read
        columns=_columns(),
        rows=_rows(answer),
        table_notes=list(_table_notes(answer)),
        is_predicted=answer.study.is_predicted,
        has_curve=answer.curve is not None,
        has_guides=any(_guides(answer).values()),
        version=__version__,
        made=made,
    )


@cache
def _environment() -> Environment:
    environment = templates_of("epochal.report")
    environment.globals.update(say=say, messages=messages)
    return environment


def _keys(answer: Answer) -> Iterator[tuple[Words, Words | str]]:
    """Yield a few numbers that are the answer in short: ranges before points."""
    fastest = answer.study.fastest
    if answer.range is not None and fastest is not None and fastest.seconds is not None:
        low, high = answer.range
        yield say("sizes.key_range"), count(low) if low == high else f"{count(low)}–{count(high)}"
        yield say("sizes.key_fastest"), say("sizes.in_time", size=count(answer.best), time=brief(fastest.seconds))
    if answer.curve is not None and answer.curve.has_knee:
        yield say("sizes.key_critical"), say("sizes.to", **interval(answer))
    if fastest is not None and fastest.lr is not None:
        yield say("sizes.key_best_rate"), f"{fastest.lr:.3g}"


# --- the table ------------------------------------------------------------------------------------------------------


def _columns() -> list[Words]:
    return [
        say("sizes.batch_size"),
        say("sizes.rate"),
        say("sizes.updates_to"),
        say("sizes.seeds"),
        say("sizes.used"),
        say("sizes.passes"),
        say("sizes.microseconds"),
        say("sizes.seconds"),
        say("sizes.brings"),
    ]


def _rows(answer: Answer) -> list[_TableRow]:
    rows = [(row.batch_size, _measured(answer, row)) for row in answer.rows]
    rows += [(size, _guessed(answer, size, steps)) for size, steps in answer.extrapolated]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _measured(answer: Answer, row: SizeRow) -> _TableRow:
    low, high = answer.range or (0, 0)
    is_fast = low <= row.batch_size <= high and row.seconds is not None
    cells = (
        count(row.batch_size), rate_text(row), _whole(row.steps), seeds_text(row), _whole(row.samples),
        short(row.passes(answer.study.samples)), short(row.microseconds), short(row.seconds),
        say(MARKS[answer.mark(row)]),
    )  # fmt: skip
    return _TableRow(cells, "fast" if is_fast else "")


def _guessed(answer: Answer, size: int, steps: float) -> _TableRow:
    samples = steps * size
    passes = samples / answer.study.samples
    cells = (
        count(size), "–", f"≈{about(steps)}", "–", f"≈{about(samples)}", f"≈{about(passes)}", "–", "–",
        say("sizes.guessed"),
    )  # fmt: skip
    return _TableRow(cells, "guessed")


def _whole(value: float | None) -> str:
    return "–" if value is None else count(round(value))


def _table_notes(answer: Answer) -> Iterator[Words]:
    yield say("sizes.marks")
    if any(row.is_edge for row in answer.rows):
        yield say("sizes.edge")
    if answer.extrapolated:
        yield say("sizes.extrapolated")


# --- what the script draws ------------------------------------------------------------------------------------------


def _payload(answer: Answer) -> dict[str, Any]:
    between = answer.range if any(row.seconds is not None for row in answer.rows) else None
    sizes = {row.batch_size for row in answer.rows if row.steps is not None}
    return {
        "words": {code: {key.removeprefix("sizes."): messages(code)[key] for key in _DRAWN} for code in LANGUAGES},
        "sizes": sorted(sizes | {size for size, _ in answer.extrapolated}),
        "rows": [_pack(row) for row in answer.rows],
        "range": None if between is None else list(between),
        "guides": _guides(answer),
        "curve": _pack_curve(answer),
    }


def _pack(row: SizeRow) -> dict[str, Any]:
    seeds = row.steps_of_seeds
    return {
        "size": row.batch_size,
        "steps": row.steps,
        "low": min(seeds, default=None),
        "high": max(seeds, default=None),
        "seconds": row.seconds,
        "rate": row.lr,
        "edge": row.is_edge,
    }


def _guides(answer: Answer) -> dict[str, float | None]:
    """Return the samples of perfect scaling, and the updates that no size gets below."""
    curve = answer.curve
    if curve is None or not curve.has_knee:
        return {"scaling": None, "fewest": None}
    return {"scaling": curve.e_min, "fewest": curve.s_min}


def _pack_curve(answer: Answer) -> dict[str, Any] | None:
    """Return the fitted law and its band from the smallest size to the largest, those that were left out included."""
    curve = answer.curve
    if curve is None:
        return None
    largest = max([curve.largest, *(size for size, _ in answer.extrapolated)])
    smallest = min([curve.smallest, *(size for size, _ in answer.extrapolated)])
    ends = [curve.smallest, curve.largest]  # where the line changes, so that it has points there
    sizes = np.unique(np.concatenate([np.geomspace(smallest, largest, _CURVE_POINTS), ends]))
    low, high = curve.band(sizes)
    return {
        "measured": ends,
        "sizes": sizes.tolist(),
        "steps": curve.steps(sizes).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
    }
