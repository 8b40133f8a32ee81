"""The entry point: help, exit statuses, and output that is closed, full, narrow or of another encoding."""

from __future__ import annotations

import json
import os
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import EPOCHAL, environment, epochal, in_terminal, lines_of, succeed

from epochal import __version__
from epochal.cli import main as run_in_process
from epochal.cli.arguments import options_by_name
from epochal.cli.main import COMMANDS, find_command
from epochal.words.layout import cells

NO_RESULTS = ("completion", "report", "learn")
SERVERS = ("learn",)  # which run until they are stopped
PLAN = ("plan", "--samples", "60000", "--batch-size", "100", "--iterations", "30000")


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("help",)])
def test_help_lists_every_command(arguments: tuple[str, ...]) -> None:
    out = succeed(*arguments).out
    for name, about in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(about)}$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 80


def test_alone_it_welcomes_with_three_things_to_try() -> None:
    out = succeed().out
    commands = [line.strip() for line in out.splitlines() if line.startswith("  epochal ")]
    assert len(commands) == 3
    assert len(out.splitlines()) < 24, "all of it is seen at once"
    assert "epochal --help" in out


def test_what_the_welcome_suggests_works_as_it_stands(tmp_path: Path) -> None:
    lines = [line.strip() for line in succeed().out.splitlines() if line.startswith("  epochal ")]
    for line in lines:
        if shlex.split(line)[1] not in SERVERS:
            assert succeed(*shlex.split(line)[1:], cwd=tmp_path).out


@pytest.mark.parametrize("arguments", [("help", "train"), ("train", "-h"), ("train", "--help"), ("train", "x", "-h")])
def test_a_commands_help_has_several_names(arguments: tuple[str, ...]) -> None:
    assert succeed(*arguments).out.startswith("usage: epochal train [DATA] [options]")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    out = succeed(command, "--help").out
    assert f"usage: epochal {command}" in out
    assert f"Example: epochal {command}" in out
    assert "--json" in out or command in NO_RESULTS, "what prints results prints JSON too"
    assert "--lang en|zh" in out
    assert "-h, --help" in out


def test_version() -> None:
    assert succeed("--version").out == f"epochal {__version__}\n"


# --- a light start --------------------------------------------------------------------------------------------------

HEAVY = ("jax", "numpy", "scipy", "sklearn", "optax", "typeguard")


@pytest.mark.parametrize("arguments", [(), ("--help",), PLAN, ("plan", "--help"), ("plan", "--data", "mnist")])
def test_help_and_plan_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = f"import sys; from epochal.cli import main; main({arguments!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert set(done.stderr.split()).isdisjoint(HEAVY)


def test_a_training_would_import_them() -> None:
    """The control: the list of modules above does tell."""
    code = "import sys; import epochal.engine; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert {"jax", "numpy", "optax"} <= set(done.stdout.split())


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--help", "--lang", "zh"), PLAN, ("completion", "bash")])
def test_help_and_plan_answer_at_once(arguments: tuple[str, ...]) -> None:
    """Below 0.3 s, the median of five. It waits for nothing, so its own processor time is what a user waits where the
    machine does nothing else; and a busy machine, which slows that too, gets several chances."""

    def seconds() -> float:
        process = subprocess.Popen([EPOCHAL, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_utime + usage.ru_stime

    assert any(statistics.median(seconds() for _ in range(5)) < 0.3 for _ in range(6))


# --- output ---------------------------------------------------------------------------------------------------------


def shell(command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $epochal is the command."""
    return subprocess.run(
        ["bash", "-c", command],
        env=environment(epochal=EPOCHAL, **more),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
    )


OUTPUTS = ["--help", "plan --samples 60000", "plan --samples 60000 --json"]


@pytest.mark.parametrize("arguments", OUTPUTS)
def test_a_reader_that_goes_away_is_no_error(arguments: str) -> None:
    """The status is the one of every tool that a closed pipe ends: 128 + SIGPIPE."""
    done = shell(f'"$epochal" {arguments} | true; exit ${{PIPESTATUS[0]}}')
    assert (done.returncode, done.stderr) in ((141, ""), (0, "")), "0 where all was written before the reader left"


def test_a_reader_that_is_already_gone_is_noticed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([EPOCHAL, *PLAN], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a device without space")
@pytest.mark.parametrize("arguments", OUTPUTS)
def test_output_without_space_is_said_in_a_line(arguments: str) -> None:
    done = shell(f'"$epochal" {arguments} > /dev/full')
    assert done.returncode == 2
    assert done.stderr == "epochal: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("command", ["show", "resume", "evaluate", "report", "predict x.csv", "data verify"])
def test_a_name_that_no_disk_holds_is_said_in_a_line(command: str) -> None:
    done = shell(f'"$epochal" {command} {"a" * 5000}')
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 12_000


@pytest.mark.parametrize("arguments", OUTPUTS)
def test_closed_output_is_no_error(arguments: str) -> None:
    done = shell(f'"$epochal" {arguments} >&-')
    assert (done.returncode, done.stderr) == (0, "")


def test_errors_keep_their_status_where_nobody_sees_them() -> None:
    assert shell('"$epochal" plann 2>&-').returncode == 2


@pytest.mark.parametrize("arguments", OUTPUTS)
def test_output_in_another_encoding_loses_letters_not_the_answer(arguments: str) -> None:
    done = shell(f'"$epochal" {arguments}', PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


def test_an_argument_in_another_encoding_is_quoted_as_far_as_it_can_be() -> None:
    done = shell('"$epochal" plan --samples ½', PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (2, "epochal: --samples must be a whole number, got '?'\n")


# --- widths ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        lambda columns: lines_of(in_terminal(*PLAN, columns=columns)[1]),
        lambda columns: epochal(*PLAN, COLUMNS=str(columns)).out.splitlines(),
    ],
    ids=["terminal", "pipe"],
)
@pytest.mark.parametrize("columns", [40, 80])
def test_the_plan_fits_any_width(columns: int, written: Callable[[int], list[str]]) -> None:
    lines = written(columns)
    assert max(len(line.rstrip()) for line in lines) <= columns
    text = "\n".join(lines)
    for count in ("60,000", "100", "600", "30,000", "50", "6,000", "3,000,000"):
        assert re.search(rf"(?<![\d,]){count}(?![\d,])", text), "no number is cut or folded"


WIDTHS = (0, 1, 20, 40, 60)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("columns", WIDTHS)
def test_help_and_plan_lose_nothing_at_any_width(
    columns: int, language: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At COLUMNS=0, which says nothing, they are as wide as 80; below 20 as wide as 20; and every letter is there."""
    written = {}
    for width in (columns, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        for arguments in ([], ["-h"], *([name, "-h"] for name in COMMANDS), list(PLAN)):
            assert run_in_process([*arguments, "--lang", language]) == 0
            written[width, tuple(arguments)] = capsys.readouterr().out

    limit = max(20, columns) if columns else 80
    for (width, arguments), out in written.items():
        if width == columns and columns < 80:
            # a command to paste stays in one piece
            lines = (line.rstrip() for line in out.splitlines() if not line.startswith("  epochal "))
            assert max(map(cells, lines)) <= limit, out
        if arguments != PLAN:  # whose table becomes a list
            assert re.sub(r"\s", "", out) == re.sub(r"\s", "", written[80, arguments])
        else:
            assert {"60,000", "30,000", "3,000,000", "6,000", "600", "50"} <= set(re.findall(r"[\d,]+\d", out))


@pytest.mark.parametrize("columns", [0, 20])
def test_a_terminal_of_any_width_is_written_to(columns: int) -> None:
    status, written = in_terminal(
        "train", "--model", "linear", "--epochs", "2", "--run", f"run-{columns}", columns=columns
    )
    assert status == 0
    assert "Traceback" not in written
    assert "14,370" not in written
    assert "2,874" in written, "the samples used"


def test_a_pipe_has_80_columns_where_nobody_says_otherwise() -> None:
    assert max(len(line.rstrip()) for line in epochal(*PLAN).out.splitlines()) <= 80


def test_colours_are_for_terminals() -> None:
    assert "\x1b[" not in epochal(*PLAN).out
    assert "\x1b[" in in_terminal(*PLAN, columns=80)[1]


# --- short options ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["-b 100 -e 3", "-b100 -e3", "-b=100 -e=3", "--batch-size 100 --epochs=3"])
def test_options_have_short_forms(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_in_process(["plan", "--samples", "1437", *written.split(), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["batch_size"], facts["full_epochs"]) == (100, 3)


def test_the_five_most_used_options_have_short_forms() -> None:
    short = {one.short: name for name, one in options_by_name(find_command("train")).items() if one.short}
    assert short == {"b": "batch_size", "e": "epochs", "i": "iterations", "m": "model", "l": "lr"}
    assert "-b, --batch-size B" in succeed("train", "-h").out


def test_a_negative_number_is_a_value() -> None:
    answer = epochal("train", "--lr", "-0.5")
    assert "--lr must be a finite number above 0, got '-0.5'" in answer.err
    answer = epochal("train", "-l-.5")
    assert "-l must be a finite number above 0, got '-.5'" in answer.err


# --- in process -----------------------------------------------------------------------------------------------------


def test_main_returns_the_status_instead_of_leaving(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_in_process(["plan", "--samples", "10", "--batch-size", "5"]) == 0
    assert run_in_process(["plan", "--samples", "10", "--batch-size", "50"]) == 2
    assert capsys.readouterr().err.startswith("epochal: batch size 50 is above")


def test_ctrl_c_before_training_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("epochal.cli.plan.print_plan", interrupted)
    assert run_in_process(["plan", "--samples", "10"]) == 130
    assert capsys.readouterr().err == "epochal: interrupted\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the user can mend becomes a line; anything else must be seen whole."""

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("epochal.cli.plan.print_plan", broken)
    with pytest.raises(ZeroDivisionError):
        run_in_process(["plan", "--samples", "10"])
    monkeypatch.setattr("epochal.cli.plan.print_plan", lambda *arguments: Path("/no/such/file").read_text())
    with pytest.raises(FileNotFoundError):
        run_in_process(["plan", "--samples", "10"])
