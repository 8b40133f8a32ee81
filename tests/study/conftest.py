"""One finished study, trained once for all tests that only look at it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from epochal.study import Study
from small import finished

__all__ = ["finished"]


@pytest.fixture
def copy_without(finished: Study, tmp_path: Path) -> Callable[..., Study]:
    """Copies of the finished study, as if it had been stopped before the named runs began."""

    def copy(*names: str) -> Study:
        path = tmp_path / "copy"
        shutil.copytree(finished.path, path)
        for name in names:
            shutil.rmtree(path / name)
        return Study.open(path)

    return copy
