"""What the fault tests share: tiny data, and processes that are cheap to start and to kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from children import ChildServer
from shim import Shim
from sklearn.datasets import load_digits

from little import little_data, quick_path

__all__ = ["little_data", "quick_path"]

TRAIN, TEST = 203, 600


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """Notes ``times``, how often a test made its fault, or measured ``seconds``, for the table of faults."""
    return record_property


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """203 training and 600 test images of 8×8: a batch of 17 does not divide the 203, and evaluation takes a while."""
    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "images.npz"
    np.savez(path, x_train=x[:TRAIN], y_train=y[:TRAIN], x_test=x[TRAIN : TRAIN + TEST], y_test=y[TRAIN : TRAIN + TEST])
    return path


@pytest.fixture(scope="session")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildServer]:
    """Starts `epochal` processes, which work in a folder of their own."""
    with ChildServer(tmp_path_factory.mktemp("children")) as server:
        yield server


@pytest.fixture(params=[pytest.param(20, id="short"), pytest.param(1000, id="long", marks=pytest.mark.slow)])
def kills(request: pytest.FixtureRequest) -> int:
    """How many kills a test shares among its scenarios."""
    count: int = request.param
    return count


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Shim:
    """The library that stands between a process and the disk; the test is skipped where it cannot be compiled."""
    return Shim.compile(tmp_path_factory.mktemp("shim"))
