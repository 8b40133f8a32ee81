"""Other platforms, as far as this one can pretend: without `fcntl`, `os.pwrite` and what else Windows lacks.

And with what it has: names whose case does not count, texts whose lines end in CR LF, backslashes.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from epochal import Run, load_data, resume, train
from epochal.cli.main import main
from epochal.errors import EpochalError, RunError
from epochal.record.study_record import StudyRecord
from little import StopAfter, little_data, save_little_data

__all__ = ["little_data"]

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


# --- names whose case does not count ---------------------------------------------------------------------------------

NO_CASE = """
import os, sqlite3, sys
from urllib.parse import quote, unquote

def found(path):
    # the name under which it is there, whatever the case; outside of the folder of the test all is as it was
    if str(path).startswith("file:"):  # SQLite's form of a path
        place, _, query = path.partition("?")
        there = found(unquote(place.removeprefix("file://")))
        return f"file://{quote(there)}?{query}"
    place = os.path.realpath(os.curdir)
    if path == ":memory:" or not isinstance(path, (str, os.PathLike)) or not os.path.abspath(path).startswith(place):
        return path
    for part in os.path.relpath(os.path.abspath(path), place).split(os.sep):
        try:
            names = list_names(place)
        except OSError:
            names = []
        here = part in (".", "..") or part in names
        place = os.path.join(place, part if here else next((one for one in names if one.lower() == part.lower()), part))
    return place

list_names = os.listdir
def insensitive(function):
    return lambda path, *more, **named: function(found(path), *more, **named)
for name in ("open", "stat", "lstat", "mkdir", "unlink", "remove", "rmdir", "scandir", "listdir", "access"):
    setattr(os, name, insensitive(getattr(os, name)))
for name in ("rename", "replace"):
    move = getattr(os, name)
    setattr(os, name, lambda old, new, move=move, **named: move(found(old), found(new), **named))
sqlite3.connect = insensitive(sqlite3.connect)
"""


def test_two_runs_whose_names_differ_by_case_alone_are_one_folder(tmp_path: Path) -> None:
    """On such a disk the second is refused, or takes the next number; the first is found under each of its names."""
    save_little_data(tmp_path / "little.npz")
    code = """
import epochal.held_folder
from epochal.cli.main import main
assert not epochal.held_folder._CAN_HOLD
options = ["--model", "linear", "--epochs", "1"]
print(main(["train", "little.npz", *options, "--run", "Runs/One"]))
print(main(["train", "little.npz", *options, "--run", "runs/ONE"]))
print(main(["resume", "RUNS/one", "--epochs", "2"]))
os.rename("little.npz", "Little.npz")
print(main(["train", "Little.npz", *options]), main(["train", "little.npz", *options]))
"""
    words = [sys.executable, "-c", NO_CASE + code]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line in ("0", "2", "0 0")] == ["0", "2", "0", "0 0"]
    assert "runs/ONE is not empty" in done.stderr
    assert Run.open(tmp_path / "Runs" / "One").position.epoch == 2
    assert sorted(one.lower() for one in os.listdir(tmp_path / "Runs")) == ["little-linear-1", "little-linear-2", "one"]


def test_no_two_names_in_a_run_folder_differ_by_case_alone(little_data: Path, tmp_path: Path) -> None:
    run = train(little_data, model="mlp", hidden=(4,), epochs=2, snapshots=True, run=tmp_path / "run")
    main(["report", str(run.path)])
    names = [str(path.relative_to(run.path)) for path in run.path.rglob("*")]
    assert len({name.casefold() for name in names}) == len(names) > 6


# --- lines that end in CR LF -----------------------------------------------------------------------------------------


def with_carriage_returns(path: Path) -> None:
    """Save a text as an editor of Windows does."""
    content = path.read_bytes()
    assert b"\r" not in content
    path.write_bytes(content.replace(b"\n", b"\r\n"))


def test_a_run_whose_texts_were_saved_by_an_editor_of_windows(little_data: Path, tmp_path: Path) -> None:
    options = {"model": "mlp", "hidden": (4,), "batch_size": 4, "epochs": 3}
    whole = train(little_data, run=tmp_path / "whole", **options)
    path = train(little_data, run=tmp_path / "run", callbacks=StopAfter(7), **options).path
    texts = [one for one in path.iterdir() if one.suffix in (".toml", ".json")]
    assert len(texts) == 2
    for one in texts:
        with_carriage_returns(one)
    assert resume(path).weights_sha256 == whole.weights_sha256
    assert Run.open(path).record.problems == ()


def test_tables_and_models_with_carriage_returns(tmp_path: Path) -> None:
    rows = "\n".join(f"{number},{number % 3},{'ab'[number % 2]}" for number in range(40))
    (tmp_path / "lf.csv").write_text(f"x,y,target\n{rows}\n")
    shutil.copy(tmp_path / "lf.csv", tmp_path / "crlf.csv")
    with_carriage_returns(tmp_path / "crlf.csv")
    one, other = (load_data(tmp_path / f"{name}.csv", target="target") for name in ("lf", "crlf"))
    np.testing.assert_array_equal(one.train.x, other.train.x)
    np.testing.assert_array_equal(one.train.y, other.train.y)
    assert one.class_names == other.class_names == ("a", "b")

    (tmp_path / "model.py").write_text("from epochal.models import mlp\n\n\ndef build(data):\n    return None\n")
    with_carriage_returns(tmp_path / "model.py")
    with pytest.raises(EpochalError, match="build"):  # it was read: what it returns is refused
        train(tmp_path / "lf.csv", target="target", model=f"{tmp_path / 'model.py'}:build", run=False)


@pytest.mark.slow
def test_a_pack_and_a_study_with_carriage_returns(little_data: Path, tmp_path: Path) -> None:
    assert main(["data", "pack", str(little_data), str(tmp_path / "pack")]) == 0
    with_carriage_returns(next((tmp_path / "pack").glob("*.toml")))
    assert main(["data", "verify", str(tmp_path / "pack")]) == 0

    study = tmp_path / "study"
    words = ["compare", str(little_data), "--model", "linear", "--batch-size", "4,all", "--epochs", "1"]
    assert main([*words, "--run", str(study)]) == 0
    for one in study.rglob("*.toml"):
        with_carriage_returns(one)
    assert StudyRecord.is_at(study)
    assert main(["show", str(study)]) == main(["report", str(study)]) == 0


# --- backslashes, and folders that cannot be forced to the disk ----------------------------------------------------


def test_a_backslash_in_a_name_is_a_letter_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it separates folders, the system says so; here the command that is suggested has to be one word."""
    data, run = save_little_data(tmp_path / "my\\data.npz"), tmp_path / "a\\run"
    options = ["--model", "linear", "--epochs", "1"]
    assert main(["train", str(data), *options, "--run", str(run)]) == 0
    assert main(["resume", str(run), "--epochs", "2"]) == main(["report", str(run)]) == 0
    assert main(["train", str(data), *options]) == 0
    assert os.listdir("runs") == ["my-data-linear-1"]
    capsys.readouterr()
    assert main(["resume", str(run)]) == 0
    assert f"epochal resume '{run}' --epochs 4" in capsys.readouterr().out


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_disk_that_cannot_force_folders_is_trained_on(
    number: int, little_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    force, asked = os.fsync, []

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            asked.append(descriptor)
            raise OSError(number, os.strerror(number))
        force(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert train(little_data, model="linear", epochs=1, run=tmp_path / "run").status == "finished"
    assert asked


def test_a_folder_that_should_have_been_forced_and_was_not_is_an_error(
    little_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RunError, match="Input/output error"):
        train(little_data, model="linear", epochs=1, run=tmp_path / "run")
