"""`--processes`: a supervisor goes on when a process is lost, and leaves none behind when it is lost itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import ChildServer
from outcome import Outcome

TRAIN = "--model mlp --hidden 16 --batch-size 128 --shards 2 --evaluate-every 50 --checkpoint-every 0"
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")


def epochal(*words: object, **settings: str) -> subprocess.Popen[str]:
    """Start the command line."""
    return subprocess.Popen(
        [sys.executable, "-m", "epochal", *map(str, words)],
        env={**os.environ, "EPOCHAL_HEARTBEAT": "5", "JAX_NUM_CPU_DEVICES": "1", **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_of(supervisor: int, count: int) -> list[int]:
    """Wait until it has started so many."""
    place, deadline = Path(f"/proc/{supervisor}/task/{supervisor}/children"), time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [int(word) for word in place.read_text().split()]
        if len(found) == count:
            return found
        time.sleep(0.01)
    raise TimeoutError


def wait_until_saved(run: Path) -> None:
    """Wait until there is a checkpoint."""
    deadline = time.monotonic() + 120
    while not list((run / "checkpoints").glob("*.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def endless(images: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A training by two processes that takes hours, and their numbers."""
    supervisor = epochal(
        "train", images, *TRAIN.split(), "--epochs", 10**6, "--processes", 2, "--run", tmp_path / "run"
    )
    processes = processes_of(supervisor.pid, 2)
    wait_until_saved(tmp_path / "run")
    yield supervisor, processes
    supervisor.kill()
    supervisor.communicate()


def are_gone(processes: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{process}").exists() for process in processes):
            return True
        time.sleep(0.01)
    return False


def test_it_goes_on_from_the_last_checkpoint(children: ChildServer, images: Path, tmp_path: Path) -> None:
    command = ["train", images, *TRAIN.split(), "--epochs", 80, "--run"]
    assert children.run(*command, tmp_path / "whole")[0] == 0
    supervisor = epochal(*command, tmp_path / "run", "--processes", 2, "--restarts", 1)
    lost = processes_of(supervisor.pid, 2)[1]
    wait_until_saved(tmp_path / "run")
    os.kill(lost, signal.SIGKILL)
    text = supervisor.communicate(timeout=300)[0]
    assert supervisor.returncode == 0, text
    assert "process 1 of 2 was ended by SIGKILL; going on from the last checkpoint in 1 s" in text
    assert Outcome.of(tmp_path / "run").differences(Outcome.of(tmp_path / "whole")) == []


def test_without_restarts_it_says_how_to_go_on(
    endless: tuple[subprocess.Popen[str], list[int]], tmp_path: Path
) -> None:
    supervisor, processes = endless
    os.kill(processes[1], signal.SIGKILL)
    text = supervisor.communicate(timeout=60)[0]
    assert supervisor.returncode == 75, text
    assert f"go on with: epochal resume {tmp_path / 'run'} --processes 2" in text
    assert "Traceback" not in text
    assert are_gone(processes, 1.0)


@pytest.mark.slow
def test_a_signal_stops_all_and_saves(endless: tuple[subprocess.Popen[str], list[int]], tmp_path: Path) -> None:
    supervisor, processes = endless
    supervisor.send_signal(signal.SIGTERM)
    text = supervisor.communicate(timeout=60)[0]
    assert supervisor.returncode == 143, text
    assert f"epochal resume {tmp_path / 'run'}" in text
    assert are_gone(processes, 1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread looks once a second")
def test_a_killed_supervisor_leaves_no_process(endless: tuple[subprocess.Popen[str], list[int]]) -> None:
    supervisor, processes = endless
    supervisor.kill()
    supervisor.wait()
    assert are_gone(processes, 5.0)


REFUSED = {
    "--processes 0": "--processes must be at least 1, got 0",
    "--processes two": "--processes must be a whole number, got 'two'",
    "--processes 2 --folds 3": "--folds trains one model after the other in this process",
    "--processes 3 --shards 4 --batch-size 128": "cannot be dealt to 3 processes",
    "--processes 2 --batch-size 7": "a batch of 7",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_shared_is_refused_in_a_line(words: str, images: Path, tmp_path: Path) -> None:
    refused = epochal("train", images, *words.split(), "--epochs", 1, "--run", tmp_path / "run")
    text = refused.communicate(timeout=120)[0]
    assert refused.returncode == 2, text
    errors = [line for line in text.splitlines() if line.startswith("epochal: ")]
    assert len(errors) == 1, text
    assert REFUSED[words] in errors[0]
    assert "Traceback" not in text
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="needs Open MPI: apt install openmpi-bin")
def test_processes_of_open_mpi_train_as_one(children: ChildServer, images: Path, tmp_path: Path) -> None:
    command = ["train", str(images), *TRAIN.split(), "--epochs", "20", "--run"]
    assert children.run(*command, tmp_path / "whole")[0] == 0
    as_root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "JAX_NUM_CPU_DEVICES": "1"}
    words = ["mpirun", "-n", "2", "--oversubscribe", "--bind-to", "none", sys.executable, "-m", "epochal", *command]
    done = subprocess.run(
        [*words, str(tmp_path / "run")],
        env={**os.environ, **as_root},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("exactly once") == 1
    assert Outcome.of(tmp_path / "run").differences(Outcome.of(tmp_path / "whole")) == []
