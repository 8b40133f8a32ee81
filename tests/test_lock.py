from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from pathlib import Path

import pytest

from epochal.errors import RunError
from epochal.lock import is_locked, locked


def test_the_second_is_refused_while_the_first_works(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with locked(path):
        assert is_locked(path)
        with (
            pytest.raises(RunError, match=rf"in use by process {os.getpid()}, started 20\d\d-.*; wait for it"),
            locked(path),
        ):
            pass
    assert not is_locked(path)
    with locked(path):
        pass


def test_a_lock_that_a_dead_process_left_is_free(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    path.write_text(json.dumps({"process": 1, "since": "2020-01-01T00:00:00+00:00"}))
    assert not is_locked(path)
    with locked(path):
        assert json.loads(path.read_text())["process"] == os.getpid()


def test_an_error_inside_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), locked(tmp_path / "run.lock"):
        raise ValueError("inside")
    assert not is_locked(tmp_path / "run.lock")


def test_one_who_only_asks_is_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    path.touch()
    asking = os.open(path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    done = threading.Timer(0.05, os.close, [asking])
    done.start()
    with locked(path):
        pass
    done.join()


def test_nobody_holds_a_lock_that_does_not_exist(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "run.lock")
    with pytest.raises(RunError, match=r"cannot write in .*none: No such file"), locked(tmp_path / "none" / "run.lock"):
        pass


def test_a_holder_who_could_not_say_who_he_is(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with locked(path):
        path.write_text("")
        with pytest.raises(RunError, match="in use by another process"), locked(path):
            pass


def test_a_link_or_a_pipe_under_its_name_is_refused_and_waited_for_by_nobody(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "run.lock"
    victim.write_text("precious")
    path.symlink_to(victim)
    with pytest.raises(RunError, match=r"run\.lock is a symbolic link, which may lead out .*; remove it"), locked(path):
        pass
    assert victim.read_text() == "precious"
    assert not is_locked(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunError, match="is no file; remove it"), locked(path):
        pass
    assert not is_locked(path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_named_as_the_cause(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    cause = rf"cannot lock .*run\.lock: {os.strerror(number)}; its disk has no locks"
    with pytest.raises(RunError, match=cause), locked(tmp_path / "run.lock"):
        pass
    assert not is_locked(tmp_path / "run.lock")


def test_a_lock_that_another_process_holds_is_no_missing_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    path = tmp_path / "run.lock"
    path.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(RunError, match="in use by another process"), locked(path):
        pass
    assert is_locked(path)
