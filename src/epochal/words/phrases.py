"""English sentences that stand in the code, as errors and options' help do, and what they are in another language.

The English is its own key, as in gettext: ``f"{name} must be one of {names}"`` has the key ``{} must be one of {}``.
A text is translated where it is shown, and stays English in records, logs and tests of equality. The translation has
the gaps by number, in any order: ``{1} 之一才能作为 {0}``. ``{0!t}`` translates what fills the gap too; all other
gaps are names, numbers and paths, and stay as they are.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from epochal.words.language import present_language

_GAP: Final = "{}"
_FILLED: Final = re.compile(r"\{(\d+)(!t)?\}")


@dataclass(frozen=True, slots=True)
class Phrase:
    """An English sentence with gaps, and its translation."""

    pattern: re.Pattern[str]
    translation: str


def translate(text: str, language: str | None = None) -> str:
    """Return an English text in a language; as it is where nobody has translated it.

    ``language`` is the present one by default.

    >>> translate("no such sentence", "zh")
    'no such sentence'
    """
    language = present_language() if language is None else language
    return text if language == "en" else _translated(text, language)


def _translated(text: str, language: str) -> str:
    exact, phrases = _catalogue(language)
    if text in exact:
        return exact[text]
    for phrase in phrases:
        if match := phrase.pattern.fullmatch(text):
            return _filled(phrase.translation, match.groups(), language)
    return text


def _filled(translation: str, values: tuple[str, ...], language: str) -> str:
    def fill(gap: re.Match[str]) -> str:
        value = values[int(gap[1])]
        return _translated(value, language) if gap[2] else value

    return _FILLED.sub(fill, translation)


@cache
def _catalogue(language: str) -> tuple[Mapping[str, str], tuple[Phrase, ...]]:
    """Return sentences without gaps, and those with gaps: the ones with the most letters first, as they say more."""
    sentences = read_phrases(language)
    exact = {key: text for key, text in sentences.items() if _GAP not in key}
    open_ones = sorted((key for key in sentences if _GAP in key), key=lambda key: -len(key.replace(_GAP, "")))
    return exact, tuple(Phrase(_pattern(key), sentences[key]) for key in open_ones)


def read_phrases(language: str) -> Mapping[str, str]:
    """Return all translations by their English; ``{}`` marks a gap."""
    text = resources.files("epochal.words").joinpath(f"messages/{language}/phrases.toml").read_text(encoding="utf-8")
    return {key: value for section in tomllib.loads(text).values() for key, value in section.items()}


def _pattern(key: str) -> re.Pattern[str]:
    return re.compile("(.*?)".join(map(re.escape, key.split(_GAP))), re.DOTALL)
