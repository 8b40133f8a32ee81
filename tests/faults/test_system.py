"""What the system does to a training besides files: a clock that goes back, a disk without locks."""

from __future__ import annotations

from pathlib import Path

import pytest
from shim import Shim


@pytest.mark.slow
def test_a_clock_that_goes_back_changes_no_bits_and_no_budget(shim: Shim, little_data: Path, quick_path: Path) -> None:
    """Budgets and pauses are counted by a clock that never goes back; the one on the wall is only shown."""
    assert shim.run("clock", little_data, quick_path) == []


@pytest.mark.slow
def test_a_disk_without_locks_is_refused_and_left_as_it_was(shim: Shim, little_data: Path, quick_path: Path) -> None:
    assert shim.run("locks", little_data, quick_path) == []
