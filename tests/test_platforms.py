"""Other platforms, as far as this one can pretend: without `fcntl`, `os.pwrite` and what else Windows lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from little import save_little_data

ELSEWHERE = """
import os, sys
sys.modules["fcntl"] = None
for name in ("pwrite", "sched_getaffinity", "getuid", "O_NOFOLLOW", "O_NONBLOCK", "sysconf"):
    if hasattr(os, name):
        delattr(os, name)

open_file = os.open
def open_no_folder(path, *arguments, **named):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return open_file(path, *arguments, **named)
os.open = open_no_folder

import epochal.files
epochal.files._CAN_SYNC_FOLDERS = False
from epochal.cli import main
"""


def elsewhere(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a process that pretends to be on another platform."""
    words = [sys.executable, "-c", ELSEWHERE + code, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


def test_training_resuming_and_showing(tmp_path: Path) -> None:
    data, run = save_little_data(tmp_path / "little.npz"), tmp_path / "run"
    command = "sys.exit(main(sys.argv[1:]))"
    trained = elsewhere(command, "train", data, "--model", "linear", "--epochs", 2, "--run", run)
    assert trained.returncode == 0, trained.stderr
    resumed = elsewhere(command, "resume", run, "--epochs", 4)
    assert resumed.returncode == 0, resumed.stderr
    shown = elsewhere(command, "show", run, "--json")
    assert shown.returncode == 0, shown.stderr
    described = json.loads(shown.stdout)
    assert (described["status"], described["position"]["epoch"]) == ("finished", 4)
    assert elsewhere(command, "runs", tmp_path).returncode == 0
    assert elsewhere(command, "report", run).returncode == 0

    here = subprocess.run(
        [sys.executable, "-m", "epochal", "rerun", str(run), "--json"],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert json.loads(here.stdout)["same_bits"], "and the weights are those of this platform"


def test_a_second_process_is_refused_there_too(tmp_path: Path) -> None:
    """By `filelock`; without the system's locks it can only leave a file, which a killed process does not remove."""
    code = """
from pathlib import Path
import subprocess
from epochal.lock import is_locked, locked
path = Path(sys.argv[1])
with locked(path):
    assert is_locked(path)
    if len(sys.argv) == 2:
        second = [sys.executable, "-c", sys.orig_argv[2], str(path), "second"]
        print(subprocess.run(second, capture_output=True, text=True).stderr)
assert not is_locked(path)
"""
    answer = elsewhere(code, tmp_path / "run.lock")
    assert answer.returncode == 0, answer.stderr
    assert "is in use by process" in answer.stdout
    assert elsewhere(code, tmp_path / "run.lock").returncode == 0, "and free afterwards"


def test_a_run_in_use_is_not_resumed_there_either(tmp_path: Path) -> None:
    data, run = save_little_data(tmp_path / "little.npz"), tmp_path / "run"
    trained = elsewhere("sys.exit(main(sys.argv[1:]))", "train", data, "--model", "linear", "--epochs", 2, "--run", run)
    assert trained.returncode == 0, trained.stderr
    code = """
from pathlib import Path
import subprocess
from epochal.lock import locked
with locked(Path(sys.argv[1]) / "run.lock"):
    words = [sys.executable, "-c", ELSEWHERE + "sys.exit(main(sys.argv[1:]))", "resume", sys.argv[1], "--epochs", "4"]
    second = subprocess.run(words, capture_output=True, text=True)
print(second.returncode, second.stderr)
"""
    answer = elsewhere(f"ELSEWHERE = {ELSEWHERE!r}\n{code}", run)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("2 ")
    assert "is in use by process" in answer.stdout
    resumed = elsewhere("sys.exit(main(sys.argv[1:]))", "resume", run, "--epochs", 4)
    assert resumed.returncode == 0, resumed.stderr


def test_a_link_under_the_locks_name_is_refused_there_too(tmp_path: Path) -> None:
    """Where the system cannot refuse it on opening, it is looked for before."""
    victim, lock = tmp_path / "victim", tmp_path / "run" / "run.lock"
    victim.write_text("precious")
    lock.parent.mkdir()
    lock.symlink_to(victim)
    code = """
from pathlib import Path
from epochal.lock import locked
with locked(Path(sys.argv[1])):
    pass
"""
    answer = elsewhere(code, lock)
    assert "run.lock is a symbolic link" in answer.stderr
    assert victim.read_text() == "precious"


def test_nothing_of_the_command_line_needs_what_windows_lacks() -> None:
    answer = elsewhere("sys.exit(main(['plan', '--samples', '10', '--json']))")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["batches_per_epoch"] == 1


def test_several_processes_without_signals_of_terminals() -> None:
    """Windows has no SIGHUP: what hears it is made all the same."""
    code = """
import signal
del signal.SIGHUP
from epochal.cli.signals import stop_on_signal
from epochal.cli.supervisor import supervising
with stop_on_signal() as stop, supervising():
    print(stop.is_asked())
"""
    answer = elsewhere(code)
    assert (answer.returncode, answer.stdout) == (0, "False\n"), answer.stderr
