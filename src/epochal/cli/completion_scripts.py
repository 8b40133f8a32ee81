"""Completion scripts for bash, zsh and fish, made from the declarations of all commands.

A script holds every word that it offers, so that a Tab starts no Python. Run folders and files are looked for by the
shell. Words of the language in which the script is printed explain them in zsh and fish.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from epochal.cli.arguments import COMMON, options_by_name, written_flags
from epochal.cli.help_text import help_of
from epochal.config.options import Option

_PLACES = ("RUN", "STUDY", "FILE", "FOLDER", "DATA")


@dataclass(frozen=True, slots=True)
class Value:
    """What an option takes, or a place without an option.

    Attributes:
        flags: how it is written; empty for a place.
        about: what it is.
        metavar: what stands for its value.
        takes: how many words of a command line: ``"none"``, ``"one"`` or ``"many"``.
        known: words that it may be.
        runs: whether it may be a run folder or a study.
        files: whether it may be a file or a folder.
    """

    flags: tuple[str, ...]
    about: str
    metavar: str
    takes: str
    known: tuple[str, ...]
    runs: bool
    files: bool

    @classmethod
    def of(cls, name: str, one: Option) -> Value:
        """Return what a declared option takes."""
        kind = one.kind
        places = set(re.findall("[A-Z]+", kind.metavar)) & set(_PLACES)
        known = kind.known
        if "DATA" in places:
            from epochal.data.registry import DATA_SETS

            known = (*known, *DATA_SETS)
        runs = bool(places & {"RUN", "STUDY"})
        return cls(written_flags(name, one), help_of(one), kind.metavar, kind.words, known, runs, bool(places))


@dataclass(frozen=True, slots=True)
class Completed:
    """A command: its name, what it does, its options, and its places in their order."""

    name: str
    about: str
    options: tuple[Value, ...]
    places: tuple[Value, ...]

    @classmethod
    def of(cls, name: str, about: str, command: type) -> Completed:
        """Return what can be completed of a command."""
        values = [Value.of(key, one) for key, one in {**options_by_name(command), **COMMON}.items()]
        options, places = ([v for v in values if bool(v.flags) is flagged] for flagged in (True, False))
        return cls(name, about, tuple(options), tuple(places))


# --- bash -----------------------------------------------------------------------------------------------------------

_BASH = """\
# Completion of epochal for bash:  eval "$(epochal completion bash)"

# Set what the value of an option is, or the place of a number: how many words, which words, and whether runs or files.
_epochal_value() {
    takes=one known= runs= files=
    case "$1 $2" in
@VALUES@
        *) return 1 ;;
    esac
}

_epochal_flags() {
    case "$1" in
@FLAGS@
    esac
}

_epochal_runs() {
    local found
    for found in runs/*/run.toml runs/*/study.toml */run.toml */study.toml "$1"*/run.toml "$1"*/study.toml \\
            "$1"*/*/run.toml "$1"*/*/study.toml; do
        [[ -e $found && ${found%/*} == "$1"* ]] && printf '%s\\n' "${found%/*}"
    done | sort -u
}

_epochal() {
    local current=${COMP_WORDS[COMP_CWORD]} command= option= word number=0 left=0 i
    local takes known runs files IFS=$' \\t\\n'
    COMPREPLY=()

    # which command it is, and whose value comes next
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == = ]]; then
            [[ -n $option ]] && left=1
        elif [[ $word == -* && ! $word =~ ^-\\.?[0-9] ]]; then
            option=$word left=1
            _epochal_value "$command" "$word" || takes=none
            [[ $takes == none ]] && left=0
            [[ $takes == many ]] && left=999
        elif ((left > 0)); then
            ((left -= 1))
        elif [[ -z $command ]]; then
            command=$word
        else
            ((number += 1))
        fi
    done
    [[ $current == = ]] && current=

    if [[ $current == -* && ! $current =~ ^-\\.?[0-9] ]]; then
        known=$(_epochal_flags "$command") runs= files=
    elif ((left > 0)); then
        _epochal_value "$command" "$option"
    elif [[ -z $command ]]; then
        known='@COMMANDS@' runs= files=
    elif ! _epochal_value "$command" $((number + 1)); then
        known=$(_epochal_flags "$command") runs= files=
    fi

    # of a list with commas the last entry is completed
    local before=
    if [[ -n $known && -z $runs && $current == *,* ]]; then
        before=${current%,*}, current=${current##*,}
    fi

    IFS=$'\\n'
    COMPREPLY=($(IFS=$' \\t\\n' && compgen -W "$known" -- "$current"))
    [[ -n $before ]] && COMPREPLY=("${COMPREPLY[@]/#/$before}")
    [[ -n $runs ]] && COMPREPLY+=($(_epochal_runs "$current"))
    if [[ -n $files && -z $before && ( -z $runs || ${#COMPREPLY[@]} -eq 0 ) ]]; then
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
    [[ -n $files$runs ]] && compopt -o filenames 2>/dev/null
    return 0
}

complete -F _epochal epochal
"""


def bash_script(commands: Sequence[Completed]) -> str:
    """Return the script for bash, from version 3.2 on."""
    values, flags = [], [f"        '') echo '{' '.join(_program_flags())}' ;;"]
    for command in commands:
        for value in command.options:
            patterns = "|".join(f"'{command.name} {flag}'" for flag in value.flags)
            values.append(f"        {patterns}) {_bash_value(value)} ;;")
        for number, value in enumerate(command.places, 1):
            # the last place may be given again and again
            pattern = f"'{command.name} '[0-9]*" if value.takes == "many" else f"'{command.name} {number}'"
            values.append(f"        {pattern}) {_bash_value(value)} ;;")
        said = " ".join(flag for value in command.options for flag in value.flags)
        flags.append(f"        {command.name}) echo '{said}' ;;")

    for value in (Value.of(name, one) for name, one in COMMON.items()):  # before any command
        values += [f"        ' {flag}') {_bash_value(value)} ;;" for flag in value.flags]
    names = " ".join(command.name for command in commands)
    script = _BASH.replace("@VALUES@", "\n".join(values)).replace("@FLAGS@", "\n".join(flags))
    return script.replace("@COMMANDS@", names)


def _bash_value(value: Value) -> str:
    parts = [f"takes={value.takes}"] if value.takes != "one" else []
    parts += [f"known={shlex.quote(' '.join(value.known))}"] if value.known else []
    parts += ["runs=1"] if value.runs else []
    parts += ["files=1"] if value.files else []
    return " ".join(parts) or ":"


def _program_flags() -> list[str]:
    return [*(flag for name, one in COMMON.items() for flag in written_flags(name, one)), "--version"]


# --- zsh ------------------------------------------------------------------------------------------------------------

_ZSH = """\
#compdef epochal
# Completion of epochal for zsh:  eval "$(epochal completion zsh)"

_epochal_runs() {
    local -a found
    found=(runs/*/(run|study).toml(N:h) */(run|study).toml(N:h))
    _wanted runs expl run compadd -a found || _files -/
}

_epochal_any() {
    _alternative "words:word:($argv)" 'files:file:_files'
}

_epochal() {
    local curcontext=$curcontext state line
    local -a commands
    _arguments -C '--lang[@LANG@]:language:(en zh)' '(-h --help)'{-h,--help}'[@HELP@]' '--version' \\
        '1:command:->command' '*::argument:->argument' && return 0
    case $state in
        command)
            commands=(
@COMMANDS@
            )
            _describe -t commands command commands ;;
        argument)
            case $line[1] in
@ARGUMENTS@
            esac ;;
    esac
}

compdef _epochal epochal
"""


def zsh_script(commands: Sequence[Completed]) -> str:
    """Return the script for zsh."""
    names = [f"                {_zsh_quoted(f'{one.name}:{one.about}')}" for one in commands]
    arguments = []
    for command in commands:
        specs = [spec for value in command.options for spec in _zsh_option(value)]
        for number, value in enumerate(command.places, 1):
            place = "*" if value.takes == "many" else str(number)
            specs.append(_zsh_quoted(f"{place}:{_zsh_text(value.metavar)}:{_zsh_action(value)}"))
        lines = " \\\n".join(f"                    {spec}" for spec in specs)
        arguments.append(f"                {command.name}) _arguments -s \\\n{lines} ;;")

    script = _ZSH.replace("@COMMANDS@", "\n".join(names)).replace("@ARGUMENTS@", "\n".join(arguments))
    for name, one in COMMON.items():
        script = script.replace(f"@{name.upper()}@", _zsh_text(help_of(one)).replace("'", "'\\''"))
    return script


def _zsh_option(value: Value) -> list[str]:
    """Return an option's specifications: short and long exclude each other."""
    others, about = f"({' '.join(value.flags)})", f"[{_zsh_text(value.about)}]"
    if value.takes == "none":
        return [_zsh_quoted(f"{others}{flag}{about}") for flag in value.flags]
    # several values go to the next option, which `:*-*:` says in zsh
    several = "*-*" if value.takes == "many" else ""
    takes = f":{several}{':' if several else ''}{_zsh_text(value.metavar)}:{_zsh_action(value)}"
    return [_zsh_quoted(f"{others}{flag}{'=' if flag[:2] == '--' else '+'}{about}{takes}") for flag in value.flags]


def _zsh_action(value: Value) -> str:
    """Return how zsh completes a value."""
    words = " ".join(value.known)
    if value.runs:
        return "_epochal_runs"
    if value.files and words:
        return f" _epochal_any {words}"  # a leading space keeps zsh from adding arguments of its own
    if value.files:
        return "_files"
    return f"({words})" if words else " "


def _zsh_text(text: str) -> str:
    """Return a text with the signs escaped that part a specification."""
    return re.sub(r"([\\\[\]:])", r"\\\1", text)


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- fish -----------------------------------------------------------------------------------------------------------

_FISH = """\
# Completion of epochal for fish:  epochal completion fish | source

function __epochal_runs
    for found in runs/*/run.toml runs/*/study.toml */run.toml */study.toml
        path dirname $found 2>/dev/null; or string replace -r '/[^/]*$' '' $found
    end | sort -u
end

complete -c epochal -f
"""


def fish_script(commands: Sequence[Completed]) -> str:
    """Return the script for fish."""
    names = " ".join(command.name for command in commands)
    none_yet = f"-n 'not __fish_seen_subcommand_from {names}'"
    lines = [f"complete -c epochal {none_yet} -a {one.name} -d {_fish_quoted(one.about)}" for one in commands]
    lines += [_fish_option(none_yet, Value.of(name, one)) for name, one in COMMON.items()]
    for command in commands:
        seen = f"-n '__fish_seen_subcommand_from {command.name}'"
        lines += [_fish_option(seen, value) for value in command.options]
        lines += [f"complete -c epochal {seen} {_fish_takes(value)}" for value in command.places]
    return _FISH + "\n".join(lines) + "\n"


def _fish_option(when: str, value: Value) -> str:
    flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in value.flags)
    takes = "" if value.takes == "none" else f" -r {_fish_takes(value)}"
    return f"complete -c epochal {when} {flags}{takes} -d {_fish_quoted(value.about)}"


def _fish_takes(value: Value) -> str:
    """Return the options of ``complete`` for a value: files or none, and the words that it may be."""
    words = [*value.known, *(["(__epochal_runs)"] if value.runs else [])]
    return " ".join(["-F" if value.files else "-f", *([f"-a {_fish_quoted(' '.join(words))}"] if words else [])])


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: Final[Mapping[str, Callable[[Sequence[Completed]], str]]] = MappingProxyType(
    {"bash": bash_script, "zsh": zsh_script, "fish": fish_script}
)
"""What makes the script of each shell."""
