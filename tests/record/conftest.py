"""What the tests of the run room share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from epochal import Run, train
from little import little_data, quick_path

__all__ = ["little_data", "quick_path"]

OPTIONS: dict[str, Any] = {"model": "linear", "batch_size": 4, "epochs": 3, "optimizer": "momentum"}


@pytest.fixture
def run(little_data: Path, quick_path: Path) -> Run:
    """A finished run of three epochs of six batches, the last of three samples."""
    return train(little_data, run=quick_path / "run", **OPTIONS)
