from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest
from markupsafe import escape

from epochal.formats import decimal
from epochal.words.catalogue import Words, counted, duration, messages, say, tell
from epochal.words.language import LANGUAGES

PACKAGE = Path(str(resources.files("epochal")))
# whose names are put together
FROM_DATA = ("land.", "standing.", "metric.of_", "plan.", "cell.task_", "script.axis_", "lesson.", "dataset.about_")
CODE = (".py", ".j2", ".js")


def gaps(sentence: str) -> list[str]:
    return sorted(set(re.findall(r"\{(\w+)\}", sentence)))


def test_the_languages_have_the_same_sentences_with_the_same_gaps() -> None:
    english, chinese = messages("en"), messages("zh")
    assert english.keys() == chinese.keys()
    assert {key: gaps(text) for key, text in english.items()} == {key: gaps(text) for key, text in chinese.items()}


def test_chinese_is_chinese() -> None:
    """Each sentence has Chinese characters, or nothing but gaps and signs."""
    left = [text for text in messages("zh").values() if not re.search(r"[\u4e00-\u9fff]", text)]
    assert not [text for text in left if re.search("[a-z]{3}", re.sub(r"\{\w+\}", "", text))]


BY_NAME = re.compile(
    r"(status|method|split|metric|fact|how|notice|script|cell|count|lesson|standing)\.[\w-]+"
    r"|land\.(heading_\w+|\w+_[xy])|plan\.\w+_one|dataset\.about_\w+|pack\.(test|validation)"
)
"""Keys of groups whose members are found by their names."""


def test_every_sentence_is_used() -> None:
    """Each key stands somewhere in the code, or its name does where the group is found by names."""
    files = (path for path in PACKAGE.rglob("*") if path.suffix in CODE)
    sources = "\n".join(path.read_text(encoding="utf-8") for path in files)

    def is_used(key: str) -> bool:
        name = key.partition(".")[2]
        return key in sources or bool(BY_NAME.fullmatch(key) and (name in sources or key.startswith(FROM_DATA)))

    assert [key for key in messages("en") if not is_used(key)] == []


def test_a_sentence_keeps_its_languages_apart_and_escapes_what_fills_it() -> None:
    html = escape(say("notice.missing", run="<b>"))
    assert html == ('<span lang="en">&lt;b&gt; has not started yet.</span><span lang="zh">&lt;b&gt; 尚未开始。</span>')


def test_what_is_the_same_in_all_languages_is_written_once() -> None:
    assert escape(Words(dict.fromkeys(LANGUAGES, "a < b"))) == "a &lt; b"


def test_a_gap_takes_words_of_the_same_language() -> None:
    text = say("plan.change", iteration="5", options=say("status.finished"))
    assert "finished" in text.texts["en"]
    assert "已完成" in text.texts["zh"]


def test_an_unknown_key_is_a_bug() -> None:
    with pytest.raises(KeyError):
        say("no.such")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0"), (1.5, "1.5000"), (1234.5, "1,234.5000"), (9.994e-4, "9.99e-04"), (float("inf"), "∞"), (None, "–")],
)
def test_numbers_read_well(number: float | None, text: str) -> None:
    assert decimal(number) == text


def test_times_read_well() -> None:
    assert [duration(seconds).texts["en"] for seconds in (0.5, 59.94, 60.0, 7384.0)] == [
        "0.50 s",
        "59.9 s",
        "1 min 00 s",
        "2 h 03 min",
    ]


def test_a_terminal_is_told_one_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHAL_LANG", "zh")
    assert tell("status.finished") == "已完成"
    assert str(counted(6000, "batch")) == "6,000 批"
