"""The catalogues use the words of docs/vocabulary.md, and none that it rules out."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import pytest

from epochal.cli import main
from epochal.config.study_config import COMPARE
from epochal.config.train_config import TRAIN

PAGE: Final = Path(__file__).parents[2] / "docs" / "vocabulary.md"
MESSAGES: Final = Path(str(resources.files("epochal"))) / "words" / "messages"
QUOTED: Final = re.compile(r"“[^”]*”")


@dataclass(frozen=True)
class Term:
    """A row of the page."""

    english: str
    chinese: str
    ruled_out: tuple[str, ...]

    @property
    def not_in_chinese(self) -> tuple[str, ...]:
        return tuple(word for word in self.ruled_out if is_chinese(word))

    @property
    def not_in_english(self) -> tuple[str, ...]:
        return tuple(word for word in self.ruled_out if not is_chinese(word))


def is_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def read_terms() -> list[Term]:
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    return [
        Term(row[0], row[1], tuple(re.findall(r"`([^`]+)`", row[2]))) for row in rows if len(row) == 5 and "`" in row[2]
    ]


TERMS: Final = read_terms()


def texts_of(language: str) -> dict[str, str]:
    """Return all texts of a language's catalogue by file and key."""
    return {
        f"{path.name}: {key}": text
        for path in sorted((MESSAGES / language).glob("*.toml"))
        for name, section in tomllib.loads(path.read_text("utf-8")).items()
        if name not in ("system", "libraries")  # whose English is not ours
        for key, text in section.items()
    }


def in_chinese(text: str) -> list[str]:
    """Return the words in a Chinese text that are ruled out; a quotation does not count, nor a part of a term."""
    text = QUOTED.sub("", text)

    def stands_alone(word: str) -> bool:
        left = text
        for term in TERMS:
            if word in term.chinese:
                left = left.replace(term.chinese, "·")
        return word in left

    return [word for term in TERMS for word in term.not_in_chinese if stands_alone(word)]


def in_english(text: str) -> list[str]:
    """Return the words in an English text that are ruled out, as words of their own."""
    words = [word for term in TERMS for word in term.not_in_english]
    return [word for word in words if re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE)]


def test_the_page_has_each_term_once_and_in_both_languages() -> None:
    assert len(TERMS) > 45
    assert len({one.english for one in TERMS}) == len({one.chinese for one in TERMS}) == len(TERMS)
    assert all(is_chinese(one.chinese) and not is_chinese(one.english) for one in TERMS)
    assert not [one for one in TERMS if {one.english, one.chinese} & set(one.ruled_out)]


def test_each_word_that_is_ruled_out_is_found() -> None:
    words = [word for term in TERMS for word in term.not_in_chinese]
    assert len(words) > 80
    assert [word for word in words if word not in in_chinese(f"这里的{word}很多")] == []


def test_the_chinese_catalogue_uses_the_vocabulary() -> None:
    assert {place: found for place, text in texts_of("zh").items() if (found := in_chinese(text))} == {}


def test_the_english_catalogue_uses_the_vocabulary() -> None:
    assert {place: found for place, text in texts_of("en").items() if (found := in_english(text))} == {}


def test_errors_and_options_use_the_vocabulary() -> None:
    """The English of the code is the keys of the Chinese phrases; the options' help stands with the options."""
    keys = [place.partition(": ")[2] for place in texts_of("zh") if place.startswith(("phrases", "help"))]
    helps = [one.text for one in (*TRAIN.values(), *COMPARE.values())]
    assert {text: found for text in (*keys, *helps) if (found := in_english(text))} == {}


def test_the_commands_help_uses_the_vocabulary(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["train", "--help"], ["compare", "--help"], ["plan", "--help"]):
        main(words)
    assert in_english(capsys.readouterr().out) == []


def test_a_wrong_word_is_seen_and_a_quotation_is_not() -> None:
    assert in_chinese("每个批次用一次") == ["批次"]
    assert in_chinese("召回率和准确率") == []
    assert in_chinese("模型的召回") == ["召回"]
    assert in_chinese("轮（epoch，原文作“一代”）") == []
    assert in_chinese("训练一代") == ["一代"]
    assert in_english("the Objective of a training step") == ["training step", "objective"]
    assert in_english("subjective") == []
