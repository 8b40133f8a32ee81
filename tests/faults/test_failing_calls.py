"""Every call that changes the disk fails in turn: a clear end, the checkpoints intact, and the same bits in the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shim import Shim

Counted = Callable[[str, object], None]


@pytest.mark.parametrize("kind", ["EIO", "ENOSPC", "full"])
def test_some_calls_fail(kind: str, shim: Shim, little_data: Path, quick_path: Path, counted: Counted) -> None:
    first = {"EIO": 1, "ENOSPC": 4, "full": 7}[kind]
    assert shim.run("fail", little_data, quick_path, kind, 9, first) == []
    counted("times", (quick_path / "times").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["EIO", "ENOSPC", "full"])
def test_each_call_fails(kind: str, shim: Shim, little_data: Path, quick_path: Path, counted: Counted) -> None:
    assert shim.run("fail", little_data, quick_path, kind, 1, 1) == []
    counted("times", (quick_path / "times").read_text())
