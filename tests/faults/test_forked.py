"""A callback forks: a child that comes back into the training changes nothing, and one that lives on holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import ChildServer
from outcome import Outcome

from epochal import Run, resume, train
from epochal.lock import is_locked
from epochal.record.run_record import RunRecord

OPTIONS = {"model": "linear", "batch_size": 4, "epochs": 20, "checkpoint_every": 0.0, "progress": False}
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FORKING = """
import os, signal, sys, time, warnings
from epochal import Callback, EpochalError, train
warnings.simplefilter("ignore")  # of Python, which says what this is about
data, run, how = sys.argv[1:]

class Forks(Callback):
    def next_stop(self, position):
        return position.iteration + 1

    def on_point(self, point):
        if point.position.iteration != 30:
            return
        child = os.fork()
        if child:
            print(child, flush=True)
            os.kill(os.getpid(), signal.SIGKILL) if how == "lives on" else os.waitpid(child, 0)
        elif how == "lives on":
            os.closerange(1, 3)  # or it would hold the pipes on, too
            time.sleep(600)
        elif how == "raises":
            raise ValueError("of the child")

parent = os.getpid()
try:
    print(train(data, run=run, callbacks=Forks(), **OPTIONS).status)
except (EpochalError, ValueError) as error:
    print(error, flush=True)
finally:
    if os.getpid() != parent:
        os._exit(0)
"""


@pytest.fixture(scope="module")
def whole(little_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the training leads to where nobody forks."""
    return Outcome.of(train(little_data, run=tmp_path_factory.mktemp("whole") / "run", **OPTIONS).path)


def forking(data: Path, run: Path, how: str) -> subprocess.CompletedProcess[str]:
    """Train in a process whose callback forks once."""
    code = FORKING.replace("OPTIONS", repr(OPTIONS))
    words = [sys.executable, "-c", code, str(data), str(run), how]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        pytest.param("returns", "this process was forked from one that had used JAX", marks=pytest.mark.slow),
        ("raises", ""),  # of what it ends is open: in a child, the threads of libraries are gone
    ],
)
def test_a_child_that_comes_back_into_the_training_changes_nothing(
    how: str, says: str, little_data: Path, whole: Outcome, quick_path: Path
) -> None:
    done = forking(little_data, quick_path / "run", how)
    assert done.returncode == 0, done.stderr
    *before, parent = done.stdout.splitlines()
    assert says in "\n".join(before)
    assert parent == "finished"
    assert Outcome.of(quick_path / "run").differences(whole) == []
    assert RunRecord.read(quick_path / "run", check=True).problems == ()


def test_a_child_that_lives_on_does_not_hold_the_lock(little_data: Path, whole: Outcome, quick_path: Path) -> None:
    """It has all of the parent's descriptors: the system would keep the lock for it."""
    run = quick_path / "run"
    done = forking(little_data, run, "lives on")
    child = int(done.stdout.split()[0])
    try:
        assert done.returncode == -signal.SIGKILL
        os.kill(child, 0)  # it is there
        assert not is_locked(run / "run.lock")
        assert Run.open(run).status == "interrupted"
        resume(run)
    finally:
        os.kill(child, signal.SIGKILL)
    assert Outcome.of(run).differences(whole) == []


@pytest.mark.slow
def test_of_resumes_at_once_one_trains(children: ChildServer, images: Path, tmp_path: Path) -> None:
    command = ["train", images, "--model", "mlp", "--hidden", "32", "--batch-size", "17", "--run"]
    assert children.run(*command, tmp_path / "whole", "--epochs", 200)[0] == 0
    assert children.run(*command, tmp_path / "run", "--epochs", 20)[0] == 0
    resumes = [children.start("resume", tmp_path / "run", "--epochs", 200) for _ in range(4)]
    statuses = [child.wait() for child in resumes]
    texts = [child.log.read_text() for child in resumes]
    refused = [text for status, text in zip(statuses, texts, strict=True) if status == 2]
    assert sorted(statuses) in ([0, 2, 2, 2], [0, 0, 2, 2]), texts
    assert all("is in use by" in text or "a budget of 200 epochs is spent" in text for text in refused), refused
    assert Run.open(tmp_path / "run").weights_sha256 == Run.open(tmp_path / "whole").weights_sha256
    sessions = RunRecord.read(tmp_path / "run", check=True).history.sessions
    assert len(sessions) == 2


def test_that_a_lock_that_a_child_keeps_is_seen(tmp_path: Path) -> None:
    """What a fork without Python's own hooks leads to: nobody trains, and the run is said to be in use."""
    import fcntl

    descriptor = os.open(tmp_path / "run.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[descriptor])
    os.close(descriptor)
    assert is_locked(tmp_path / "run.lock")
    child.kill()
    child.wait()
    deadline = time.monotonic() + 5
    while is_locked(tmp_path / "run.lock") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_locked(tmp_path / "run.lock")
