"""What is set for the process: CPU cores as devices, and programs on disk that nobody else can write."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import platformdirs
import pytest

from epochal.engine import runtime
from epochal.engine.kept_programs import MOST_BYTES
from epochal.engine.runtime import keep_compiled_programs


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What JAX is told; at first it was told nothing."""
    told: dict[str, Any] = {}
    stand_in = SimpleNamespace(values={"jax_compilation_cache_dir": None}, update=told.__setitem__)
    monkeypatch.setattr(runtime, "jax", SimpleNamespace(config=stand_in))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    place = SimpleNamespace(_cache=None, _cache_initialized=False)
    monkeypatch.setattr("jax._src.compilation_cache", place)
    monkeypatch.setenv("EPOCHAL_COMPILE_CACHE", "")
    return told


def test_programs_are_kept_in_a_folder_that_only_its_owner_can_read(config: dict[str, Any], tmp_path: Path) -> None:
    keep_compiled_programs()
    folder = tmp_path / "cache" / "epochal" / "compiled"
    assert config["jax_compilation_cache_dir"] == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert config["jax_persistent_cache_min_compile_time_secs"] == 0
    assert cache_of_jax()._cache.folder == folder
    assert cache_of_jax()._cache_initialized


def cache_of_jax() -> Any:
    from jax._src import compilation_cache

    return compilation_cache


def test_a_jax_that_takes_no_cache_has_a_bounded_one(config: dict[str, Any], tmp_path: Path) -> None:
    del cache_of_jax()._cache
    assert keep_compiled_programs() == ()
    assert config["jax_compilation_cache_dir"] == str(tmp_path / "cache" / "epochal" / "compiled" / "jax")
    assert config["jax_compilation_cache_max_size"] == MOST_BYTES


def test_a_folder_that_others_can_write_is_not_used(config: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "epochal" / "compiled"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert keep_compiled_programs() == (
        f"compiled programs are not kept: other users can write to {folder}, and so have anything executed; remove it",
    )
    assert config == {}
    assert keep_compiled_programs() == (), "said once"


def test_a_folder_that_others_can_read_is_closed(config: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "epochal" / "compiled"
    folder.mkdir(parents=True, mode=0o755)
    assert keep_compiled_programs() == ()
    assert config["jax_compilation_cache_dir"] == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_in_its_place_is_not_used(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache" / "epochal").mkdir(parents=True)
    (tmp_path / "cache" / "epochal" / "compiled").symlink_to(tmp_path / "elsewhere")
    (said,) = keep_compiled_programs()
    assert "is a symbolic link" in said
    assert config == {}


def test_a_folder_of_somebody_else_is_not_used(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 12345)
    (said,) = keep_compiled_programs()
    assert "belongs to another user" in said
    assert config == {}


def test_where_no_folder_can_be_made_nothing_is_kept(config: dict[str, Any], tmp_path: Path) -> None:
    """A file stands where the folder would be: permissions would not stop these tests where they run as root."""
    (tmp_path / "cache").write_text("a file")
    keep_compiled_programs()
    assert config == {}


def test_it_can_be_switched_off(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHAL_COMPILE_CACHE", "0")
    keep_compiled_programs()
    assert config == {}


def test_what_jax_was_told_before_stays(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runtime.jax.config.values, "jax_compilation_cache_dir", "/elsewhere")
    keep_compiled_programs()
    assert config == {}


def test_where_users_have_no_numbers_the_folder_is_used(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on Windows, where modes say nothing either."""
    monkeypatch.delattr("os.getuid")
    folder = tmp_path / "cache" / "epochal" / "compiled"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    keep_compiled_programs()
    assert config["jax_compilation_cache_dir"] == str(folder)


@pytest.mark.parametrize(
    "told", [{}, {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, {"JAX_NUM_CPU_DEVICES": "3"}]
)
def test_cores_are_offered_unless_jax_was_told(told: dict[str, str]) -> None:
    code = "from epochal.engine import offer_cores as offer; offer(); import jax; print(len(jax.devices())); offer()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | told, capture_output=True, text=True, check=True
    )
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert int(done.stdout) == (3 if told else min(processors, runtime._MOST_DEVICES))


def test_a_process_in_which_jax_has_started_keeps_its_devices() -> None:
    count = "print(len(jax.devices()))"
    code = f"import jax; {count}; from epochal.engine import offer_cores as offer; offer(); {count}"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]
