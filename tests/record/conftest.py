"""What the tests of records share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from epochal import Run, train
from little import little_data, quick_path
from small import copy_without, finished

__all__ = ["copy_without", "finished", "little_data", "quick_path"]

OPTIONS: dict[str, Any] = {"model": "linear", "batch_size": 4, "epochs": 3, "optimizer": "momentum"}


@pytest.fixture
def run(little_data: Path, quick_path: Path) -> Run:
    """A finished run of three epochs of six batches, the last of three samples."""
    return train(little_data, run=quick_path / "run", **OPTIONS)
