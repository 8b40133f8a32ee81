"""What a terminal shows of a study of batch sizes, at any width."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from epochal.cli.batch_size_tables import print_answer
from epochal.cli.size_picture import picture_lines
from epochal.study.batch_size.answer import Answer
from epochal.study.batch_size.trials import BatchSizes, LeftOut
from epochal.words.language import LANGUAGES
from epochal.words.layout import cells
from measured_sizes import FLAT, measured_row, measured_study, with_rows


def shown(study: BatchSizes, width: int = 80, folder: Path | None = None) -> str:
    file = io.StringIO()
    print_answer(Answer.of(study), Console(file=file, width=width, highlight=False, markup=False), folder)
    return file.getvalue()


def test_the_answer_comes_first_and_the_command_to_type_last() -> None:
    lines = shown(measured_study(), folder=Path("my study")).splitlines()
    assert lines[0].startswith("mlp on mnist, sgd, this machine (2 processors): batch sizes 64 to 256 reach")
    assert "    epochal train mnist --batch-size 64 --lr 0.64" in lines
    assert lines[-1] == "    epochal report 'my study'"


def test_where_the_time_was_too_short_a_command_gives_more() -> None:
    study = measured_study(left_out=(LeftOut(16_384, "budget"),))
    longer = "    epochal batch-size --run s --within 240s"
    for within, left, is_offered in ((60.0, study, True), (None, study, False), (60.0, measured_study(), False)):
        file = io.StringIO()
        print_answer(Answer.of(left), Console(file=file, width=80, highlight=False, markup=False), Path("s"), within)
        assert (longer in file.getvalue().splitlines()) is is_offered


def test_the_table_has_a_row_for_each_size() -> None:
    text = shown(measured_study())
    row = next(line.split() for line in text.splitlines() if re.match(r" +64 ", line))
    assert row == ["64", "0.64", "1,442", "±10", "%", "92,309", "1.54", "258", "0.372", "scales"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [40, 60])
@pytest.mark.parametrize("name", ["sgd, 60,000 samples", "sgd, digits"])
def test_tables_and_pictures_fit_their_screen(
    name: str, width: int, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPOCHAL_LANG", language)
    answer = Answer.of(measured_study(name, left_out=FLAT[1:]))
    _, *lines, _ = picture_lines(answer, width)
    assert lines
    assert max(map(cells, lines)) <= width
    in_table = [line for line in shown(answer.study, width).splitlines() if re.match(r" *[\d,]+ +[\d–]", line)]
    assert max(map(cells, in_table)) <= width


def points(lines: list[str], sign: str) -> list[tuple[int, int]]:
    return [(row, column) for row, line in enumerate(lines) for column, one in enumerate(line) if one == sign]


def test_the_picture_has_a_point_for_each_size_that_falls_and_then_stays() -> None:
    _, *lines, _ = picture_lines(Answer.of(measured_study()), 80)
    marks = sorted((column, row) for row, column in points(lines, "●"))
    assert len(marks) == 8
    rows = [row for _, row in marks]
    assert rows[0] == 0
    assert rows == sorted(rows)
    assert rows[-1] == rows[-2] == rows[-3]
    assert points(lines, "·")


def test_a_point_whose_rate_is_the_last_one_tried_is_hollow() -> None:
    study = measured_study()
    rows = (*study.rows[:-1], measured_row(16_384, 0.64, [649], is_edge=True))
    text = shown(BatchSizes(**{**{name: getattr(study, name) for name in study.__slots__}, "rows": rows}))
    assert text.count("●") == 7 + 1  # and once in the key
    assert "0.64 ○" in text
    assert "○ the best rate is the last one" in text


def test_too_few_points_make_no_picture_and_no_curve() -> None:
    assert picture_lines(Answer.of(with_rows(measured_study(), 64)), 80) == []
    _, *lines, key = picture_lines(Answer.of(with_rows(measured_study(), 16, 64)), 80)
    assert not points(lines, "·")
    assert "fitted" not in key


def test_sizes_that_were_left_out_are_marked_as_extrapolated() -> None:
    text = shown(measured_study(left_out=FLAT[1:]))
    assert re.search(r"60,000 +– +≈6\d0 +– +≈3\d,000,000", text)
    assert "≈ extrapolated from the fit, not measured" in text
    assert "≈" not in shown(measured_study())
