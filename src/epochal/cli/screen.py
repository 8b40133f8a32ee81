"""What all commands print with: one look for tables, numbers and JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from epochal.config.command_words import as_argument, pasted
from epochal.words.catalogue import tell
from epochal.words.console import PlainConsole
from epochal.words.layout import said_width, screen_width
from epochal.words.phrases import translate
from epochal.words.plain_text import plain_json

_WIDTH_WITHOUT_TERMINAL = 80


def open_console(*, quiet: bool = False) -> Console:
    """Return the console for results: 80 columns where the output is no terminal and COLUMNS says nothing else."""
    width = said_width()
    if width is None and not sys.stdout.isatty():
        width = _WIDTH_WITHOUT_TERMINAL
    elif width is None and "COLUMNS" in os.environ:
        width = screen_width()  # COLUMNS=0 says nothing, but rich would believe it
    return PlainConsole(width=width, quiet=quiet)


@contextmanager
def libraries_silenced(*, when: bool) -> Iterator[None]:
    """Keep standard output for this program while the block runs: what connects processes writes there as it likes."""
    if not when:
        yield
        return
    sys.stdout.flush()
    before, own = sys.stdout, os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    sys.stdout = own
    try:
        yield
    finally:
        own.flush()
        os.dup2(own.fileno(), 1)
        sys.stdout = before
        own.close()


def print_notes(notes: Iterable[str], console: Console) -> None:
    """Print sentences that the user should know, one a line."""
    for note in notes:
        console.print(tell("before.note", note=translate(note)), soft_wrap=not console.is_terminal)


def command_line(*words: object) -> str:
    """Return a command that can be pasted into a shell: names with blanks are quoted, and none is taken for an option.

    >>> command_line("resume", Path("my run"), "--epochs", 20)
    "epochal resume 'my run' --epochs 20"
    """
    texts = (as_argument(one) if isinstance(one, Path) else str(one) for one in words)
    return " ".join(map(pasted, ["epochal", *texts]))


def print_next(steps: Iterable[tuple[str, str]], console: Console) -> None:
    """Print what to try next: what it is for, and below that its command, alone in its line as it can be pasted."""
    console.print(f"\n{tell('result.next')}")
    for about, command in steps:
        console.print(f"  {about}\n    {command}", soft_wrap=True)


def print_json(value: Any) -> None:
    """Print plain JSON; numbers that are not finite become null, which JSON has instead."""
    print(plain_json(json.dumps(_finite(value), indent=2, ensure_ascii=False)))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
