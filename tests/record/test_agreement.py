"""A history whose rows each have their checksum, and that tells of no training all the same."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from epochal import Run, resume
from epochal.cli import main
from epochal.errors import AlteredWarning, RunError
from epochal.record.run_record import RunRecord
from epochal.record.schema import checksum


def rewrite(run: Run, table: str, **new: Any) -> None:
    """Change the last row of a table, and its checksum with it."""
    with closing(sqlite3.connect(run.folder.history_db)) as database, database:
        database.row_factory = sqlite3.Row
        found = dict(database.execute(f"SELECT rowid AS at, * FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone())
        at, _ = found.pop("at"), found.pop("id", None)
        del found["crc32"]
        values = {**found, **new}
        marks = ", ".join(f"{name} = ?" for name in values)
        database.execute(
            f"UPDATE {table} SET {marks}, crc32 = ? WHERE rowid = ?", (*values.values(), checksum(values.values()), at)
        )


def delete(run: Run, what: str) -> None:
    with closing(sqlite3.connect(run.folder.history_db)) as database, database:
        database.execute(f"DELETE FROM {what}")


def test_a_history_that_a_training_wrote_agrees_with_itself(run: Run) -> None:
    longer = resume(run.path, epochs=5)
    assert RunRecord.read(longer.path).problems == ()


IMPOSSIBLE = [
    ("epochs", {"end_iteration": 2**62}, "epoch 3 begins at iteration"),
    ("epochs", {"end_iteration": 2**62, "iterations": 2**62 - 12}, "epoch 3 ends at iteration"),
    ("epochs", {"iterations": 0}, "epoch 3 begins at iteration 18, and the one before ends at 12"),
    ("epochs", {"complete": 0}, "it finished after 3 epochs, and holds 2"),
    ("metrics", {"iteration": 2**62}, "an evaluation follows iteration"),
    ("sessions", {"first_iteration": 2**62}, "a session ends at iteration"),
    ("sessions", {"end_iteration": 6}, "it finished at iteration 6, and holds 18"),
]


@pytest.mark.parametrize(("table", "new", "why"), IMPOSSIBLE)
def test_every_command_says_what_it_says_otherwise(
    table: str, new: dict[str, Any], why: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(run, table, **new)
    for command in ("show", "evaluate", "report"):
        assert main([command, str(run.path)]) == 0
        assert (
            f"history.db contradicts itself: {'' if why.startswith(('a', 'it')) else 'its '}{why}"
            in capsys.readouterr().err
        )
    main(["runs", str(run.path), "--json"])
    assert why in json.loads(capsys.readouterr().out)[0]["problems"][0]


def test_rows_that_are_gone_are_said(run: Run) -> None:
    delete(run, "epochs WHERE epoch = 2")
    with pytest.warns(AlteredWarning, match="it finished after 3 epochs, and holds 2"):
        RunRecord.read(run.path).check()
    delete(run, "sessions")
    with pytest.warns(AlteredWarning, match="it holds 18 iterations, and no session that trained them"):
        RunRecord.read(run.path).check()


def test_a_run_whose_budget_was_not_reached_is_not_finished(run: Run) -> None:
    """As where a process was lost after it had written a larger budget, and before it began to train."""
    file = run.folder.run_toml
    file.write_text(file.read_text().replace('budget = "3ep"', 'budget = "9ep"'))
    assert run.status == "finished"
    assert RunRecord.read(run.path).status == "interrupted"


def test_a_block_that_says_another_length_is_seen_without_reading_losses(run: Run) -> None:
    with closing(sqlite3.connect(run.folder.history_db)) as database, database:
        database.execute("UPDATE iterations SET count = ?", (2**62,))
    with pytest.raises(RunError, match="the losses from iteration 0 on are not as they were written"):
        RunRecord.read(run.path, losses=False)


DETAILS: list[dict[str, Any]] = [
    *({"hosts": hosts} for hosts in ("abc", [1], {"a": "x"}, {"a": float("nan")}, 5)),
    *({"at_once": at_once} for at_once in ("x", [1], float("inf"), 0)),
]


@pytest.mark.parametrize("detail", DETAILS, ids=str)
def test_the_detail_of_an_event_may_be_anything(
    detail: dict[str, Any], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(run, "events", kind="started", detail=json.dumps(detail))
    assert main(["show", str(run.path)]) == 2
    assert "history.db is damaged: the detail of event started" in capsys.readouterr().err


def test_a_session_begins_at_some_time(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(run, "sessions", started="----------")
    assert main(["export", str(run.path), "--to", "tensorboard", "--out", str(tmp_path / "logs")]) == 2
    assert "sessions.started is '----------', not a time" in capsys.readouterr().err


def test_seconds_have_a_sum(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(run, "epochs", seconds=1e308)
    assert main(["report", str(run.path)]) == 2
    assert "epochs.seconds is 1e+308" in capsys.readouterr().err
