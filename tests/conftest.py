"""What every test has: shapes and types checked at run time, the CPU, and a working folder and cache of its own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import config

from checking import check_annotations
from chromium import browser

__all__ = ["browser"]  # one for all folders: Playwright drives one at a time

# Read when JAX is first imported, which may be below the next lines, or in another folder's conftest.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["EPOCHAL_LANG"] = "en"  # whatever the language of this system is
_COMPILED = tempfile.TemporaryDirectory(prefix="epochal-tests-")  # never the user's own; child processes share it
os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
_STATE = tempfile.TemporaryDirectory(prefix="epochal-tests-")  # where the key of this user's runs lies
os.environ["XDG_STATE_HOME"] = _STATE.name
check_annotations("epochal")

settings.register_profile("here", deadline=None)  # the first example of a test may include a compilation
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what JAX compiled for this session, and the key."""
    _COMPILED.cleanup()
    _STATE.cleanup()


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty: run folders made by a test land there; so do caches, child processes' included."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No checks of annotations: what users have, for tests that pass wrong types to see the package's own answer."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder that EPOCHAL_DATA names; the test is skipped where there is none."""
    folder = os.environ.get("EPOCHAL_DATA")
    if not folder:
        pytest.skip("needs real data: set EPOCHAL_DATA to the folder that holds mnist/")
    return Path(folder).absolute()


@pytest.fixture(scope="session")
def mnist(data_folder: Path) -> Path:
    """The folder of the real MNIST files."""
    if not (data_folder / "mnist").is_dir():
        pytest.skip(f"needs the MNIST files: {data_folder} holds no mnist/")
    return data_folder / "mnist"
