"""One finished study, trained once for all tests that only look at it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small import small_study

from epochal.study import Study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three batch sizes, the smaller last batch of 60 = 8 × 7 + 4 included. Not to be changed."""
    path = tmp_path_factory.mktemp("studies") / "finished"
    return small_study(path, batch_sizes=[1, 7, "all"], lrs=[0.02, 0.1, 0.3], epochs=4, target_accuracy=0.8)


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
