"""The house: one idea a file name, and paragraphs in long functions. Imports are checked by import-linter."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def house() -> dict[str, Any]:
    """What `tools/house.py` measures."""
    path = ROOT / "tools" / "house.py"
    if not path.is_file():
        pytest.skip("needs the repository's tools")
    return runpy.run_path(str(path))


def test_no_two_files_have_one_name() -> None:
    names = Counter(path.name for path in (ROOT / "src" / "epochal").rglob("*.py") if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_long_functions_have_paragraphs(house: dict[str, Any]) -> None:
    long = house["long_functions"]()
    assert len(long) > 50
    assert sum(one.breaks for one in long) / sum(one.lines for one in long) >= 0.10


def test_a_function_without_paragraphs_is_seen(house: dict[str, Any], tmp_path: Path) -> None:
    solid, airy = tmp_path / "solid.py", tmp_path / "airy.py"
    body = [f"    x{i} = {i}" for i in range(20)]
    solid.write_text("\n".join(['def f():\n    """Doc.\n\n    More.\n    """', *body]))
    airy.write_text("\n".join(["def f():", *body[:9], "", "    # why", *body[9:]]))
    (one,), (other,) = list(house["functions"](solid)), list(house["functions"](airy))
    assert (one.lines, one.breaks) == (20, 0)
    assert (other.lines, other.breaks) == (22, 2)
