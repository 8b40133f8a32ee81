"""Completion: what real shells offer for a line, which is what the commands declare."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from terminal import EPOCHAL, environment, succeed

from epochal.cli.arguments import options_by_name, written_flags
from epochal.cli.completion_scripts import SHELLS
from epochal.cli.main import COMMANDS, find_command
from epochal.data.registry import DATA_SETS

OPTIMIZERS = {"sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion", "adafactor"}


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scripts")
    for shell in SHELLS:
        (folder / shell).write_text(succeed("completion", shell).out)
    return {shell: folder / shell for shell in SHELLS}


def needs(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"needs {shell}")
    return found


def in_bash(script: Path, line: str) -> set[str]:
    """What bash offers at the line's end; it parts words at ``=``, as readline does."""
    words = [word for word in re.split(r" +|(=)", line) if word]
    if line.endswith((" ", "=")):
        words.append("" if line.endswith(" ") else "=")
    if line.endswith("="):
        words.pop()
    code = f'source "{script}"; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _epochal; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        [needs("bash"), "--norc", "-c", code, "bash", *words], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return set(done.stdout.split("\n")) - {""}


def in_fish(script: Path, line: str) -> set[str]:
    code = f"source {script}; complete -C '{line}'"
    done = subprocess.run(
        [needs("fish"), "--no-config", "-c", code],
        capture_output=True, text=True, check=True, env=environment(HOME=str(Path.cwd())),
    )  # fmt: skip
    assert done.stderr == ""
    return {one.split("\t")[0] for one in done.stdout.splitlines()}


def typed(shell: list[str], begin: str, line: str, ready: str = "READY") -> str:
    """What an interactive shell shows after a line and two Tabs; ``begin`` is run before and says that it is ready."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shell, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=environment(TERM="dumb", COLUMNS="200", LINES="60", HOME=str(Path.cwd()), PS1="> "),
    )  # fmt: skip
    os.close(theirs)

    def read(quiet: float, until: str = "", limit: float = 20) -> str:
        said, end = "", time.monotonic() + limit
        while time.monotonic() < end:
            if select.select([ours], [], [], quiet)[0]:
                said += os.read(ours, 65536).decode(errors="replace")
            elif until in said:
                break
        return said

    try:
        os.write(ours, begin.encode() + b"\n")
        read(0.3, until=f"\n{ready}")
        os.write(ours, line.encode())
        return read(0.7)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


LINES: list[tuple[str, set[str], set[str]]] = [
    ("epochal tr", {"train"}, {"plan"}),
    ("epochal plan --sam", {"--samples"}, {"--batch-size"}),
    ("epochal train --optimizer ad", {"adam", "adamw", "adagrad", "adafactor"}, {"sgd"}),
    ("epochal train --optimizer ", OPTIMIZERS, {"mlp"}),
    ("epochal train -m ", {"linear", "mlp", "cnn", "lenet", "rnn"}, {"adam"}),
    ("epochal train ", set(DATA_SETS), {"adam"}),
    ("epochal train digits --last ", {"keep", "drop"}, {"mlp"}),
    ("epochal train --epochs 3 di", {"digits", "digits-60k"}, {"drop"}),
    ("epochal train --lang ", {"en", "zh"}, {"mlp"}),
    ("epochal resume ", {"runs/digits-mlp-1"}, {"runs/nothing"}),
    ("epochal evaluate runs/my", set(), {"runs/digits-mlp-1"}),
    ("epochal export runs/digits-mlp-1 --to on", {"onnx"}, {"numpy"}),
    ("epochal completion ", {"bash", "zsh", "fish"}, {"mlp"}),
]


def fill() -> None:
    for name in ("digits-mlp-1", "我的数据-mlp-1"):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "run.toml").touch()
    Path("runs/nothing").mkdir()


@pytest.mark.parametrize(("line", "offered", "not_offered"), LINES)
def test_bash_offers_what_fits(line: str, offered: set[str], not_offered: set[str], scripts: dict[str, Path]) -> None:
    fill()
    found = in_bash(scripts["bash"], line)
    assert offered <= found
    assert not_offered.isdisjoint(found)


@pytest.mark.parametrize(("line", "offered", "not_offered"), LINES)
def test_fish_offers_what_fits(line: str, offered: set[str], not_offered: set[str], scripts: dict[str, Path]) -> None:
    fill()
    found = in_fish(scripts["fish"], line)
    assert offered <= found
    assert not_offered.isdisjoint(found)


ZSH = 'PROMPT="> "; autoload -Uz compinit; compinit -D -u; LISTMAX=1000; source {script}; echo; echo READY'


@pytest.mark.parametrize(("line", "offered", "not_offered"), LINES)
def test_zsh_offers_what_fits(line: str, offered: set[str], not_offered: set[str], scripts: dict[str, Path]) -> None:
    fill()
    shown = typed([needs("zsh"), "-f", "-i"], ZSH.format(script=scripts["zsh"]), line + "\t\t")
    found = set(re.split(r"[\s]+", shown.replace("\x07", "").replace("\b", "")))
    assert {one for one in offered if one not in found and f"{line.rsplit(' ', 1)[0]} {one}" not in shown} == set()
    assert not_offered.isdisjoint(found - set(line.split()))


def test_bash_completes_when_tab_is_pressed(scripts: dict[str, Path]) -> None:
    shown = typed([needs("bash"), "--norc", "-i"], f"source {scripts['bash']}; echo; echo READY", "epochal compl\t")
    assert "epochal completion " in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command_is_offered(command: str, scripts: dict[str, Path]) -> None:
    flags = {flag for name, one in options_by_name(find_command(command)).items() for flag in written_flags(name, one)}
    assert in_bash(scripts["bash"], f"epochal {command} -") == flags | {"--lang", "--help", "-h"}


def test_bash_knows_which_word_belongs_to_what(scripts: dict[str, Path]) -> None:
    Path("data file.csv").touch()
    script = scripts["bash"]
    assert in_bash(script, "epochal train --optimizer=ada") == {"adam", "adamw", "adagrad", "adafactor"} - {""}
    assert in_bash(script, "epochal compare --model=") >= {"linear", "mlp"}
    assert in_bash(script, "epochal compare --model mlp,c") == {"mlp,cnn"}
    assert in_bash(script, "epochal train --metrics f1 rec") == {"recall"}
    assert in_bash(script, "epochal train --json dig") == {"digits", "digits-60k"}, "a switch takes no word"
    assert in_bash(script, "epochal train --lr -0.5 dig") == {"digits", "digits-60k"}, "a negative number is a value"
    assert in_bash(script, "epochal train data") == {"data file.csv"}
    assert in_bash(script, "epochal plan digits") == set()


def test_a_script_is_printed_without_anything_heavy() -> None:
    code = "import sys; from epochal.cli import main; main(['completion', 'zsh']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert set(done.stderr.split()).isdisjoint({"jax", "numpy", "scipy", "sklearn"})


def test_a_shell_explains_in_the_users_language() -> None:
    assert "训练一个模型" in succeed("completion", "fish", "--lang", "zh").out
    assert "train a model" in succeed("completion", "fish").out


def test_an_unknown_shell_is_refused() -> None:
    done = subprocess.run([EPOCHAL, "completion", "tcsh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "must be one of bash, zsh, fish" in done.stderr
