from __future__ import annotations

import math
from typing import Any

import pytest

from epochal.record.fields import (
    LARGEST,
    Field,
    either,
    matching,
    moment,
    optional,
    plain,
    plain_table,
    real,
    several,
    switch,
    table,
    text,
    whole,
    word,
)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (whole(1, 3), [1, 3], [0, 4, 1.0, True, "1", None, 10**30]),
        (whole(), [0, LARGEST], [-1, LARGEST + 1]),
        (real(), [0.5, 1, -1e300], [math.inf, math.nan, "1", True, None]),
        (real(infinite=True), [math.inf, math.nan, -math.inf, 1e300], ["nan", None]),
        (real(least=0.0), [0.0, 5], [-0.1, math.inf]),
        (real(), [1e300], [1e301, -1e301]),  # so that a sum of many is still a number
        (real(least=0.0, most=10.0), [10, 0.5], [10.5, 11, -1]),
        (
            moment(),
            ["2026-11-30T12:00:00.123+00:00", "2026-11-30T12:00:00+00:00"],
            ["----------", "2026-13-30T12:00:00+00:00", "2026-11-30", "0000-01-01T00:00:00+00:00", 5],
        ),
        (text(3), ["", "abc"], ["abcd", b"abc", 3]),
        (matching("[a-f]+", "letters"), ["abc"], ["", "abcz", 3]),
        (word("one", "two"), ["one"], ["three", 1, ["one"]]),
        (switch(), [True], [1, "true"]),
        (optional(whole()), [None, 1], [-1]),
        (either(whole(), text()), [1, "1"], [1.5]),
        (several(whole(), 2), [[], [1, 2]], [[1, 2, 3], (1,), [1, -1], "12"]),
        (table({"a": whole()}, {"b": text()}), [{"a": 1}, {"a": 1, "b": "", "c": []}], [{}, {"a": -1}]),
        (table({}, {"b": text()}), [{}, {"b": ""}], [{"b": 2}]),
        (table({}, others=whole()), [{}, {"x": 1}], [{"x": "1"}, [], 5]),
        (plain_table(), [{"a": [1, {"b": "c"}]}], [[], {"a": 10**30}, {"a": "x" * 70_000}]),
    ],
)
def test_a_field_holds_what_it_says_and_nothing_else(field: Field, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        field.require("it", value)
    for value in bad:
        with pytest.raises(ValueError, match="it"):
            field.require("it", value)


def test_the_place_and_the_value_are_named() -> None:
    rows = table({"rows": several(table({"loss": real()}))})
    with pytest.raises(ValueError, match=r"^rows\[1\]\.loss is 'low', not a finite number$"):
        rows.require("", {"rows": [{"loss": 1.0}, {"loss": "low"}]})
    with pytest.raises(ValueError, match=r"^it has no rows$"):
        rows.require("", {})


def test_what_is_too_deep_is_refused_without_being_followed() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="holds lists in lists, 16 deep"):
        plain().require("it", deep)
