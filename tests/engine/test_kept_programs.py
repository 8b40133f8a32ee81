"""Programs on the disk: checked before they are executed, bounded, and never a reason to fail."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from epochal.engine import kept_programs
from epochal.engine.kept_programs import MOST_DAYS, KeptPrograms, make_private

DAY = 86_400


@pytest.fixture
def kept(tmp_path: Path) -> KeptPrograms:
    folder = tmp_path / "compiled"
    assert make_private(folder) is None
    return KeptPrograms(folder)


def only_file(kept: KeptPrograms) -> Path:
    (path,) = kept.folder.iterdir()
    return path


def test_a_program_comes_back_and_is_its_owners_alone(kept: KeptPrograms) -> None:
    assert kept.get("jit_f-1") is None
    kept.put("jit_f-1", b"program")
    assert kept.get("jit_f-1") == b"program"
    assert kept.get("jit_g-1") is None
    assert only_file(kept).stat().st_mode & 0o777 == 0o600


def test_no_damage_is_executed(kept: KeptPrograms) -> None:
    program = bytes(range(256)) * 4
    dice = random.Random(15)
    for _ in range(300):
        kept.put("key", program)
        path = only_file(kept)
        whole = path.read_bytes()
        place = dice.randrange(len(whole))
        if dice.random() < 0.5:
            path.write_bytes(whole[:place])
        else:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << dice.randrange(8)]) + whole[place + 1 :])
        assert kept.get("key") is None
        assert not path.exists(), "it is compiled and kept again"


def test_a_program_under_anothers_name_is_not_executed(kept: KeptPrograms) -> None:
    kept.put("one", b"1")
    path = only_file(kept)
    path.rename(kept._file("other"))
    assert kept.get("other") is None


def test_a_program_of_another_machine_is_not_executed(kept: KeptPrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.put("key", b"with AVX-512")
    with monkeypatch.context() as other:
        other.setattr(kept_programs, "machine", lambda: "an older one")
        assert kept.get("key") is None
        kept.put("key", b"without")
        assert kept.get("key") == b"without"
    assert kept.get("key") == b"with AVX-512"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and links")
def test_what_is_no_file_is_not_waited_for(kept: KeptPrograms, tmp_path: Path) -> None:
    path = kept._file("key")
    os.mkfifo(path)
    assert kept.get("key") is None
    path.unlink()
    kept.put("key", b"program")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert kept.get("key") is None
    path.unlink()
    (tmp_path / "elsewhere").rename(path)
    path.chmod(0o622)
    assert kept.get("key") is None, "others could have written it"


def test_nothing_fails_where_nothing_can_be_kept(kept: KeptPrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "open", full)
        kept.put("key", b"program")
        assert kept.get("key") is None
    kept.folder.rmdir()
    kept.put("key", b"program")
    assert kept.get("key") is None


def test_a_write_that_fails_leaves_nothing(kept: KeptPrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", fails)
    kept.put("key", b"program")
    assert list(kept.folder.iterdir()) == []


def test_all_together_are_bounded_and_the_latest_used_stay(tmp_path: Path) -> None:
    kept = KeptPrograms(tmp_path, most_bytes=10_000)
    for number in range(60):
        kept.put(f"key {number}", bytes(900))
        age(kept._file(f"key {number}"), 1000 - number)
    kept.get("key 3")
    kept.prune()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    left = [number for number in range(60) if kept._file(f"key {number}").exists()]
    assert left == [3, *range(60 - len(left) + 1, 60)]


def age(path: Path, seconds: float) -> None:
    used = time.time() - seconds
    os.utime(path, (used, used))


def test_what_was_not_used_for_long_goes(kept: KeptPrograms) -> None:
    for name, days in (("old", MOST_DAYS + 1), ("young", MOST_DAYS - 1)):
        kept.put(name, b"program")
        age(kept._file(name), days * DAY)
    for name, days in (("killed.part", 2), ("at work.part", 0), ("jit_f-cache", 40), ("of the user", 400)):
        (kept.folder / name).write_bytes(b"x")
        age(kept.folder / name, days * DAY)
    kept.prune()
    names = {path.name for path in kept.folder.iterdir()}
    assert names == {kept._file("young").name, "at work.part", "of the user"}


def test_it_is_bounded_without_being_asked(tmp_path: Path) -> None:
    """A process that compiles much, and many processes that compile a little."""
    kept = KeptPrograms(tmp_path, most_bytes=5_000)
    for number in range(200):
        kept.put(f"key {number}", bytes(900))
    assert len(list(tmp_path.iterdir())) < 80
    for number in range(30):
        KeptPrograms(tmp_path, most_bytes=5_000).put(f"other {number}", bytes(900))
    assert len(list(tmp_path.iterdir())) < 7


TWICE = """
import os, sys, jax
from epochal.engine import keep_compiled_programs
keep_compiled_programs()
print(jax.jit(lambda x: x * 3 + 1)(2.0))
from jax._src import compilation_cache
print(type(compilation_cache._cache).__name__)
"""


def test_jax_uses_it_and_recompiles_what_is_damaged(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "EPOCHAL_COMPILE_CACHE": ""}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    folder = tmp_path / "epochal" / "compiled"

    def run() -> None:
        done = subprocess.run([sys.executable, "-c", TWICE], env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "7.0\nKeptPrograms\n", "")

    run()
    programs = {path: path.read_bytes() for path in folder.iterdir()}
    assert programs
    for path, content in programs.items():
        path.write_bytes(content[: len(content) // 2])
    run()
    assert {path: len(path.read_bytes()) for path in folder.iterdir()} == {
        path: len(content) for path, content in programs.items()
    }
