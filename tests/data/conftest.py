"""Every test here has a cache of its own, no EPOCHAL_DATA unless it asks for it, and no network."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from epochal.data.dataset import Dataset

_GIVEN = os.environ.get("EPOCHAL_DATA")  # read before any test hides it


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, empty."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: folder)
    monkeypatch.delenv("EPOCHAL_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return folder


@pytest.fixture
def mnist_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the real MNIST files, with EPOCHAL_DATA naming the one above."""
    if _GIVEN is None or not (Path(_GIVEN) / "mnist").is_dir():
        pytest.skip("needs the MNIST files: set EPOCHAL_DATA to the folder that holds mnist/")
    monkeypatch.setenv("EPOCHAL_DATA", _GIVEN)
    return Path(_GIVEN) / "mnist"


@pytest.fixture(scope="session")
def digits_60k() -> Dataset:
    """The generated set, made once."""
    from epochal.data.digits import make_digits_60k

    return make_digits_60k()
