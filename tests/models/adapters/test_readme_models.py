"""The programs under "Your own model" in the README run as they stand, each where its library is installed."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMES = {"dm-haiku": "haiku", "torch==2.13.0": "torchax"}


def programs(page: str, heading: str) -> dict[str, str]:
    """Return the programs under a heading by the package that each needs."""
    text = (ROOT / page).read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    package = re.compile(r"# pip install (\S+)")
    return {f"{match[1]} {number}": one for number, one in enumerate(found) if (match := package.search(one))}


PROGRAMS = programs("README.md", "Your own model")


def test_there_is_one_for_each_library_and_the_same_in_chinese() -> None:
    assert len(PROGRAMS) == 6
    assert programs("README.zh-CN.md", "用自己的模型") == PROGRAMS


@pytest.mark.slow  # tools/try_examples.py runs them with nothing else installed
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_runs_as_it_stands(name: str, tmp_path: Path) -> None:
    package = name.split()[0]
    if find_spec(NAMES.get(package, package)) is None:
        pytest.skip(f"{package} is not installed")
    lines = [line for line in PROGRAMS[name].splitlines() if line and not line.startswith(("import", "from"))]
    assert len(lines) <= 5

    done = subprocess.run([sys.executable, "-c", PROGRAMS[name]], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-800:]
    accuracy = re.search(r"0\.\d+", done.stdout)
    assert accuracy is not None
    assert float(accuracy[0]) > 0.8
