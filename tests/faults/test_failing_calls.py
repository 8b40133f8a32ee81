"""Every call that changes the disk fails in turn: a clear end, the checkpoints intact, and the same bits in the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from shim import Shim


@pytest.mark.parametrize("kind", ["EIO", "ENOSPC", "full"])
def test_some_calls_fail(kind: str, shim: Shim, little_data: Path, quick_path: Path) -> None:
    first = {"EIO": 1, "ENOSPC": 4, "full": 7}[kind]
    assert shim.run("fail", little_data, quick_path, kind, 9, first) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["EIO", "ENOSPC", "full"])
def test_each_call_fails(kind: str, shim: Shim, little_data: Path, quick_path: Path) -> None:
    assert shim.run("fail", little_data, quick_path, kind, 1, 1) == []
