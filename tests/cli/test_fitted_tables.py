"""Tables at any width: nothing is lost, nothing is wider than the screen, and what belongs together stands straight."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from epochal.cli.fitted_tables import Column, print_table
from epochal.cli.text_lines import print_text, print_whole
from epochal.words.layout import cells

HEADINGS = ("运行", "批大小", "batches per epoch", "测试准确率", "learning rate", "状态")
COLUMNS = [Column(heading, is_text=heading in ("运行", "状态"), folds=heading == "状态") for heading in HEADINGS]
ROWS = [
    ("batch-1", "1", "60,000", "97.58 %", "0.01", "已完成"),
    ("批 100", "100", "600", "96.40 %", "0.1", "cannot be read: history.db is damaged"),
    ("batch-all", "60,000", "1", "–", "0.379", "已停止"),
]


def printed(
    width: int, rows: list[tuple[str, ...]] | None = None, title: str = "", columns: list[Column] = COLUMNS
) -> list[str]:
    out = io.StringIO()
    print_table(Console(file=out, width=width), columns, ROWS if rows is None else rows, title)
    return out.getvalue().splitlines()


def rules(lines: list[str]) -> int:
    """How many tables there are."""
    return sum(set(line.strip()) == {"─"} for line in lines)


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 200])
def test_no_number_and_no_name_is_lost_at_any_width(width: int) -> None:
    text = "\n".join(printed(width))
    for row in ROWS:
        for value in row[:-1]:
            assert value in text, "numbers and names stay in one piece"
    for word in ("cannot", "read:", "history.db", "damaged"):
        assert word in text


@pytest.mark.parametrize("width", range(20, 120))
def test_it_fits(width: int) -> None:
    lines = printed(width)
    assert not rules(lines) or max(map(cells, lines)) <= width


def test_there_is_one_table_where_there_is_room_then_several_then_a_list() -> None:
    assert [rules(printed(width)) for width in (200, 80, 60, 40, 20, 1)] == [1, 1, 1, 2, 0, 0]


def test_the_list_has_each_value_with_its_heading() -> None:
    assert printed(1)[:6] == [
        "batch-1",
        "  批大小: 1",
        "  batches per epoch: 60,000",
        "  测试准确率: 97.58 %",
        "  learning rate: 0.01",
        "  状态: 已完成",
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_wide_characters_count_as_two_cells(width: int) -> None:
    """Every row of a table that ends in numbers is as wide as its rule."""
    lines = printed(width, [row[:-1] for row in ROWS], columns=COLUMNS[:-1])
    places = [number for number, line in enumerate(lines) if set(line.strip()) == {"─"}]
    assert places
    for rule in places:
        assert {cells(line) for line in lines[rule : rule + 1 + len(ROWS)]} == {cells(lines[rule])}


@pytest.mark.parametrize("width", [1, 40, 80, 200])
def test_no_line_ends_in_blanks(width: int) -> None:
    lines = printed(width, title="three runs")
    assert lines == [line.rstrip() for line in lines]


def test_a_title_and_no_rows() -> None:
    assert printed(80, title="run one")[0].strip() == "run one"
    assert printed(5, title="run one")[0] == "run one"
    assert printed(80, []) == []


@given(
    st.lists(st.tuples(*[st.text("ab轮批1,.% ", max_size=12).map(str.strip)] * len(COLUMNS)), min_size=1, max_size=4),
    st.integers(1, 130),
)
def test_any_content_at_any_width(rows: list[tuple[str, ...]], width: int) -> None:
    """It neither fails nor is wider than the screen, and keeps each sign of what may be folded, too."""
    lines = printed(width, rows)
    assert not rules(lines) or max(map(cells, lines)) <= width
    signs = "".join("".join(row) for row in rows).replace(" ", "")
    shown = "".join(lines)
    assert all(shown.count(sign) >= signs.count(sign) for sign in set(signs))


# --- lines ----------------------------------------------------------------------------------------------------------


def test_a_sentence_is_broken_in_a_terminal_alone() -> None:
    sentence, path = "每个样本恰好用一次，" * 5, "a very long path/" * 9
    for is_terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, width=30, force_terminal=is_terminal, color_system=None)
        print_text(console, sentence, indent="  ")
        print_whole(console, path)
        *lines, last = out.getvalue().splitlines()
        assert last == path, "what is to be copied is whole"
        assert "".join(line.strip() for line in lines) == sentence
        assert (max(map(cells, lines)) <= 30) == is_terminal
