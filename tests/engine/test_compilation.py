"""Compiled programs on disk: the user's own, and used only where nobody else can write them."""

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import platformdirs
import pytest

from epochal.engine import compilation
from epochal.engine.compilation import keep_compiled_programs


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What JAX is told; at first it was told nothing."""
    told: dict[str, Any] = {}
    stand_in = SimpleNamespace(values={"jax_compilation_cache_dir": None}, update=told.__setitem__)
    monkeypatch.setattr(compilation, "jax", SimpleNamespace(config=stand_in))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("EPOCHAL_COMPILE_CACHE", raising=False)
    return told


def test_programs_are_kept_in_a_folder_that_only_its_owner_can_read(config: dict[str, Any], tmp_path: Path) -> None:
    keep_compiled_programs()
    folder = tmp_path / "cache" / "epochal" / "compiled"
    assert config["jax_compilation_cache_dir"] == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert config["jax_persistent_cache_min_compile_time_secs"] == 0


def test_a_folder_that_others_can_write_is_not_used(config: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "epochal" / "compiled"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    keep_compiled_programs()
    assert config == {}


def test_a_folder_of_somebody_else_is_not_used(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 12345)
    keep_compiled_programs()
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
    monkeypatch.setitem(compilation.jax.config.values, "jax_compilation_cache_dir", "/elsewhere")
    keep_compiled_programs()
    assert config == {}
