"""Which language people are spoken to in: English, or Chinese where they ask for it or their system is set to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

LANGUAGES: Final = ("en", "zh")
VARIABLE: Final = "EPOCHAL_LANG"
"""The environment variable that names a language; child processes inherit it."""

_LOCALE_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set decides, as everywhere on POSIX
_WINDOWS_CHINESE = 0x04  # the primary language of an identifier of Windows


def present_language(environment: Mapping[str, str] = os.environ) -> str:
    """Return the language of what is printed now: what ``EPOCHAL_LANG`` names, else the system's, else English.

    >>> present_language({"LANG": "zh_CN.UTF-8"}), present_language({"LANG": "zh_CN", "EPOCHAL_LANG": "en"})
    ('zh', 'en')
    >>> present_language({"LC_ALL": "C", "LANG": "zh_TW"}), present_language({"EPOCHAL_LANG": "xx"})
    ('en', 'en')
    """
    chosen = environment.get(VARIABLE, "")
    if chosen in LANGUAGES:
        return chosen
    for name in _LOCALE_VARIABLES:
        if value := environment.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "zh" if sys.platform == "win32" and _windows_speaks_chinese() else "en"


@contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """Speak a language while the block runs, in child processes too; ``None`` changes nothing."""
    before = os.environ.get(VARIABLE)
    if language is not None:
        os.environ[VARIABLE] = language
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def _windows_speaks_chinese() -> bool:
    import ctypes

    windll = getattr(ctypes, "windll", None)
    return windll is not None and windll.kernel32.GetUserDefaultUILanguage() & 0x3FF == _WINDOWS_CHINESE
