"""From a command's options to its help, and from a command line to their values, with one-line errors."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from typing import Any, TypeVar, get_args

from epochal.errors import OptionError, unknown_name
from epochal.options import FOLDER, SWITCH, Kind, Option, Part, option, text

C = TypeVar("C")

_WIDEST, _COLUMN = 100, 28
_NEGATIVE_NUMBER = re.compile(r"-\.?[0-9]")


def json_option() -> Any:
    """Declare the switch that every command with results has."""
    return option(False, "Print the result as JSON, and nothing else.", SWITCH)


def run_option(help: str = "The run's folder.", metavar: str = "RUN") -> Any:  # noqa: A002
    """Declare the folder that a command is about."""
    return option(MISSING, help, Kind(FOLDER.read, metavar), positional=True)


def model_option() -> Any:
    """Declare where the code of a run's own model is, which no command runs unasked."""
    return option(
        None, "The run's own model, if it has one: file.py:function. Its code is not run unasked.",
        text("file.py:function", "FILE:FUNCTION"),
    )  # fmt: skip


def given(options: Mapping[str, Option], *, with_defaults: bool = True) -> Any:
    """Declare a field that holds those of these options that were given, by name."""
    if not with_defaults:
        options = {name: dataclasses.replace(one, default="") for name, one in options.items()}
    return dataclasses.field(default_factory=dict, metadata={"options": options})


def parse(command: type[C], name: str, words: Sequence[str]) -> C:
    """Return the command that these words of a command line mean. Raises `OptionError` or `PlanError` where none."""
    see = f"see epochal {name} --help"
    groups = _groups(command)
    options = {key: one for group in groups.values() for key, one in group.items()}
    flags = {_flag(key, one): key for key, one in options.items() if not one.positional}
    places = [key for key, one in options.items() if one.positional]

    values: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if _is_flag(word):
            said, has_value, value = word.partition("=")
            # --batch_size, as Python calls it, is meant as --batch-size
            said = said.replace("_", "-")
            if said not in flags:
                raise OptionError(_about_unknown(said, options, flags, see))
            key = flags[said]
            if key in values:
                raise OptionError(f"{said} is given twice; {see}")
            texts = [value] if has_value else []
        elif places:
            key = places.pop(0)
            said, texts = _place(options[key]), [word]
        else:
            raise OptionError(f"there is no place for '{word}'; {see}")
        # what follows belongs to it, up to the next option
        values[key] = _read(options[key], said, texts, rest, see)

    for key, one in options.items():
        if one.required and key not in values:
            raise OptionError(f"{_place(one)} is missing; {see}")
    fields = {field: {key: values[key] for key in keys if key in values} for field, keys in groups.items()}
    return command(**fields.pop(""), **fields)


def _read(one: Option, said: str, texts: list[str], rest: list[str], see: str) -> Any:
    """Take from ``rest`` what else belongs to an option, and return its value."""
    kind = one.kind
    if kind.words == "none":
        if texts:
            raise OptionError(f"{said} takes no value; {see}")
        return True
    while rest and not _is_flag(rest[0]) and (kind.words == "many" or not texts):
        texts.append(rest.pop(0))
    if not texts:
        raise OptionError(f"{said} needs a value; {see}")
    return kind.read(said, texts if kind.words == "many" else texts[0])


def _groups(command: type) -> dict[str, dict[str, Option]]:
    """Return a command's options by name: its own under ``""``, and those of each field that holds a group."""
    groups: dict[str, dict[str, Option]] = {"": {}}
    for field in dataclasses.fields(command):
        if "options" in field.metadata:
            groups[field.name] = dict(field.metadata["options"])
        else:
            groups[""][field.name] = field.metadata["option"]
    return groups


def _about_unknown(said: str, options: Mapping[str, Option], flags: Mapping[str, str], see: str) -> str:
    places = {_flag(key, one): one for key, one in options.items() if one.positional}
    if said in places:
        return f"{_place(places[said])} goes without '{said}'; {see}"
    return unknown_name("option", said, flags)


def _is_flag(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and not _NEGATIVE_NUMBER.match(word)


def _flag(name: str, one: Option) -> str:
    return f"--{(one.flag or name).replace('_', '-')}"


def _place(one: Option) -> str:
    """Return what stands for a positional argument."""
    return one.kind.metavar.split()[0]


# --- help -----------------------------------------------------------------------------------------------------------


def explain(command: type, name: str) -> str:
    """Return the help of a command: its docstring, and its options by part."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    options = {key: one for group in _groups(command).values() for key, one in group.items()}
    usage = [one.kind.metavar if one.required else f"[{one.kind.metavar}]" for one in options.values()
             if one.positional]  # fmt: skip
    lines = textwrap.wrap(" ".join(["usage: epochal", name, *usage, "[options]"]), width, subsequent_indent="    ")

    for paragraph in inspect.cleandoc(command.__doc__ or "").split("\n\n"):
        lines += ["", *textwrap.wrap(paragraph, width, break_on_hyphens=False)]
    for part in get_args(Part):
        members = {key: one for key, one in options.items() if one.part == part}
        if members:
            lines += ["", f"{part}:"]
            lines += [line for key, one in members.items() for line in _explain_option(key, one, width)]
    return "\n".join(lines)


def _explain_option(name: str, one: Option, width: int) -> list[str]:
    """Return an option's lines: how it is written, and beside or below that what it means."""
    written = f"  {one.kind.metavar}" if one.positional else f"  {_flag(name, one)} {one.kind.metavar}"
    column = _COLUMN if width >= 2 * _COLUMN else 6
    texts = textwrap.wrap(one.text, width - column, break_on_hyphens=False)
    if len(written) > column - 2:
        return [written, *(" " * column + text for text in texts)]
    return [f"{written:<{column}}{texts[0]}", *(" " * column + text for text in texts[1:])]
