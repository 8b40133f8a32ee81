"""Options and paths as the words of a command line: what a command that is shown, or started, consists of."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

from epochal.config.options import Option
from epochal.words.plain_text import one_line

_PLAIN = re.compile(r"[\w@%+=:,./-]+")


def option_words(values: Mapping[str, Any], options: Mapping[str, Option]) -> list[str]:
    """Return the words of a command line that give a training these options; ``None`` gives nothing.

    >>> from epochal.config.train_config import TRAIN
    >>> option_words({"batch_size": 100, "hidden": (64, 32), "snapshots": True}, TRAIN)
    ['--batch-size', '100', '--hidden', '64,32', '--snapshots']
    """
    words: list[str] = []
    for name, value in values.items():
        if value is None or value is False:
            continue
        if isinstance(value, dict):
            value = tuple(f"{key}={_as_word(one)}" for key, one in value.items())
        elif isinstance(value, tuple):
            value = ",".join(map(_as_word, value))

        flag = f"--{options[name].flag or name.replace('_', '-')}"
        several = () if value is True else value if isinstance(value, tuple) else (value,)
        texts = [_as_word(one) for one in several]
        # a value that looks like an option is written as --name=value
        words.extend([f"{flag}={texts[0]}"] if len(texts) == 1 and texts[0][:1] == "-" else [flag, *texts])
    return words


def as_argument(path: object) -> str:
    """Return a path as a word of a command line, where nobody takes it for an option.

    >>> as_argument("digits"), as_argument("-data.csv")
    ('digits', './-data.csv')
    """
    return f"./{path}" if str(path).startswith("-") else str(path)


def shell_word(path: object) -> str:
    """Return a path as it is pasted into a shell, within a sentence.

    >>> shell_word("my run"), shell_word("-run")
    ("'my run'", './-run')
    """
    return pasted(as_argument(path))


def pasted(word: str) -> str:
    r"""Return a word as it is pasted into a shell: quoted where need be, and its control characters as escapes.

    Letters and digits of any language mean nothing to a shell, so they need no quotes.

    >>> print(pasted("my run"), pasted("运行-1"), pasted("run\n"))
    'my run' 运行-1 $'run\x0a'
    """
    if one_line(word) == word:
        return word if _PLAIN.fullmatch(word) else shlex.quote(word)
    letters = (_in_escapes(one) if one_line(one) != one else f"\\{one}" if one in "\\'" else one for one in word)
    return f"$'{''.join(letters)}'"


def _in_escapes(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))


def _as_word(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_as_word, value))
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
