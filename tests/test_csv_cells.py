"""Cells of CSV: no text of anybody's is a formula, and what is a number stays one."""

from __future__ import annotations

import csv
from io import StringIO

import pytest

from epochal.csv_cells import as_cell, csv_text


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "＝1+1", "--1", "=", "@"])
def test_a_formula_is_a_text(text: str) -> None:
    cell = as_cell(text)
    assert cell == (text if len(text) == 1 else f"'{text}")


@pytest.mark.parametrize("number", ["-1", "+1", "-1.5e-3", "-.5", "-inf", "+nan", "-0"])
def test_a_number_stays_a_number(number: str) -> None:
    assert as_cell(number) == number
    assert float(as_cell(number)) == float(number) or number == "+nan"


@pytest.mark.parametrize("value", [-1, -1.5, None, True, "cat", "+", "-", "a=b", ""])
def test_other_values_are_left_alone(value: object) -> None:
    assert as_cell(value) is value


def test_control_characters_are_pictures_and_a_cell_is_in_one_line() -> None:
    assert as_cell("\x1b[2J\r\n=1") == "␛[2J␍␊=1"
    assert as_cell("\r=1") == "␍=1", "which is no formula, as it begins with another letter"


def test_rows_are_read_again_as_they_were() -> None:
    rows = [["name", "loss"], ['a "quoted", name', "-0.5"], ["名", "2"]]
    assert list(csv.reader(StringIO(csv_text(rows)))) == rows
