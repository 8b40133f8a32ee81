"""What `epochal` says of itself, in the language of its user: a welcome, the commands, and each command's options."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import get_args

from epochal.cli.arguments import COMMON, options_by_name, usage_of, written_flags
from epochal.config.options import SWITCH, Option, Part
from epochal.words.catalogue import tell
from epochal.words.layout import cells, padded, screen_width, wrap
from epochal.words.phrases import translate

VERSION_HELP = "Print the version."
_WIDEST, _COLUMN = 100, 28

_TO_TRY = {
    "plan": ("plan --samples 60000 --batch-size 100 --iterations 30000", "welcome.plan"),
    "learn": ("learn", "welcome.learn"),
    "train": ("train digits", "welcome.train"),
    "compare": ("compare digits --batch-size 1,100,all", "welcome.compare"),
}


def welcome(commands: Iterable[str]) -> str:
    """Return what somebody reads who has typed nothing but `epochal`: what it is, and three things to try."""
    width = min(screen_width(), _WIDEST)
    to_try = [_TO_TRY[name] for name in _TO_TRY if name in commands][:3]

    lines = [*wrap(tell("welcome.what"), width), "", *wrap(tell("welcome.try"), width)]
    for words, key in to_try:
        lines += ["", f"  epochal {words}", *_indented(tell(key), 6, width)]
    lines += ["", *wrap(tell("welcome.more"), width)]
    return "\n".join(lines)


def commands_help(commands: Mapping[str, str]) -> str:
    """Return the list of the commands, each with what it does."""
    width = min(screen_width(), _WIDEST)
    lines = [*wrap(tell("usage.program"), width), "", *wrap(tell("welcome.what"), width), ""]
    rows = (([f"  {name}"], translate(about)) for name, about in commands.items())
    lines += _two_columns(rows, max(map(len, commands)) + 4, width)

    options = {**COMMON, "version": Option(help=VERSION_HELP, kind=SWITCH)}
    lines += ["", *(line for name, one in options.items() for line in _explain_option(name, one, width))]
    lines += ["", *wrap(tell("usage.each"), width)]
    return "\n".join(lines)


def explain(command: type, name: str) -> str:
    """Return the help of a command: its docstring, and its options by part."""
    width = min(screen_width(), _WIDEST)
    options = options_by_name(command)
    usage = [usage_of(key, one) if one.required else f"[{one.kind.metavar}]" for key, one in options.items()
             if one.positional or one.required]  # fmt: skip
    lines = wrap(tell("usage.command", words=" ".join(["epochal", name, *usage])), width, indent="    ")

    for paragraph in paragraphs(command):
        lines += ["", *wrap(translate(paragraph), width)]

    for part in get_args(Part):
        members = {key: one for key, one in options.items() if one.part == part}
        if part == get_args(Part)[-1]:
            members |= COMMON
        if members:
            lines += ["", tell("usage.part", part=translate(part))]
            lines += [line for key, one in members.items() for line in _explain_option(key, one, width)]
    return "\n".join(lines)


def paragraphs(command: type) -> list[str]:
    """Return a command's docstring in English, a line for each paragraph."""
    return [" ".join(one.split()) for one in inspect.cleandoc(command.__doc__ or "").split("\n\n")]


def help_of(one: Option) -> str:
    """Return an option's help in the present language, the default included."""
    default = [translate(f"Default: {one.default}.")] if one.default else []
    return _joined([translate(one.help), *default])


def _joined(sentences: list[str]) -> str:
    """Put sentences together; after a full-width stop stands no space."""
    return "".join(one if one.endswith(("。", "？")) else f"{one} " for one in sentences).rstrip()


def _explain_option(name: str, one: Option, width: int) -> list[str]:
    """Return an option's lines: how it is written, and beside or below that what it means."""
    written = one.kind.metavar if one.positional else f"{', '.join(written_flags(name, one))} {one.kind.metavar}"
    lines = [f"  {line}" for line in wrap(written, width - 2, indent="  ")]
    return _two_columns([(lines, help_of(one))], _COLUMN, width)


def _two_columns(rows: Iterable[tuple[list[str], str]], column: int, width: int) -> list[str]:
    """Return lines of what is written and what it means: beside it, or below on a narrow screen or for a long one."""
    lines = []
    for written, meaning in rows:
        if width < 2 * column:
            lines += [*written, *_indented(meaning, 6 if width >= 40 else 4, width)]
            continue
        texts = _indented(meaning, column, width)
        if len(written) > 1 or cells(written[0]) > column - 2:
            lines += [*written, *texts]
        else:
            lines += [padded(written[0], column) + texts[0].lstrip(), *texts[1:]]
    return lines


def _indented(text: str, column: int, width: int) -> list[str]:
    return [" " * column + line for line in wrap(text, width - column)]
