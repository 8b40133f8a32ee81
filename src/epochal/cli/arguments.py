"""From a command line to the values of a command's options, with one-line errors."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from typing import Any, Final, TypeVar

from epochal.config.command_words import pasted
from epochal.config.options import FOLDER, SWITCH, Kind, Option, choice, count, option, text
from epochal.errors import OptionError, unknown_name
from epochal.words.language import LANGUAGES

C = TypeVar("C")

COMMON: Final = {
    "lang": Option(help="The language of what is printed.", kind=choice(*LANGUAGES), default="your system's"),
    "help": Option(help="Show this help.", kind=SWITCH, short="h"),
}
"""What every command has, by name; `epochal.cli.main` reads it."""

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


def processes_option() -> Any:
    """Declare how many processes of this machine work together on one training."""
    return option(
        None, "Processes of this machine that train together; each computes its part of every batch.",
        count("P", at_most=1000), part="run", text="1",
    )  # fmt: skip


def restarts_option() -> Any:
    """Declare how often a training goes on by itself."""
    return option(
        None, "How often to go on from the last checkpoint, after a pause, once a process was lost.",
        count("R", at_least=0), part="run", text="0",
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
    options = options_by_name(command)
    flags = {flag: key for key, one in options.items() for flag in written_flags(key, one)}
    places = [key for key, one in options.items() if one.positional]

    values: dict[str, Any] = {}
    rest, are_names = list(words), False
    while rest:
        word = rest.pop(0)
        if word == "--" and not are_names:
            are_names = True  # from here on, whatever they begin with
            continue
        if _is_flag(word) and not are_names:
            said, value = _parted(word, flags)
            if said not in flags:
                raise OptionError(_about_unknown(said, options, flags, see))
            key = flags[said]
            if key in values:
                raise OptionError(f"{said} is given twice; {see}")
            texts = [] if value is None else [value]
        elif places:
            key = places.pop(0)
            said, texts = place_name(options[key]), [word]
        else:
            raise OptionError(_about_no_place(word, options, see))
        # what follows belongs to it, up to the next option
        if options[key].kind.words != "none" and not texts and rest and rest[0] not in flags and _is_flag(rest[0]):
            raise OptionError(f"{said} needs a value; one that begins with '-' is written {said}={rest[0]}")
        values[key] = _read(options[key], said, texts, rest, see, are_names=are_names)

    for key, one in options.items():
        if one.required and key not in values:
            raise OptionError(f"{place_name(one) if one.positional else usage_of(key, one)} is missing; {see}")

    fields = {field: {key: values[key] for key in keys if key in values} for field, keys in groups.items()}
    return command(**fields.pop(""), **fields)


def _read(one: Option, said: str, texts: list[str], rest: list[str], see: str, *, are_names: bool) -> Any:
    """Take from ``rest`` what else belongs to an option, and return its value; all of it where ``are_names``."""
    kind = one.kind
    if kind.words == "none":
        if texts:
            raise OptionError(f"{said} takes no value; {see}")
        return True
    while rest and (are_names or not _is_flag(rest[0])) and (kind.words == "many" or not texts):
        texts.append(rest.pop(0))
    if not texts:
        raise OptionError(f"{said} needs a value; {see}")
    return kind.read(said, texts if kind.words == "many" else texts[0])


def _parted(word: str, flags: Mapping[str, str]) -> tuple[str, str | None]:
    """Return an option's flag and the value that is written with it: ``--name=5``, ``-n5`` or ``-n=5``."""
    said, sign, value = word.partition("=")
    # -epochs is no -e, and --batch_size, as Python calls it, is meant as --batch-size
    if word.startswith("--") or word[:2] not in flags or f"-{said}" in flags:
        return said.replace("_", "-"), value if sign else None
    return word[:2], word[2:].removeprefix("=") if len(word) > 2 else None


def options_by_name(command: type) -> dict[str, Option]:
    """Return all options of a command."""
    return {key: one for group in _groups(command).values() for key, one in group.items()}


def written_flags(name: str, one: Option) -> tuple[str, ...]:
    """Return how an option is written on a command line, the short form first; nothing for one without a flag.

    >>> written_flags("batch_size", Option(help="", kind=SWITCH, short="b"))
    ('-b', '--batch-size')
    """
    if one.positional:
        return ()
    return (*((f"-{one.short}",) if one.short else ()), _flag(name, one))


def _groups(command: type) -> dict[str, dict[str, Option]]:
    """Return a command's options by name: its own under ``""``, and those of each field that holds a group."""
    groups: dict[str, dict[str, Option]] = {"": {}}
    for field in dataclasses.fields(command):
        if "options" in field.metadata:
            groups[field.name] = dict(field.metadata["options"])
        else:
            groups[""][field.name] = field.metadata["option"]
    return groups


def usage_of(name: str, one: Option) -> str:
    """Return how a command's usage writes an option that has to be given.

    >>> usage_of("to", Option(help="", kind=Kind(str, "FORMAT")))
    '--to FORMAT'
    """
    return one.kind.metavar if one.positional else f"{_flag(name, one)} {one.kind.metavar}"


def _about_no_place(word: str, options: Mapping[str, Option], see: str) -> str:
    """Return what to say of a word without an option, with the option that it may be meant for."""
    meant = "samples" if word.isdecimal() and "samples" in options else "data"
    if meant in options and not options[meant].positional:
        return f"there is no place for '{word}'; did you mean {_flag(meant, options[meant])} {pasted(word)}? {see}"
    return f"there is no place for '{word}'; {see}"


def _about_unknown(said: str, options: Mapping[str, Option], flags: Mapping[str, str], see: str) -> str:
    places = {_flag(key, one): one for key, one in options.items() if one.positional}
    if said in places:
        return f"{place_name(places[said])} goes without '{said}'; {see}"
    return unknown_name("option", said, [flag for flag in flags if flag.startswith("--")])


def _is_flag(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and not _NEGATIVE_NUMBER.match(word)


def _flag(name: str, one: Option) -> str:
    return f"--{(one.flag or name).replace('_', '-')}"


def place_name(one: Option) -> str:
    """Return what stands for an option without a flag, or for its value."""
    return one.kind.metavar.split()[0]
