"""Several processes are started together and ended together; here they are tiny programs and train nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from epochal.cli.supervised import LOST
from epochal.cli.supervisor import Ending, Job, supervising

BEGIN = """
import os, pathlib, signal, sys, time
from epochal.cli.supervised import end_with_supervisor
end_with_supervisor()
rank = int(os.environ["RANK"])
pathlib.Path(sys.argv[1], f"process-{rank}").write_text(str(os.getpid()))
def wait(): time.sleep(60)
"""


def job(program: str, folder: Path, processes: int = 3) -> Job:
    command = [sys.executable, "-c", BEGIN + program, str(folder)]
    return Job(command, [{"RANK": str(rank)} for rank in range(processes)])


def run(program: str, folder: Path, processes: int = 3, seconds: float = 0.5) -> Ending:
    with supervising(seconds) as supervisor:
        return supervisor.run(job(program, folder, processes))


def process_ids(folder: Path, processes: int) -> list[int]:
    """Wait until all have begun."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        texts = [path.read_text() for path in folder.glob("process-*")]
        if len(texts) == processes and all(texts):
            return [int(text) for text in texts]
        time.sleep(0.01)
    raise TimeoutError


def is_alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_all_end_in_order(tmp_path: Path) -> None:
    ending = run("sys.exit(0)", tmp_path)
    assert (ending.status, ending.statuses) == (0, (0, 0, 0))


@pytest.mark.parametrize("lost", [0, 2])
def test_once_one_is_lost_all_are_ended(lost: int, tmp_path: Path) -> None:
    begun = time.monotonic()
    ending = run(f"os.kill(os.getpid(), 9) if rank == {lost} else wait()", tmp_path)
    assert time.monotonic() - begun < 10
    assert (ending.status, ending.first) == (LOST, lost)
    assert set(ending.statuses) == {137}


def test_the_others_have_time_to_say_what_they_saw(tmp_path: Path) -> None:
    program = (
        "os.kill(os.getpid(), 9) if rank == 1 else (time.sleep(0.2), print('gone', file=sys.stderr), os._exit(75))"
    )
    ending = run(program, tmp_path, seconds=20.0)
    assert ending.statuses == (75, 137, 75)
    assert (ending.status, ending.first, ending.said) == (LOST, 1, ("", "", "gone"))


def test_a_refusal_is_the_status_of_all(tmp_path: Path) -> None:
    ending = run("sys.exit('other data') if rank == 1 else (time.sleep(0.2), os._exit(75))", tmp_path)
    assert (ending.status, ending.guilty, ending.said[1]) == (1, 1, "other data")


@pytest.mark.parametrize(
    ("number", "heard"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)], ids=lambda one: str(one)
)
def test_a_signal_goes_to_process_0_which_tells_the_others(number: signal.Signals, heard: int, tmp_path: Path) -> None:
    program = """
stop = pathlib.Path(sys.argv[1], "stop")
def hear(number, frame): stop.write_text(str(number))
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, hear if rank == 0 else (lambda number, frame: os._exit(9)))
pathlib.Path(sys.argv[1], f"ready-{rank}").write_text(str(rank))
while not (stop.exists() and stop.read_text()): time.sleep(0.01)
os._exit(128 + int(stop.read_text()))
"""

    def send() -> None:
        while len(list(tmp_path.glob("ready-*"))) < 3:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()
    assert run(program, tmp_path).statuses == (heard, heard, heard)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread looks once a second")
@pytest.mark.parametrize("obedient", [True, False])
def test_a_killed_supervisor_leaves_no_orphan(obedient: bool, tmp_path: Path) -> None:
    program = BEGIN if obedient else BEGIN.replace("end_with_supervisor()\n", "")
    code = f"""
import sys
from epochal.cli.supervisor import Job, supervising
command = [sys.executable, "-c", {program + "wait()"!r}, {str(tmp_path)!r}]
with supervising() as supervisor:
    supervisor.run(Job(command, [{{"RANK": str(rank)}} for rank in range(3)]))
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code])
    processes = process_ids(tmp_path, 3)
    supervisor.kill()
    supervisor.wait()
    deadline = time.monotonic() + (5 if obedient else 0.5)
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)
    left = [process for process in processes if is_alive(process)]
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert len(left) == (0 if obedient else 3)


def test_a_signal_ends_a_pause() -> None:
    with supervising() as supervisor:
        assert supervisor.pause(0.01) is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert supervisor.pause(60.0) == signal.SIGTERM
