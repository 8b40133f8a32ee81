"""Rooms with light doors: their public names are there, and are imported when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from epochal.lazy import lazy_names

ROOMS = [
    "epochal",
    *("epochal.run", "epochal.data", "epochal.engine", "epochal.models"),
    *("epochal.sklearn", "epochal.loaders", "epochal.loggers"),
]


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there(room: str) -> None:
    module = import_module(room)
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("room", ["epochal", "epochal.run"])
def test_other_names_are_not(room: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{room}' has no attribute 'nothing'"):
        _ = import_module(room).nothing


def test_a_name_is_imported_when_it_is_asked_for() -> None:
    get, names = lazy_names("epochal", {"Plan": "clock", "Order": "order"})
    assert names() == ["Order", "Plan"]
    assert get("Plan") is import_module("epochal.clock").Plan


def test_the_package_and_its_light_names_do_not_import_jax_or_numpy() -> None:
    code = (
        "import sys, epochal; epochal.Plan, epochal.Position, epochal.Span, epochal.EpochalError; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert {"jax", "numpy"}.isdisjoint(loaded)
    assert "epochal.clock" in loaded


@pytest.mark.parametrize("room", ["errors", "counts", "clock"])
def test_the_innermost_rooms_need_the_standard_library_only(room: str) -> None:
    code = (
        f"import sys; before = set(sys.modules); import epochal.{room}; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert loaded.split() == ["epochal"]
