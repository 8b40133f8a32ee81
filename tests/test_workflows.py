"""The public checks: on three systems, on every Python that the package supports, and with its own tools."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "checks.yml"


@pytest.fixture(scope="module")
def workflow() -> str:
    if not WORKFLOW.is_file():
        pytest.skip("needs the repository")
    return WORKFLOW.read_text(encoding="utf-8")


def test_three_systems_and_every_python(workflow: str) -> None:
    systems = re.search(r"system: \[(.*)\]", workflow)
    pythons = re.search(r"python: \[(.*)\]", workflow)
    assert systems is not None
    assert pythons is not None
    assert [one.partition("-")[0] for one in systems[1].split(", ")] == ["ubuntu", "macos", "windows"]
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    first = int(supported.removeprefix(">=3."))
    assert re.findall(r"3\.(\d+)", pythons[1]) == [str(minor) for minor in range(first, 15)]


def test_every_check_of_make_test_is_there(workflow: str) -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ntest: ")[2].partition("\n\n")[0]
    tools = re.findall(r"\$\(BIN\)/([\w-]+)", recipe)
    assert "pytest" in tools
    assert [tool for tool in tools if tool not in workflow] == []
    assert '-m "not slow"' in workflow


def test_it_can_do_nothing_but_read(workflow: str) -> None:
    assert "contents: read" in workflow
    assert "pull_request_target" not in workflow
    assert "secrets." not in workflow
