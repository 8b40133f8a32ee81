"""How numbers are written for people: one home for counts, shares, measured values and times."""

from __future__ import annotations

import math


def count(number: int | None) -> str:
    """Write a whole number, or a dash for none.

    >>> count(60_000), count(None)
    ('60,000', '–')
    """
    return "–" if number is None else f"{number:,}"


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share of 1 in percent, or a dash for none.

    >>> percent(0.98125), percent(None)
    ('98.12 %', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def decimal(number: float | None, digits: int = 4) -> str:
    """Write a measured number with so many digits after the point, or a small or large one with its power of ten.

    >>> decimal(0.06661), decimal(0.0000123), decimal(None), decimal(float("nan"))
    ('0.0666', '1.23e-05', '–', 'NaN')
    >>> decimal(54_308.6458), decimal(4_363_999_232.0)
    ('54,308.6', '4.364e+09')
    """
    if number is None:
        return "–"
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    if number == 0:
        return "0"
    if abs(number) < 10 ** (1 - digits):
        return f"{number:.2e}"
    if abs(number) >= 1e6:
        return f"{number:.{digits}g}"
    return f"{number:,.{digits if abs(number) < 1e4 else 1}f}"


def loss(value: float) -> str:
    """Write a mean loss: four digits after the point, or a large one as `decimal` does.

    >>> loss(0.02345), loss(9.4e8)
    ('0.0234', '9.4e+08')
    """
    return f"{value:.4f}" if abs(value) < 1000 else decimal(value)


def metric(name: str, value: float | None) -> str:
    """Write a metric's value: accuracies in percent, the others as numbers.

    >>> metric("balanced-accuracy", 0.5), metric("rmse", 12.5), metric("accuracy", None)
    ('50.00 %', '12.5000', '–')
    """
    return percent(value) if name.endswith("accuracy") else decimal(value)


def plural(number: int, word: str) -> str:
    """Count things.

    >>> plural(1, "epoch"), plural(6000, "batch")
    ('1 epoch', '6,000 batches')
    """
    ending = "" if number == 1 else "es" if word.endswith("ch") and word != "epoch" else "s"
    return f"{number:,} {word}{ending}"
