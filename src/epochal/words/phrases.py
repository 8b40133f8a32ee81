"""English sentences that stand in the code, as errors and options' help do, and what they are in another language.

The English is its own key, as in gettext: ``f"{name} must be one of {names}"`` has the key ``{} must be one of {}``.
A text is translated where it is shown, and stays English in records, logs and tests of equality. The translation has
the gaps by number, in any order: ``{1} 之一才能作为 {0}``. ``{0!t}`` translates what fills the gap too; all other
gaps are names, numbers and paths, and stay as they are.

A text can be read in several ways: names hold anything, and sentences hold sentences. The reading that understands
most of it counts: most letters, its own and those of the sentences in it. Between Chinese and other letters stands a
space, wherever a gap begins or ends.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import islice
from typing import Final

from epochal.words.language import present_language

_FILES: Final = ("phrases", "help")
_GAP: Final = "{}"
_FILLED: Final = re.compile(r"( ?)\{(\d+)(!t)?\}( ?)")
_MOST_READINGS: Final = 8
"""The ways in which names and sentences share a text; the first ones tell."""
_LONG: Final = 300
"""The characters of a text that is read in one way only: a list of a thousand names holds a comma in as many places."""
_FEW: Final = 6
"""Fewer letters, as in "and" or "line", stand in anybody's sentence."""
_LETTER: Final = 16
"""What a letter weighs, where a sign weighs 1."""
_UNREAD: Final = -1
_DEEPEST: Final = 6
"""Sentences in sentences; a list of a thousand reasons is not followed to its end."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """An English sentence with gaps, and its translation.

    Attributes:
        parts: what stands before, between and after the gaps.
        mark: the longest of the parts, without which a text need not be looked at.
        translation: with its gaps by number.
    """

    parts: tuple[str, ...]
    mark: str
    translation: str

    @classmethod
    def of(cls, key: str, translation: str) -> Phrase:
        """Return the phrase of an English key."""
        parts = tuple(key.split(_GAP))
        return cls(parts, max(parts, key=len), translation)

    @property
    def letters(self) -> int:
        """How many letters it has of its own; a single one may be anybody's."""
        letters = (sum(map(str.isalpha, part)) for part in self.parts)
        return sum(number for number in letters if number > 1)

    @property
    def weight(self) -> int:
        """How much of a text it explains: its letters, and less so its signs; nothing where it has a few."""
        if 0 < self.letters < _FEW:
            return 0
        return _LETTER * self.letters + sum(map(len, self.parts))

    def readings(self, text: str) -> Iterator[tuple[str, ...]]:
        """Return what can fill the gaps so that they make this text: the shortest first."""
        first, *rest = self.parts
        if text.startswith(first) and text.endswith(rest[-1]) and all(part in text for part in rest):
            most = _MOST_READINGS if len(text) < _LONG else 1
            yield from islice(_fillings(text[len(first) :], rest), most)


def translate(text: str, language: str | None = None) -> str:
    """Return an English text in a language; as it is where nobody has translated it.

    ``language`` is the present one by default.

    >>> translate("no such sentence", "zh")
    'no such sentence'
    """
    language = present_language() if language is None else language
    return text if language == "en" else _best_reading(text, language)[1]


@lru_cache(maxsize=1024)
def _best_reading(text: str, language: str, depth: int = _DEEPEST) -> tuple[int, str]:
    """Return how much of a text is understood, and its translation; ``depth`` more may be in each other."""
    exact, phrases = _catalogue(language)
    if text in exact:
        return _LETTER * len(text), exact[text]
    best = _UNREAD, text
    for phrase in [phrase for phrase in phrases if depth and phrase.mark in text]:
        for values in phrase.readings(text):
            best = max(best, _filled(phrase, values, language, depth - 1), key=lambda reading: reading[0])
    return max(best[0], 0), best[1]


def _filled(phrase: Phrase, values: Sequence[str], language: str, depth: int) -> tuple[int, str]:
    """Return how much a reading understands, and the translation with its gaps filled."""
    spoken = {int(gap[2]) for gap in _FILLED.finditer(phrase.translation) if gap[3]}
    read = [_best_reading(value, language, depth) if i in spoken else (0, value) for i, value in enumerate(values)]

    if _is_doubtful(phrase, values, read):
        return _UNREAD, ""

    translation = _FILLED.sub(lambda gap: _placed(gap, read[int(gap[2])][1]), phrase.translation)
    return phrase.weight + sum(weight for weight, _ in read), translation


def _is_doubtful(phrase: Phrase, values: Sequence[str], read: Sequence[tuple[int, str]]) -> bool:
    """Return whether a few letters or signs join anybody's words: they have to be names, or understood."""
    if phrase.letters >= _FEW:
        return False
    if phrase.letters:
        return any(" " in value and said == value for value, (_, said) in zip(values, read, strict=True))
    return sum(weight for weight, _ in read) < _LETTER


def _placed(gap: re.Match[str], value: str) -> str:
    """Return what fills a gap, with a space on either side where Chinese meets other letters, and none in Chinese."""
    around, (start, end) = gap.string, gap.span()
    before, after = around[start - 1 : start], around[end : end + 1]
    return _space(before, value[:1], gap[1]) + value + _space(value[-1:], after, gap[4])


def _space(left: str, right: str, written: str) -> str:
    if _is_chinese(left) and _is_chinese(right):
        return ""
    meet = (_is_chinese(left) and right.isalnum()) or (_is_chinese(right) and left.isalnum())
    return " " if meet else written


def _is_chinese(letter: str) -> bool:
    return "\u4e00" <= letter <= "\u9fff"


def _fillings(text: str, parts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Return what can stand before each of these parts, where the last one ends the text."""
    part, *rest = parts
    if not rest:
        if text.endswith(part):
            yield (text.removesuffix(part),)
        return
    at = text.find(part)
    while at >= 0:
        for others in _fillings(text[at + len(part) :], rest):
            yield text[:at], *others
        at = text.find(part, at + 1)


@cache
def _catalogue(language: str) -> tuple[Mapping[str, str], tuple[Phrase, ...]]:
    """Return sentences without gaps, and those with gaps: the ones with most letters first, which win a tie."""
    sentences = read_phrases(language)
    exact = {key: text for key, text in sentences.items() if _GAP not in key}
    phrases = (Phrase.of(key, text) for key, text in sentences.items() if _GAP in key)
    return exact, tuple(sorted(phrases, key=lambda phrase: -phrase.letters))


def read_phrases(language: str) -> Mapping[str, str]:
    """Return all translations by their English; ``{}`` marks a gap."""
    folder = resources.files("epochal.words").joinpath("messages", language)
    texts = (folder.joinpath(f"{name}.toml").read_text(encoding="utf-8") for name in _FILES)
    sections = (section for text in texts for section in tomllib.loads(text).values())
    return {key: value for section in sections for key, value in section.items()}
