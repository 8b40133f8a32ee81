"""`render_page`: the learn page as one HTML document, which asks a server, or plays a recording that it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment

from epochal.learn.lessons import certificate
from epochal.version import __version__
from epochal.web.one_file import Sources, render_in_one, templates_of
from epochal.words.catalogue import messages, say
from epochal.words.language import LANGUAGES

_SOURCES = Sources(
    package="epochal.learn",
    styles=("learn",),
    scripts=(
        *("numbers", "canvas", "terrain"),
        *("transport", "state", "world", "motion"),
        *("set_grid", "strip", "samples", "plane", "pulls", "map", "curve", "lanes", "more"),
        *("goals", "lessons", "settings", "actions", "page"),
    ),
)
_SECTIONS = ("learn", "fact", "how", "method")


def render_page(
    token: str | None,
    *,
    lang: str,
    lessons: Sequence[Mapping[str, Any]] = (),
    problem: str = "digits",
    recording: Mapping[str, Any] | None = None,
) -> str:
    """Return the page: its style, script and words inside; it opens no connection but to where it came from.

    Args:
        token: what the page shows its server with every question; ``None`` where it has none.
        lang: the language that the page opens in: ``en`` or ``zh``; it can be switched on the page.
        lessons: the guided lessons, as `epochal.learn.lessons` returns them.
        problem: what the page opens with.
        recording: answers by question, for a page that has no server; it then asks nobody.

    Raises:
        OptionError: for an unknown language.
    """
    return render_in_one(
        _environment().get_template("learn.html.j2"),
        _SOURCES,
        lang,
        _payload(token, lessons, problem, recording),
        version=__version__,
        is_live=recording is None,
        lessons=lessons,
    )


def _payload(
    token: str | None, lessons: Sequence[Mapping[str, Any]], problem: str, recording: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what the page's script reads."""
    return {
        "token": token,
        "problem": problem,
        "lessons": list(lessons),
        "certificate": {part: dict(words.texts) for part, words in certificate().items()},
        "recording": recording,
        "words": {code: _words(code) for code in LANGUAGES},
    }


def _words(code: str) -> dict[str, str]:
    return {key: text for key, text in messages(code).items() if key.partition(".")[0] in _SECTIONS}


@cache
def _environment() -> Environment:
    environment = templates_of("epochal.learn")
    environment.globals.update(say=say, messages=messages)
    return environment
