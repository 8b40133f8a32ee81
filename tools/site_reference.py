"""The reference's pages: of Python from the docstrings, of the command line from the options' declarations."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from typing import get_args

from site_pages import ROOT

from epochal.cli.arguments import options_by_name, written_flags
from epochal.cli.help_text import help_of, paragraphs
from epochal.cli.main import COMMANDS, find_command
from epochal.config.options import Option, Part, options_of
from epochal.config.train_config import TrainConfig
from epochal.words.catalogue import tell
from epochal.words.language import speaking
from epochal.words.phrases import translate


def python_pages(language: str) -> dict[str, str]:
    """Return a page of Markdown for each public package, by its file's name; mkdocstrings fills in the docstrings."""
    with speaking(language):
        return {f"python-{name.replace('.', '-')}.md": _package(name, language) for name in packages()}


def packages() -> list[str]:
    """Return the names of the public packages."""
    return list(_words()["packages"])


def _words() -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads((ROOT / "site" / "reference.toml").read_text(encoding="utf-8"))


def _package(name: str, language: str) -> str:
    """Return a package's page: what it is for, and each public name."""
    parts = [f"# {name}", _words()["packages"][name][language]]
    for public in public_names(name):
        parts.append(f"::: {name}.{public}")
        if f"{name}.{public}" == "epochal.TrainConfig":
            parts.append(_option_table(options_of(TrainConfig), language))
    return "\n\n".join(parts) + "\n"


def public_names(package: str) -> list[str]:
    """Return the names that a package or a module offers."""
    module = import_module(package)
    named = getattr(module, "__all__", None)
    if named is not None:
        return sorted(named)
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == package]
    return [name for name in own if not name.startswith("_")]


def command_page(language: str) -> str:
    """Return the page of all commands, with each option of each."""
    words = _words()["commands"]["page"], _words()["commands"]["always"]
    parts = [words[0][f"title_{language}"], words[0][language]]
    parts += [_command_list(language), words[1][language]]
    with speaking(language):
        parts += [_command(name, language) for name in COMMANDS]
    return "\n\n".join(parts) + "\n"


def _command_list(language: str) -> str:
    rows = [f"| [`epochal {name}`](#epochal-{name}) | {_cell(translate(about, language))} |"
            for name, about in COMMANDS.items()]  # fmt: skip
    return "\n".join([_header("command", "does", language), *rows])


def _command(name: str, language: str) -> str:
    """Return a command's section: what it does, how it is written, an example, and its options by part."""
    command = find_command(name)
    options = options_by_name(command)
    places = [one.kind.metavar if one.required else f"[{one.kind.metavar}]"
              for one in options.values() if one.positional]  # fmt: skip
    usage = tell("usage.command", words=" ".join(["epochal", name, *places])).partition("epochal")
    parts = [f"## epochal {name}", f"```sh\n{usage[1]}{usage[2]}\n```"]

    parts += [_paragraph(paragraph, language) for paragraph in paragraphs(command)]
    for part in get_args(Part):
        members = {key: one for key, one in options.items() if one.part == part}
        if members:
            parts += [f"**{translate(part, language)}**", _option_table(members, language, on_command_line=True)]
    return "\n\n".join(parts)


def _paragraph(text: str, language: str) -> str:
    """Return a paragraph of a command's docstring; an example is a block to copy."""
    example = re.fullmatch(r"Examples?: (epochal .+)", text)
    if example is None:
        return translate(text, language)
    return f"```sh\n{example[1]}\n```"


def _option_table(options: dict[str, Option], language: str, on_command_line: bool = False) -> str:
    rows = [_header("option", "meaning", language)]
    for name, one in options.items():
        written = _written(name, one) if on_command_line else f"`{name}`"
        rows.append(f"| {written} | {_cell(help_of(one))} |")
    return "\n".join(rows)


def _written(name: str, one: Option) -> str:
    if one.positional:
        return f"`{one.kind.metavar}`"
    metavar = f" {one.kind.metavar}" if one.kind.metavar else ""
    return f"`{', '.join(written_flags(name, one))}{metavar}`".replace("|", r"\|")


def _header(left: str, right: str, language: str) -> str:
    words = _words()["commands"]["table"]
    names = (left, right) if language == "en" else (words[left], words[right])
    return f"| {names[0]} | {names[1]} |\n| --- | --- |"


def _cell(text: str) -> str:
    """Return a text as a table's cell takes it: options and names as code, and nothing that would end the cell."""
    text = text.replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*")
    return re.sub(r"(?<![\w`])(--[a-z][a-z-]*)", r"`\1`", text)
