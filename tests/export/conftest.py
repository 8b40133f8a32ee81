"""Runs of each kind, trained once."""

from __future__ import annotations

import pytest
from exporting import train_all

from epochal import Run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Runs by name. Not to be changed but for their folders ``export``."""
    return train_all(tmp_path_factory.mktemp("to-export"))
