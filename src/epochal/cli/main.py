"""The entry point: from arguments to one command's dataclass, and from errors to a line or two and a status."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, runtime_checkable

from epochal.cli.alterations import alterations_told
from epochal.cli.early import few_collections
from epochal.cli.signals import no_interrupt_lost
from epochal.cli.supervised import end_with_supervisor
from epochal.config.options import choice
from epochal.counts import shortened
from epochal.errors import EpochalError, OptionError, spent_memory, unknown_name
from epochal.version import __version__
from epochal.words.language import LANGUAGES, speaking
from epochal.words.phrases import translate
from epochal.words.plain_text import print_plain

_ALONE = ("--help", "--version", "--lang")  # without a command
_LONGEST_NAME = 400
_OF_A_NAME = (errno.ENAMETOOLONG, errno.ELOOP)  # what no disk holds, whatever asks for it
_SIGPIPE = 13  # which Windows does not name

COMMANDS = {
    "plan": "compute epochs, batches and iterations before training",
    "train": "train a model",
    "resume": "continue a stopped or killed run",
    "rerun": "repeat a run and check that its weights are bit-identical",
    "compare": "train side by side: batch sizes, models, optimizers, rates, seeds",
    "batch-size": "say which batch size to use, with evidence",
    "evaluate": "evaluate a run's model, each sample once",
    "predict": "apply a run's model to files",
    "show": "describe a run",
    "runs": "list runs",
    "export": "write a run's model for other programs: StableHLO, ONNX, NumPy …",
    "learn": "see it: one step at a time, on a page",
    "lesson": "ask a question, and let trainings answer it",
    "report": "write a self-contained HTML report, or serve it live",
    "data": "list, download and describe data sets",
    "completion": "complete commands, options and names in your shell with Tab",
}

SUBCOMMANDS = {
    "data pack": "pack a data set, of any size, for training from the disk",
    "data verify": "check every row of a pack",
}
"""Commands of two words; a file of such a name is given as ./pack."""


@runtime_checkable
class Command(Protocol):
    """A command's dataclass: its fields are the command's options."""

    def execute(self) -> int:
        """Do what the command is for and return the process's exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for what the user can fix, 130 after Ctrl-C."""
    end_with_supervisor()
    _prepare_output()
    words, language = _take_language(list(sys.argv[1:] if argv is None else argv))
    with speaking(language if language in LANGUAGES else None), few_collections():
        return _status_of(words, language)


def _status_of(words: list[str], language: str | None) -> int:
    try:
        with no_interrupt_lost(), alterations_told():
            if language is not None:
                choice(*LANGUAGES).read("--lang", language)
            status = _run(words)
        sys.stdout.flush()  # here, where its errors are caught
        return status
    # what the user can fix
    except EpochalError as error:
        print_plain(f"epochal: {_in_one_piece(translate(str(error)))}", is_error=True)
        return 2

    except (MemoryError, RuntimeError) as error:  # JAX's is of the second kind
        spent = spent_memory(error)
        if spent is None:
            raise
        print_plain(f"epochal: {translate(str(spent))}", is_error=True)
        return 2

    except KeyboardInterrupt:
        print_plain(f"epochal: {translate('interrupted')}", is_error=True)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader went away, as in `epochal runs | head`
        _discard_output()
        return 128 + _SIGPIPE
    # after BrokenPipeError, which is one
    except OSError as error:
        if error.filename is not None:  # of a file, not of the output
            if error.errno not in _OF_A_NAME:
                raise
            name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(error.filename)
            name = name if len(name) <= _LONGEST_NAME else shortened(name)
            message = f"cannot use {name}: {error.strerror}"
            print_plain(f"epochal: {translate(message)}", is_error=True)
            return 2

        _discard_output()
        print_plain(f"epochal: {translate(f'cannot write the output: {error.strerror}')}", is_error=True)
        return 2


def _in_one_piece(message: str) -> str:
    """Indent what follows the first line: a name that holds a newline cannot look like a message of its own."""
    return re.sub(r"\n(?! )", "\n  ", message)


def _run(arguments: list[str]) -> int:
    if not arguments:
        from epochal.cli.help_text import welcome

        print(welcome(COMMANDS))
        return 0

    if arguments[0] in ("-h", "--help", "help"):
        from epochal.cli.help_text import commands_help, explain

        named = [word for word in arguments[1:] if not word.startswith("-")][:1]
        print(explain(find_command(named[0]), named[0]) if named else commands_help(COMMANDS))
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"epochal {__version__}")
        return 0

    from epochal.cli.arguments import parse

    name, words = _named(arguments)
    command = find_command(name)
    if "--help" in words or "-h" in words:
        from epochal.cli.help_text import explain

        print(explain(command, name))
        return 0
    return parse(command, name, words).execute()


def _named(arguments: list[str]) -> tuple[str, list[str]]:
    """Return a command's name, of one word or two, and its words. Raises `OptionError` for a second word of none."""
    both = " ".join(arguments[:2])
    if both in SUBCOMMANDS:
        return both, arguments[2:]
    name, *words = arguments
    seconds = [one.partition(" ")[2] for one in SUBCOMMANDS if one.partition(" ")[0] == name]
    places = [word for word in words[:2] if not word.startswith("-")]
    if seconds and len(places) == 2 and not os.path.exists(places[0]):
        raise OptionError(
            f"{unknown_name(f'command of epochal {name}', places[0], seconds)}; see epochal {name} --help"
        )
    return name, words


def _take_language(words: list[str]) -> tuple[list[str], str | None]:
    """Return a command line without ``--lang``, which every command has, and the language that it names."""
    left, language = [], None
    rest = iter(words)
    for word in rest:
        if word == "--lang":
            language = next(rest, "")
        elif word.startswith("--lang="):
            language = word.removeprefix("--lang=")
        else:
            left.append(word)
    return left, language


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


def find_command(name: str) -> type[Command]:
    """Import the one command of this name. Raises `OptionError` for an unknown name."""
    if name.startswith("-"):
        raise OptionError(unknown_name("option", name, _ALONE))
    if name not in COMMANDS and name not in SUBCOMMANDS:
        raise OptionError(unknown_name("command", name, COMMANDS))
    words = name.replace("-", " ")
    module, kind = words.replace(" ", "_"), words.title().replace(" ", "")
    command: type[Command] = getattr(import_module(f"epochal.cli.{module}"), f"{kind}Command")
    return command
