"""Weights & Biases, offline: what stands in its files, over stops and kills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from following import OPTIONS, clouds, killed

from epochal import Run, resume, train
from epochal.errors import OptionError
from epochal.loggers import WandB
from epochal.loggers.wandb_file import last_step, records
from little import StopAfter

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")


def teardown() -> None:
    """Wait until its other process has written everything."""
    import wandb

    wandb.teardown()


def written(folder: Path) -> tuple[dict[int, dict[str, Any]], list[Any]]:
    """Return what the files of a run hold: by step, and all other records. A step that comes twice is refused."""
    from wandb.proto.wandb_internal_pb2 import Record

    teardown()
    steps: dict[int, dict[str, Any]] = {}
    others = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for block in records(path.read_bytes()):
            record = Record.FromString(block)
            if record.WhichOneof("record_type") != "history":
                others.append(record)
                continue
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            step = items["_step"]
            assert step not in steps, f"step {step} came twice"
            steps[step] = items
    return steps, others


def check(folder: Path, run: Run) -> list[Any]:
    steps, others = written(folder)
    assert {step: items["loss"] for step, items in steps.items()} == pytest.approx(
        dict(enumerate(run.history.losses.tolist(), 1))
    )
    rows = {step: items for step, items in steps.items() if "train/loss" in items}
    assert list(rows) == [row.end_iteration for row in run.history.epochs]
    assert all(items["audit/exact"] == 1 for items in rows.values())
    assert [items["test/accuracy"] for items in rows.values()] == [test.accuracy for test in run.history.tests]
    return others


def test_a_training_that_is_stopped_and_continued(tmp_path: Path) -> None:
    train(
        clouds(),
        run=tmp_path / "run",
        callbacks=[WandB(project="p", mode="offline", dir=tmp_path), StopAfter(33)],
        **OPTIONS,
    )
    run = resume(tmp_path / "run", data=clouds(), callbacks=WandB(project="p", mode="offline", dir=tmp_path))
    others = check(tmp_path, run)
    ids = {record.run.run_id for record in others if record.WhichOneof("record_type") == "run"}
    assert ids == {json.loads((run.path / "loggers.json").read_bytes())["WandB"]["id"]}
    configs = "".join(str(record) for record in others)
    assert "batch_size" in configs
    assert "finished" in configs


def test_a_killed_process_leaves_no_step_twice_and_none_out(tmp_path: Path) -> None:
    path = killed(tmp_path, "WandB(project='p', mode='offline', share=1.0)")
    run = resume(path, data=clouds(), callbacks=WandB(project="p", mode="offline", dir=tmp_path))
    check(tmp_path, run)


def test_the_last_step_of_a_file_that_was_cut_off(tmp_path: Path) -> None:
    train(clouds(), run=False, callbacks=WandB(project="p", mode="offline", dir=tmp_path), **OPTIONS)
    teardown()
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert last_step(path) == 60
    content = path.read_bytes()
    steps = []
    for length in range(len(content), 0, -200):
        path.write_bytes(content[:length])
        steps.append(last_step(path))
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] == 0


def test_where_it_is_missing_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(OptionError, match="pip install wandb"):
        train(clouds(), run=False, callbacks=WandB(), **OPTIONS)
