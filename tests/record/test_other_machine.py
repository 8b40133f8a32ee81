"""A run that goes on elsewhere says so: other versions or processors may change the last bits, other devices do not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from epochal import resume, train
from little import Warnings


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that has three iterations behind it."""
    path = tmp_path / "run"
    train("digits", model="linear", iterations=3, run=path)
    return path


def pretend(path: Path, table: str, **values: Any) -> None:
    """Change what `run.toml` says of where the run began; ``None`` takes an entry out."""
    content = tomllib.loads((path / "run.toml").read_text())
    content[table] |= values
    content[table] = {name: value for name, value in content[table].items() if value is not None}
    (path / "run.toml").write_text(tomli_w.dumps(content))


def warnings_of_resuming(path: Path) -> list[str]:
    heard = Warnings()
    resume(path, iterations=5, callbacks=heard)
    return heard.messages


@pytest.mark.parametrize(
    ("table", "values", "words"),
    [
        ("device", {"processors": 999}, r"device cpu cpu, 999 CPU cores → cpu cpu, \d+ CPU cores"),
        ("device", {"platform": "gpu", "kind": "H100"}, "device gpu H100, .* → cpu cpu, "),
        ("versions", {"jax": "0.0.1"}, r"jax 0\.0\.1 → \d"),
    ],
)
def test_what_may_change_the_bits_is_named(run: Path, table: str, values: dict[str, Any], words: str) -> None:
    pretend(run, table, **values)
    (warning,) = warnings_of_resuming(run)
    assert warning.startswith(
        "this environment differs from the one the run started in; results may not be bit-identical: "
    )
    assert re.search(words, warning)


@pytest.mark.parametrize("values", [{}, {"count": 4}, {"processors": None}])
def test_what_may_not_is_no_reason_for_a_warning(run: Path, values: dict[str, Any]) -> None:
    """The number of devices; and runs of before the processors were written down."""
    pretend(run, "device", **values)
    assert warnings_of_resuming(run) == []


@pytest.mark.parametrize(("shards", "is_told"), [(4, True), (2, False)])
def test_a_run_whose_shards_were_added_one_after_another_says_so(tmp_path: Path, shards: int, is_told: bool) -> None:
    """As former versions did, which wrote no word about it; of two shards, the sum is the same either way."""
    path = tmp_path / "run"
    train("digits", model="linear", batch_size=128, shards=shards, iterations=3, run=path)
    content = tomllib.loads((path / "run.toml").read_text())
    assert content.pop("summation") == "tree"
    (path / "run.toml").write_text(tomli_w.dumps(content))
    told = warnings_of_resuming(path)
    assert [one.endswith(": sum of shards chain → tree") for one in told] == [True] * is_told
