"""Each value of `batch-size.toml` in turn is something else: one line says so, and nothing else is read for it."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from epochal.cli import main
from epochal.errors import RunError
from epochal.study.batch_size.kept import FILE, BatchSizeRecord
from epochal.study.batch_size.size_cells import seeds_text
from epochal.study.batch_size.trials import SizeRow
from epochal.study.target import Trial

OTHERS: tuple[Any, ...] = ("abc", -1, 2**62, float("inf"), float("nan"), True, [], [[1]], {}, {"a": [1]}, "")
TRIALS = [
    {"batch_size": size, "lr": 0.2, "seed": seed, "steps": 12.5 + seed, "why": "reached", "nearest": 0.9, "updates": 14}
    for size in (16, 64)
    for seed in (0, 1)
]
CONTENT: dict[str, Any] = {
    "format": 1,
    "finished": True,
    "data": {"name": "digits", "fingerprint": "d9", "train": 1437, "test": 360, "task": "classification"},
    "request": {"batch_sizes": [16, 64], "target_accuracy": 0.8, "seeds": 2, "shared": {"data": "digits"}},
    "pilot": {"target": {"metric": "accuracy", "value": 0.8}, "lr": 0.2, "begun": 0.1, "best": 0.9, "seconds": 1.0},
    "microseconds": {"16": 13.2, "64": 39.3},
    "trials": [{**one, "limit": 100, "is_race": False, "seconds": 0.5} for one in TRIALS],
    "study": {
        "data": "digits",
        "model": "mlp",
        "optimizer": "sgd",
        "target": {"metric": "accuracy", "value": 0.8},
        "samples": 1198,
        "held_out": 239,
        "cores": 2,
        "rows": [
            {"batch_size": 16, "lr": 0.2, "is_edge": False, "microseconds": 13.2, "trials": TRIALS[:2]},
            {"batch_size": 64, "lr": 0.2, "is_edge": False, "microseconds": 39.3, "trials": TRIALS[2:]},
        ],
        "left_out": [{"batch_size": 1, "why": "budget"}],
        "notes": ["a note"],
        "is_predicted": False,
    },
}


def places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for name, value in content.items() if isinstance(content, dict) else enumerate(content[:1]):
        yield (*above, name)
        if isinstance(value, (dict, list)):
            yield from places(value, (*above, name))


def with_value(place: tuple[Any, ...], value: Any) -> str:
    changed = copy.deepcopy(CONTENT)
    table: Any = changed
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = value
    return tomli_w.dumps(changed)


def test_each_value_may_be_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / FILE
    refused = 0
    for number, place in enumerate(places(CONTENT)):
        for other in OTHERS[number % 3 :: 3]:
            file.write_text(with_value(place, other))
            status = main(["show", str(tmp_path)])
            assert status in (0, 2), (place, other)
            assert main(["report", str(tmp_path)]) in (status, 2), (place, other)  # there may be no result to draw
            assert all(line.startswith("epochal: ") for line in capsys.readouterr().err.splitlines()), (place, other)
            refused += status == 2
    assert refused > 100


def test_it_is_whole_to_begin_with(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(tomli_w.dumps(CONTENT))
    assert len(BatchSizeRecord.read(tmp_path).results.rows) == 2
    assert main(["report", str(tmp_path)]) == 0


@pytest.mark.parametrize("kind", ["link", "holes"])
def test_a_link_and_a_file_of_holes_are_not_read(kind: str, tmp_path: Path) -> None:
    file = tmp_path / FILE
    if kind == "link":
        (tmp_path / "secret.toml").write_text('format = "AKIA"')
        file.symlink_to(tmp_path / "secret.toml")
    else:
        with file.open("wb") as opened:
            opened.truncate(2**40)
    with pytest.raises(RunError, match="is a symbolic link" if kind == "link" else "it claims"):
        BatchSizeRecord.read(tmp_path)
    assert BatchSizeRecord.is_at(tmp_path) is (kind == "holes")


def test_a_seed_that_began_at_the_target_has_no_factor_to_the_others() -> None:
    trials = tuple(Trial.from_dict({**TRIALS[0], "steps": steps}) for steps in (0.0, 12.5))
    assert seeds_text(SizeRow(16, 0.2, False, trials)) == "–"
    assert tomllib.loads(with_value(("format",), 1)) == CONTENT
