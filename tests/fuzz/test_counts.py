"""The pages on reliability show what was counted."""

from __future__ import annotations

import json

import pytest
from counts import COUNTS, NAMES, PAGES, table, with_table
from readers import TARGETS

from fuzz import COMMAND_LINE


@pytest.mark.parametrize("language", PAGES)
def test_the_pages_show_the_counts(language: str) -> None:
    path = PAGES[language]
    if not path.is_file():
        pytest.skip("needs the repository's documents")
    page = path.read_text(encoding="utf-8")
    assert with_table(page, table(json.loads(COUNTS.read_text()), language)) == page, "run: python tests/fuzz/counts.py"


def test_every_target_has_a_name_in_both_languages() -> None:
    assert set(NAMES) == {*TARGETS, COMMAND_LINE}


def test_other_counts_make_another_page() -> None:
    counts = {"idx": {"read": 1, "refused": 2, "guided": 1, "faults": {}}}
    lines = table(counts, "en")
    page = "\n".join(["# A", "", *lines, "", "end"]) + "\n"
    counts["idx"]["read"] = 7
    assert with_table(page, lines) == page
    assert with_table(page, table(counts, "en")) != page
