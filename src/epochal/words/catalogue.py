"""Sentences by key, in every language at once, and how they write numbers: for pages, notebooks and the terminal.

A page holds each sentence in all languages; its stylesheet shows the one that the page's ``lang`` attribute names.
So a page changes its language without a script, and prints in the one that it shows. A terminal asks for one (`tell`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from epochal import formats
from epochal.words.language import LANGUAGES, present_language
from epochal.words.phrases import translate
from epochal.words.plain_text import one_line

if TYPE_CHECKING:
    from markupsafe import Markup

_FILES = ("pages", "terminal", "batch_size", "learn", "lessons", "experiments")


@cache
def messages(language: str) -> Mapping[str, str]:
    """Return a language's sentences by their key, such as ``plan.title``; ``{name}`` marks a gap."""
    folder = resources.files("epochal.words").joinpath("messages", language)
    texts = (folder.joinpath(f"{name}.toml").read_text(encoding="utf-8") for name in _FILES)
    return {
        f"{section}.{name}": sentence
        for text in texts
        for section, sentences in tomllib.loads(text).items()
        for name, sentence in sentences.items()
    }


@dataclass(frozen=True, slots=True)
class Words:
    """A text in every language: plain text, not yet escaped for HTML.

    >>> Words({"en": "12 epochs", "zh": "12 轮"}).__html__()
    Markup('<span lang="en">12 epochs</span><span lang="zh">12 轮</span>')
    """

    texts: Mapping[str, str]

    def __html__(self) -> Markup:
        """Return all languages side by side, or one text where they do not differ."""
        from markupsafe import Markup, escape  # which a terminal does not need

        if len(set(self.texts.values())) == 1:
            return escape(next(iter(self.texts.values())))
        spans = (Markup('<span lang="{}">{}</span>').format(code, text) for code, text in self.texts.items())
        return Markup("").join(spans)

    def __str__(self) -> str:
        """Return the text in the present language."""
        return self.texts[present_language()]


def say(key: str, **values: Any) -> Words:
    """Return a sentence with its gaps filled; a gap may be filled by `Words`. Raises `KeyError` for an unknown key.

    >>> say("status.finished").texts["en"]
    'finished'
    """
    return Words({code: messages(code)[key].format_map(_in_language(values, code)) for code in LANGUAGES})


def tell(key: str, **values: Any) -> str:
    """Return a sentence in the present language alone, as a terminal prints it.

    >>> tell("status.finished")
    'finished'
    """
    code = present_language()
    return messages(code)[key].format_map(_in_language(values, code))  # the other languages' need not be read


def counted(number: int, what: str) -> Words:
    """Count things: ``what`` is a key of the section ``count``, whose English has the singular and the plural.

    >>> counted(1, "epoch").texts["en"], counted(6000, "batch").texts
    ('1 epoch', {'en': '6,000 batches', 'zh': '6,000 批'})
    """
    forms = say(f"count.{what}", count=formats.count(number)).texts
    return Words({code: text.split("|")[0 if number == 1 else -1] for code, text in forms.items()})


def phrase(text: str) -> Words:
    """Return an English text of the code, such as what an error says, in every language.

    >>> phrase("interrupted").texts["zh"]
    '已中断'
    """
    return Words({code: translate(text, code) for code in LANGUAGES})


def known(key: str) -> bool:
    """Return whether there is such a sentence."""
    return key in messages(LANGUAGES[0])


def _in_language(values: Mapping[str, Any], code: str) -> dict[str, Any]:
    return {name: _in_gap(value, code) for name, value in values.items()}


def _in_gap(value: Any, code: str) -> Any:
    """Return what fills a gap: names, which may hold anything, as plain text."""
    if isinstance(value, Words):
        return value.texts[code]
    return one_line(str(value)) if isinstance(value, str | PurePath) else value


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


def metric_name(name: str) -> Words | str:
    """Return a metric's name as a terminal writes it: the option's own in English, in words in other languages.

    >>> metric_name("rmse").texts
    {'en': 'rmse', 'zh': '均方根误差'}
    """
    words = metric_word(name)
    return Words({**words.texts, "en": name}) if isinstance(words, Words) else words


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
