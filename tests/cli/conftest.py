"""A run to look at, trained once by the command line itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from terminal import succeed


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run folder of three epochs on digits, and what `train --json` printed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    return folder, succeed("train", "digits", "--epochs", "3", "--run", folder, "--json").json
