"""The entry point: from arguments to one command's dataclass, and from errors to a line or two and a status."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn, Protocol, runtime_checkable

from epochal.cli.signals import no_interrupt_lost
from epochal.errors import EpochalError, OptionError, unknown_name
from epochal.version import __version__

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


@runtime_checkable
class Command(Protocol):
    """A command's dataclass: its fields are the command's options."""

    def execute(self) -> int:
        """Do what the command is for and return the process's exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    _prepare_output()
    try:
        with no_interrupt_lost():
            status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()  # here, where its errors are caught
        return status
    except EpochalError as error:
        print(f"epochal: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("epochal: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader went away, as in `epochal runs | head`
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is not None:  # of a file, not of the output
            raise
        _discard_output()
        print(f"epochal: cannot write the output: {error.strerror}", file=sys.stderr)
        return 2


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"epochal {__version__}")
        return 0
    return _parse(arguments[0], arguments[1:]).execute()


def _prepare_output() -> None:
    """Let output that is closed go nowhere, and letters that its encoding lacks become ``?``."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _discard_output() -> None:
    """Let what is still in the buffer go nowhere, so that closing standard output does not complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
            "Start with: epochal train     Each command explains itself: epochal train --help",
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
        raise OptionError(_explain(event, name, kind))

    with tyro_errors.on_parse_error(refuse):
        command: Command = tyro.cli(
            kind,
            prog=f"epochal {name}",
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    return command


def _names(kind: Any, *, positional: bool) -> list[str]:
    """Return the names of a command's options or positional arguments, those of dataclasses inside it included."""
    names = []
    for field in dataclasses.fields(kind):
        if inner := field.metadata.get("config"):
            names.extend(_names(inner, positional=positional))
        elif str(field.type).startswith("Positional") is positional:
            names.append(f"--{field.name.replace('_', '-')}")
    return names


def _explain(event: Any, command: str, kind: Any) -> str:
    """Say in a line what tyro would put into a box; its event types may grow, so the last line takes any other."""
    see = f"see epochal {command} --help"
    match type(event).__name__:
        case "UnrecognizedArgs" if event.tokens[0].startswith("-"):
            option = event.tokens[0].split("=")[0]
            if option in _names(kind, positional=True):
                return f"{option[2:].upper()} goes without '{option}'; {see}"
            return unknown_name("option", option, _names(kind, positional=False))
        case "UnrecognizedArgs":
            return f"there is no place for '{event.tokens[0]}'; {see}"
        case "MissingArgs":
            missing = ", ".join(_name_of(item.arg) for item in event.missing_arguments)
            return f"{missing} is missing; {see}"
        case "InvalidChoice":
            choices = ", ".join(sorted(set(event.choices) - {"None"}))
            return f"{_name_of(event.argument)} must be one of {choices}, got '{event.value}'"
        case "BadValue":
            return f"{_name_of(event.argument)} needs a value; {see}"
        case "InstantiationFailure" if event.argument is not None:
            given = " ".join(re.findall(r"'([^']*)'", event.message.split("\n")[0]))
            return f"{_name_of(event.argument)} must be {_kind_of(event.argument)}, got '{given}'"
        case "InstantiationFailure":
            return " ".join(event.message.split())
        case _:
            return f"these arguments make no sense; {see}"


def _name_of(argument: Any) -> str:
    """Return an option as it is written, or a positional argument as the help shows it."""
    name = str(argument.lowered.name_or_flags[0])
    return name if name.startswith("-") else str(argument.lowered.metavar)


def _kind_of(argument: Any) -> str:
    kind = str(argument.field.type_stripped)
    if "tuple[int" in kind:
        return "one or more whole numbers"
    return "a number" if "float" in kind else "a whole number" if "int" in kind else "of another kind"
