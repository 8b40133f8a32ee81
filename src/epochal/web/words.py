"""What a page says, in every language at once, and how it writes numbers.

A page holds each sentence in all languages; its stylesheet shows the one that the page's ``lang`` attribute names.
So a page changes its language without a script, and prints in the one that it shows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from markupsafe import Markup, escape

from epochal import formats

LANGUAGES: Final = ("en", "zh")


@cache
def messages(language: str) -> Mapping[str, str]:
    """Return a language's sentences by their key, such as ``plan.title``; ``{name}`` marks a gap."""
    text = resources.files("epochal.web").joinpath(f"messages/{language}.toml").read_text(encoding="utf-8")
    return {
        f"{section}.{name}": sentence
        for section, sentences in tomllib.loads(text).items()
        for name, sentence in sentences.items()
    }


@dataclass(frozen=True, slots=True)
class Words:
    """A text in every language: plain text, not yet escaped for HTML.

    >>> Words({"en": "12 epochs", "zh": "12 代"}).__html__()
    Markup('<span lang="en">12 epochs</span><span lang="zh">12 代</span>')
    """

    texts: Mapping[str, str]

    def __html__(self) -> Markup:
        """Return all languages side by side, or one text where they do not differ."""
        if len(set(self.texts.values())) == 1:
            return escape(next(iter(self.texts.values())))
        spans = (Markup('<span lang="{}">{}</span>').format(code, text) for code, text in self.texts.items())
        return Markup("").join(spans)


def say(key: str, **values: Any) -> Words:
    """Return a sentence with its gaps filled; a gap may be filled by `Words`. Raises `KeyError` for an unknown key.

    >>> say("status.finished").texts["en"]
    'finished'
    """
    return Words({code: messages(code)[key].format_map(_in_language(values, code)) for code in LANGUAGES})


def known(key: str) -> bool:
    """Return whether there is such a sentence."""
    return key in messages(LANGUAGES[0])


def _in_language(values: Mapping[str, Any], code: str) -> dict[str, Any]:
    return {name: value.texts[code] if isinstance(value, Words) else value for name, value in values.items()}


def percent(share: float | None, digits: int = 2) -> str:
    r"""Write a share of 1 in percent, in one piece at the end of a line, or a dash for none.

    >>> percent(0.9815), percent(None)
    ('98.15\xa0%', '–')
    """
    return formats.percent(share, digits).replace(" ", "\N{NO-BREAK SPACE}")


def metric(name: str, value: float | None) -> str:
    """Write a metric's value, in one piece at the end of a line: accuracies in percent, the others as numbers."""
    return formats.metric(name, value).replace(" ", "\N{NO-BREAK SPACE}")


def metric_word(name: str, split: str | None = None) -> Words | str:
    """Return a metric's name in words, as the test set's where asked; an unknown metric keeps its own name."""
    if split is not None:
        return say(f"metric.of_{split}", metric=metric_word(name))
    return say(f"metric.{name}") if known(f"metric.{name}") else name


def duration(seconds: float) -> Words:
    """Write a time as a person would.

    >>> duration(65.0).texts
    {'en': '1 min 05 s', 'zh': '1 分 05 秒'}
    """
    if seconds < 60:
        return say("time.seconds", seconds=f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return say("time.minutes", minutes=minutes, seconds=f"{rest:02d}")
    hours, minutes = divmod(minutes, 60)
    return say("time.hours", hours=formats.count(hours), minutes=f"{minutes:02d}")
