"""Curves as a picture without scripts: SVG for a notebook's cell, readable on light and dark backgrounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from epochal.formats import count
from epochal.web.fragment import Fragment, Text

# The report's colours, Okabe and Ito's (2008), in shades with a contrast of at least 3.5 to white and to near-black.
COLOURS = ("#2a84c6", "#d9601a", "#11876a", "#b75c95", "#a07100", "#4a8cc4", "#7d838b", "#8f5fc8")
_DASHES = ("", "7 4", "2 3", "9 3 2 3", "14 4", "1 5", "5 2 2 2", "12 3 3 3 3 3")

_WIDTH, _HEIGHT = 440, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 18, 38
_LOG_FROM = 20.0  # a scale is logarithmic where its highest value is so many times its lowest
_MOST_MARKS, _MOST_DOTS = 13, 40
_DIGIT = 7.6  # the width of one, at most


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A line: its points by ``x``, and the band between ``low`` and ``high`` where a point stands for several.

    Attributes:
        style: which colour and dashes.
        faint: whether it stands behind the others.
    """

    name: Text
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    style: int = 0
    low: Float[np.ndarray, " n"] | None = None
    high: Float[np.ndarray, " n"] | None = None
    faint: bool = False
    last: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis: the values at its ends, and whether it is logarithmic."""

    low: float
    high: float
    is_log: bool = False

    @classmethod
    def of(cls, values: Float[np.ndarray, " n"], *, from_zero: bool = False) -> Scale:
        """Return a scale for these finite values; losses that fall far are best seen on a logarithmic one."""
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        if from_zero:
            return cls(min(0.0, low), high if high > 0 else 1.0)
        if low > 0 and high / low >= _LOG_FROM:
            return cls(low / 1.1, high * 1.1, is_log=True)
        room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room)

    def place(self, values: Float[np.ndarray, " n"], start: int, end: int) -> Float[np.ndarray, " n"]:
        """Return where the values stand between ``start`` and ``end``."""
        if self.is_log:
            share = (np.log(values) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        else:
            share = (values - self.low) / (self.high - self.low)
        placed: Float[np.ndarray, " n"] = start + share * (end - start)
        return placed

    def ticks(self, most: int) -> list[float]:
        """Return round numbers along it, at most so many.

        >>> Scale(0.0, 1500.0).ticks(5), Scale(0.02, 3.0, is_log=True).ticks(6)
        ([0.0, 500.0, 1000.0, 1500.0], [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0])
        """
        if self.is_log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(decades) <= 4 else (1,)
            every = -(-len(decades) // most) if len(steps) == 1 else 1
            found = [step * 10.0**one for one in decades if one % every == 0 for step in steps]
            return [float(f"{one:.3g}") for one in found if self.low <= one <= self.high]

        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{number * step:.9g}") for number in range(first, last + 1)]


def chart(
    write: Fragment, title: Text, curves: Sequence[Curve], *, x_name: Text, y_name: Text,
    marks: Sequence[tuple[float, str]] = (), mark_name: Text = "", is_share: bool = False,
) -> Markup:  # fmt: skip
    """Return a figure of curves: axes with their names, a legend with each curve's last value; nothing for no points.

    Args:
        write: in which language.
        title: what is drawn.
        curves: at least one; what is not finite is a gap.
        x_name: what the horizontal axis counts.
        y_name: what the vertical axis measures.
        marks: places on the horizontal axis with a light line and a word, such as epochs' ends.
        mark_name: what these are; it stands before the first word.
        is_share: whether values are shares of 1, written in percent.
    """
    seen = [curve for curve in curves if np.isfinite(curve.y).any()]
    if not seen:
        return Markup("")
    everything = [line for one in seen for line in (one.y, one.low, one.high) if line is not None]
    values = np.concatenate(everything)
    y = Scale.of(values[np.isfinite(values)])
    x = Scale.of(np.concatenate([one.x for one in seen]), from_zero=True)

    parts = [*_axes(write, x, y, x_name, y_name, is_share), *_marks(write, x, marks, mark_name)]
    for curve in sorted(seen, key=lambda one: not one.faint):
        parts.extend(_line(curve, x, y))

    picture = Markup('<svg class="curves" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, write.text(title), Markup("").join(parts)
    )

    legend = (Markup("<span>{}{} <b>{}</b></span>").format(swatch(one), write.text(one.name), one.last) for one in seen)
    return Markup('<figure><figcaption>{}</figcaption>{}<div class="legend">{}</div></figure>').format(
        write.text(title), picture, Markup("").join(legend)
    )


def swatch(curve: Curve) -> Markup:
    """Return a piece of a curve, for a legend or a table."""
    colour, dash = _look(curve)
    return Markup(
        '<svg width="26" height="10" viewBox="0 0 26 10" aria-hidden="true">'
        '<path d="M1 5H25" fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}" stroke-opacity="{}"/></svg>'
    ).format(colour, dash, 0.75 if curve.faint else 1)


def _look(curve: Curve) -> tuple[str, str]:
    dash = "" if curve.faint else _DASHES[curve.style % len(_DASHES)]
    return COLOURS[curve.style % len(COLOURS)], dash or "none"


def _axes(write: Fragment, x: Scale, y: Scale, x_name: Text, y_name: Text, is_share: bool) -> list[Markup]:
    """Return the grid, the numbers along both axes, and the axes' names."""
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in y.ticks(5):
        (at,) = y.place(np.array([value]), bottom, _TOP)
        parts.append(
            Markup(
                '<path d="M{} {:.1f}H{}" stroke="currentColor" stroke-opacity=".14"/>'
                '<text x="{}" y="{:.1f}" text-anchor="end">{}</text>'
            ).format(_LEFT, at, right, _LEFT - 6, at + 4, f"{100 * value:g} %" if is_share else _number(value))
        )

    for value in x.ticks(5):
        (at,) = x.place(np.array([value]), _LEFT, right)
        anchor = "end" if at > right - 14 else "middle"
        parts.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(at, bottom + 15, anchor, _number(value))
        )

    names = Markup(
        '<path d="M{} {}H{}" stroke="currentColor" stroke-opacity=".45"/>'
        '<text x="{}" y="{}" text-anchor="middle">{}</text>'
        '<text x="4" y="10">{}</text>'
    ).format(_LEFT, bottom, right, (_LEFT + right) / 2, bottom + 32, write.text(x_name), write.text(y_name))
    return [*parts, names]


def _marks(write: Fragment, x: Scale, marks: Sequence[tuple[float, str]], name: Text) -> list[Markup]:
    """Return light upright lines with a word above each, and what they are before the first; some are left out."""
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for place, (value, word) in enumerate(marks[one] for one in _every(len(marks))):
        (at,) = x.place(np.array([value]), _LEFT, right)
        parts.append(
            Markup(
                '<path d="M{:.1f} {}V{}" stroke="currentColor" stroke-opacity=".22" stroke-dasharray="2 3"/>'
                '<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>'
            ).format(at, _TOP, bottom, at, _TOP - 6, "end" if at > right - 14 else "middle", word)
        )
        if name and not place:
            before = at - 4 - _DIGIT * len(word) / 2
            label = Markup('<text x="{:.1f}" y="{}" text-anchor="end">{}</text>')
            parts.append(label.format(before, _TOP - 6, write.text(name)))
    return parts


def _every(number: int) -> range:
    """Return the places of at most so many marks, evenly, the last number of each stretch."""
    steps = (step * 10**power for power in range(12) for step in (1, 2, 5))
    step = next(step for step in steps if number // step <= _MOST_MARKS)
    return range(step - 1, number, step)


def _line(curve: Curve, x: Scale, y: Scale) -> list[Markup]:
    """Return a curve's band, its line and, where they are few, its points."""
    colour, dash = _look(curve)
    across = x.place(np.asarray(curve.x, np.float64), _LEFT, _WIDTH - _RIGHT)
    parts = []
    if curve.low is not None and curve.high is not None:
        low, high = _upright(curve.low, y), _upright(curve.high, y)
        there = np.isfinite(low) & np.isfinite(high)
        outline = [*zip(across[there], high[there], strict=True)]
        outline += [*zip(across[there][::-1], low[there][::-1], strict=True)]
        if outline:
            band = Markup('<path d="{}Z" fill="{}" fill-opacity=".18" stroke="none"/>')
            parts.append(band.format(_path(outline), colour))

    up = _upright(curve.y, y)
    path = " ".join(_path(stretch) for stretch in _stretches(across, up))
    parts.append(
        Markup(
            '<path d="{}" fill="none" stroke="{}" stroke-width="{}" stroke-dasharray="{}" stroke-opacity="{}" '
            'stroke-linejoin="round"/>'
        ).format(path, colour, 1 if curve.faint else 2, dash, 0.75 if curve.faint else 1)
    )

    if not curve.faint and np.isfinite(up).sum() <= _MOST_DOTS:
        dots = (
            Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2.4" fill="{}"/>').format(one, other, colour)
            for one, other in zip(across, up, strict=True)
            if math.isfinite(other)
        )
        parts.extend(dots)
    return parts


def _upright(values: Float[np.ndarray, " n"], y: Scale) -> Float[np.ndarray, " n"]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return y.place(np.asarray(values, np.float64), _HEIGHT - _BOTTOM, _TOP)


def _stretches(across: Float[np.ndarray, " n"], up: Float[np.ndarray, " n"]) -> list[list[tuple[float, float]]]:
    """Return the points in stretches without gaps; a lone point is a short dash."""
    there = np.isfinite(up)
    ends = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    found = []
    for start, stop in zip(ends[::2], ends[1::2], strict=True):
        points = [*zip(across[start:stop].tolist(), up[start:stop].tolist(), strict=True)]
        found.append([*points, (points[0][0] + 1.5, points[0][1])] if len(points) == 1 else points)
    return found


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _number(value: float) -> str:
    """Write a number at an axis: whole ones with commas, very large ones with a letter.

    >>> _number(30_000.0), _number(1_500_000.0), _number(0.05)
    ('30,000', '1.5M', '0.05')
    """
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return count(int(value)) if value == int(value) else f"{value:g}"
