"""The table of faults: each row has tests that exist, and the documents show what was seen, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from table import NOT_YET, PAGES, Case, Seen, key, main, merged, read_cases, read_rows, read_seen, table, with_table

TESTS = Path(__file__).parent.parent
RESULTS = """<?xml version="1.0"?><testsuites><testsuite><testcase file="tests/faults/test_kill.py" name="test_a[b]">
<properties><property name="times" value="167"/><property name="seconds" value="5.5"/></properties>{more}</testcase>
</testsuite></testsuites>"""
KILLS = "faults/test_kill.py::test_the_same_bits_after_kills"


def test_each_row_is_shown_by_tests_that_exist() -> None:
    for row in read_rows():
        for name in row["tests"]:
            file, _, beginning = name.partition("::")
            text = (TESTS / file).read_text("utf-8")
            assert re.search(rf"^def {beginning or 'test_'}", text, re.MULTILINE), name
        assert all(row[part][language] for part in ("fault", "made", "seen") for language in PAGES)
    assert len({key(row) for row in read_rows()}) == len(read_rows())


@pytest.mark.parametrize("language", PAGES)
def test_the_page_shows_what_was_seen(language: str) -> None:
    text = PAGES[language].read_text("utf-8")
    assert text == with_table(text, language, read_seen()), "write it: python tests/faults/table.py"


def test_results_are_counted_and_fewer_do_not_replace_more(tmp_path: Path) -> None:
    (tmp_path / "results.xml").write_text(RESULTS.format(more=""))
    assert read_cases(tmp_path / "results.xml") == [Case("faults/test_kill.py::test_a[b]", False, False, 167, 5.5)]
    cases = [Case(f"{KILLS}[{number}]", False, False, 100, 0.0) for number in range(3)]
    (name, seen), *others = merged({}, cases, "2030-01-01", "a machine").items()
    assert (name, seen.times, others) == ("killed", 300, [])
    assert merged({"killed": seen}, cases[:1], "2030-01-02", "another")["killed"] == seen
    assert merged({"killed": seen}, cases, "2030-01-02", "another")["killed"].day == "2030-01-02"
    assert merged({}, [Case(f"{KILLS}[0]", False, True, 100, 0.0)], "2030-01-01", "a machine") == {}
    assert "300 | 2030-01-01" in table("en", {"killed": Seen(300, 0.0, "2030-01-01", "a machine")})
    assert NOT_YET["zh"] in table("zh", {})


def test_nothing_is_written_where_a_test_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = [page.read_bytes() for page in PAGES.values()]
    (tmp_path / "results.xml").write_text(RESULTS.format(more="<failure message='no'/>"))
    assert main([str(tmp_path / "results.xml")]) == 1
    assert "test_kill.py::test_a[b]" in capsys.readouterr().err
    assert [page.read_bytes() for page in PAGES.values()] == before
    with pytest.raises(ValueError, match="no place for the table"):
        with_table("a page", "en", {})
