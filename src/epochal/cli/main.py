"""The entry point: from arguments to one command's dataclass, and from errors to a line or two and a status."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn, Protocol

from epochal import __version__
from epochal.errors import EpochalError, OptionError, unknown_name

COMMANDS = {
    "plan": "the arithmetic of a training, before it",
    "train": "train a model",
    "resume": "go on with a run where it was stopped or killed",
    "rerun": "repeat a run and compare the bits of its weights",
    "compare": "train side by side: batch sizes, models, optimizers, rates, seeds",
    "evaluate": "evaluate a run's model, each sample once",
    "predict": "apply a run's model to files",
    "show": "describe a run",
    "runs": "list runs",
    "report": "runs or a study as one page that works offline, or followed live",
    "data": "list, download and describe data sets",
}


class Command(Protocol):
    """A command's dataclass: its fields are the command's options."""

    def execute(self) -> int:
        """Do what the command is for and return the process's exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            print(_help())
            return 0
        if arguments[0] in ("-V", "--version"):
            print(f"epochal {__version__}")
            return 0
        return _parse(arguments[0], arguments[1:]).execute()
    except EpochalError as error:
        print(f"epochal: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("epochal: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # the reader went away, as in `epochal runs | head`; closing standard output must not complain about it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _help() -> str:
    lines = [f"  {name:10} {about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "usage: epochal COMMAND …",
            "",
            "Train neural networks in exact epochs, batches and iterations.",
            "",
            *lines,
            "",
            "Start with: epochal train          Each command explains itself: epochal train --help",
        ]
    )


def _parse(name: str, arguments: list[str]) -> Command:
    """Import the one command that is meant, and build its dataclass from the arguments."""
    if name not in COMMANDS:
        raise OptionError(unknown_name("command", name, COMMANDS))
    import tyro
    from tyro import _errors as tyro_errors

    kind = getattr(import_module(f"epochal.cli.{name}"), f"{name.title()}Command")

    def refuse(event: Any) -> NoReturn:
        raise OptionError(_explain(event, name, _options(kind)))

    with tyro_errors.on_parse_error(refuse):
        command: Command = tyro.cli(
            kind,
            prog=f"epochal {name}",
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    return command


def _options(kind: Any) -> list[str]:
    """Return the names of a command's options, those of dataclasses inside it included."""
    names = []
    for field in dataclasses.fields(kind):
        inner = field.metadata.get("config")
        names.extend(_options(inner) if inner else [f"--{field.name.replace('_', '-')}"])
    return names


def _explain(event: Any, command: str, options: list[str]) -> str:
    """Say in a line what tyro would put into a box; its event types may grow, so the last line takes any other."""
    see = f"see epochal {command} --help"
    match type(event).__name__:
        case "UnrecognizedArgs" if event.tokens[0].startswith("-"):
            return f"{unknown_name('option', event.tokens[0].split('=')[0], options)}"
        case "UnrecognizedArgs":
            return f"there is no place for '{event.tokens[0]}'; {see}"
        case "MissingArgs":
            missing = ", ".join(str(item.arg.lowered.name_or_flags[0]) for item in event.missing_arguments)
            return f"{missing} is missing; {see}"
        case "InvalidChoice":
            return f"{_name_of(event)} must be one of {', '.join(event.choices)}, got '{event.value}'"
        case "BadValue":
            return f"{_name_of(event)} needs a value; {see}"
        case _:
            reason = " ".join(str(getattr(event, "message", "these arguments make no sense")).split())
            return f"{reason}; {see}"


def _name_of(event: Any) -> str:
    return str(event.argument.lowered.name_or_flags[0])
