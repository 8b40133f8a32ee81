"""Each value of `run.toml` and `study.toml` in turn is something else: one line says so, and nobody waits or swells."""

from __future__ import annotations

import copy
import json
import shutil
import time
import tomllib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from epochal import Run, compare
from epochal.cli import main
from epochal.errors import RunError
from epochal.record.landscape_record import LandscapeRecord
from epochal.record.run_record import RunRecord
from epochal.record.toml_fields import LONGEST

OTHERS: tuple[Any, ...] = ("abc", -1, 2**62, 1.5, float("inf"), True, [], [[1]], {}, {"a": [1]}, "9" * 5000, "../..")


def places(content: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in content.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from places(value, (*above, name))


def with_value(content: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(content)
    table = changed
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = value
    return changed


def ends_clearly(capsys: pytest.CaptureFixture[str], *commands: list[str]) -> None:
    """Each command prints, or says in a line why not; the line may name what was altered."""
    for command in commands:
        assert main(command) in (0, 2), command
        for line in capsys.readouterr().err.splitlines():
            assert line.startswith(("epochal: ", "warning: ", "left out: ")), (command, line)


def test_each_value_of_run_toml_may_be_anything(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    file = run.folder.run_toml
    content = tomllib.loads(file.read_text())
    for number, place in enumerate(places(content)):
        for other in OTHERS[number % 3 :: 3]:
            file.write_text(tomli_w.dumps(with_value(content, place, other)))
            ends_clearly(capsys, ["show", str(run.path)], ["runs", str(run.path)])


def test_each_value_of_study_toml_may_be_anything(
    little_data: Path, quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = quick_path / "study"
    compare(little_data, models=["linear"], batch_sizes=[4, 8], epochs=1, run=path)
    file = path / "study.toml"
    content = tomllib.loads(file.read_text())
    for number, place in enumerate(places(content)):
        for other in OTHERS[number % 3 :: 3]:
            file.write_text(tomli_w.dumps(with_value(content, place, other)))
            ends_clearly(capsys, ["show", str(path)])


def test_a_file_of_changes_is_read_in_no_time(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    file = run.folder.run_toml
    whole = file.read_text()
    changes = ",".join(f"{{iteration = {number}, lr = 0.1}}" for number in range(1000))
    file.write_text(whole.replace("changes = []", f"changes = [{changes}]"))
    started = time.process_time()
    ends_clearly(capsys, ["show", str(run.path)])
    assert time.process_time() - started < 5  # each change anew for each change took a minute

    file.write_text(whole.replace("changes = []", f"changes = [{changes}, {{iteration = 0, lr = 0.1}}]"))
    assert main(["show", str(run.path)]) == 2
    file.write_text(whole.replace("changes = []", "changes = [{iteration = 5, lr = 0.1}, {iteration = 3, lr = 0.1}]"))
    assert main(["show", str(run.path)]) == 2
    assert "its changes do not follow each other" in capsys.readouterr().err


def test_each_value_of_a_landscape_may_be_anything(quick_path: Path) -> None:
    place = {"run": "a", "iteration": 0, "epoch": 0.0}
    content = {
        "format": 1, "kind": "pca", "split": "train", "samples": 10, "of": 10, "x": [0.0, 1.0], "y": [0.0, 1.0],
        "loss": [[1.0, 2.0], [None, 1.0]], "explained": [0.5], "center": place, "lines": [],
        "paths": {"a": [{"iteration": 0, "epoch": 0.0, "x": 0.0, "y": 0.0, "loss": 1.0}]}, "left_out": [], "seconds": 1,
    }  # fmt: skip
    file = quick_path / "landscape.json"
    file.write_text(json.dumps(content))
    LandscapeRecord.read(file)
    texts = {"split"}
    for name in content:
        for other in (*([] if name in texts else ["abc"]), -1, [[[]]], {"a": [1]}, [{"run": 5, "why": 3}], 1e999):
            file.write_text(json.dumps({**content, name: other}))
            with pytest.raises(RunError, match=r"landscape\.json is damaged"):
                LandscapeRecord.read(file)


def test_a_study_of_more_runs_than_anybody_trains_is_refused(
    little_data: Path, quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = quick_path / "study"
    compare(little_data, models=["linear"], batch_sizes=[4], epochs=1, run=path)
    file = path / "study.toml"
    content = tomllib.loads(file.read_text())
    content["compare"] |= {"seeds": list(range(3000)), "batch_sizes": list(range(1, 1000))}
    file.write_text(tomli_w.dumps(content))
    assert main(["show", str(path)]) == 2
    assert "2,997,000 runs" in capsys.readouterr().err


BOMBS = {
    "deep": "x = " + "[" * 100_000,
    "wide": "x = [" + "[]," * 100_000 + "]",
    "dotted": "a" + ".a" * 20_000 + " = 1",
    "tables": "".join(f"[t{number}]\n" for number in range(50_000)),
    "large": "x = '" + "a" * LONGEST + "'",
    "digits": "format = " + "9" * 5_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("name", ["run.toml", "study.toml"])
def test_a_bomb_ends_in_a_line_and_little_memory(
    name: str, bomb: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.path / name).write_text(BOMBS[bomb])
    tracemalloc.start()
    try:
        assert main(["show", str(run.path)]) == 2
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert capsys.readouterr().err.count("\n") == 1
    assert peak < 200 << 20


@pytest.mark.parametrize("name", ["run.toml", "study.toml", "history.db", "checkpoints"])
def test_a_device_or_a_link_in_place_of_a_file_is_named(
    name: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run.path / name
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")
    main(["show", str(run.path)])
    main(["runs", str(run.path)])
    said = capsys.readouterr()
    assert "Traceback" not in said.err


def test_a_header_of_a_checkpoint_may_be_anything(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The control of the list of runs: such a checkpoint is passed over, and said."""
    (file,) = run.folder.checkpoints.iterdir()
    for content in (b"", b"\xff" * 100, (10**6).to_bytes(8, "little") + b"[" * 10**6):
        file.write_bytes(content)
        assert RunRecord.read(run.path).problems
        ends_clearly(capsys, ["show", str(run.path)], ["runs", str(run.path)])
