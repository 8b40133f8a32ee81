"""The one place where a text that anybody may have written becomes text that is shown.

Names come from data, files and runs: of classes, columns, folders, metrics. In a terminal, control characters would
clear the screen, set its title or colours, or overwrite a line; those that turn the direction of writing, and those
that nobody sees, show a name as another one. Each of them becomes a picture of itself, one for one, so that no name is
shorter than it was.
"""

from __future__ import annotations

import re
import sys
from typing import Final

# C0 without tab and newline, delete, C1, line and paragraph separators, and halves of letters, which stand for bytes of
# file names that are no text
_CONTROLS: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
# marks, embeddings, overrides, isolates
_DIRECTIONS: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# what takes no room; joiners (U+200C, U+200D) stay, since they shape letters
_UNSEEN: Final = (
    r"\xad\u180e\u200b\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ACTING: Final = f"{_CONTROLS}{_DIRECTIONS}{_UNSEEN}"
_IN_TEXT: Final = re.compile(f"[{_ACTING}]")
_IN_LINE: Final = re.compile(f"[{_ACTING}\n]")
_PICTURES: Final = 0x2400  # Unicode's pictures of the first 32 control characters, in their order
_DELETE: Final = "\x7f"


def plain_text(text: str) -> str:
    r"""Return a text in which nothing acts on a terminal or a page; newlines and tabs stay.

    >>> plain_text("a\x1b[31mb\r\n")
    'a␛[31mb␍\n'
    """
    return text if text.isascii() and text.isprintable() else _IN_TEXT.sub(_picture, text)


def one_line(text: str) -> str:
    r"""Return a text, such as a name, that also cannot look like a line of somebody else's.

    >>> one_line("r\nepochal: all is well")
    'r␊epochal: all is well'
    """
    return text if text.isascii() and text.isprintable() else _IN_LINE.sub(_picture, text)


def plain_json(text: str) -> str:
    r"""Return JSON of the same value in which nothing acts on a terminal: what does is written as an escape.

    >>> plain_json('"a\x9bb"')
    '"a\\u009bb"'
    """
    return text if text.isascii() and text.isprintable() else _IN_TEXT.sub(_escape, text)


def print_plain(text: str, *, is_error: bool = False) -> None:
    """Print a text without a console: on standard error for what is none of the results."""
    print(plain_text(text), file=sys.stderr if is_error else sys.stdout, flush=is_error)


def _picture(found: re.Match[str]) -> str:
    letter = found[0]
    if letter < " ":
        return chr(_PICTURES + ord(letter))
    return "\N{SYMBOL FOR DELETE}" if letter == _DELETE else "\N{REPLACEMENT CHARACTER}"


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x10000:
        return f"\\u{number:04x}"
    return f"\\u{0xD7C0 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"  # JSON writes it as two halves
