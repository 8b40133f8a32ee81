"""Commands that show a run say what in its folder is not as it was written; they are never silent about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from epochal import Run, train
from epochal.cli import main
from epochal.errors import AlteredWarning
from epochal.record.checkpoint_file import checkpoint_files
from little import little_data

__all__ = ["little_data"]


@pytest.fixture
def run(little_data: Path, workplace: Path) -> Path:
    """A finished run with two checkpoints."""
    from epochal import resume

    path = train(little_data, run=workplace / "runs" / "r", model="linear", batch_size=4, epochs=2).path
    return resume(path, epochs=3).path


def damage(path: Path) -> None:
    newest = checkpoint_files(path / "checkpoints")[0]
    content = bytearray(newest.read_bytes())
    content[-3] ^= 1
    newest.write_bytes(content)


def alter(path: Path) -> None:
    file = path / "run.toml"
    text = file.read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("lr = ")]
    file.write_text(text.replace(line, "lr = 9.9"))


COMMANDS = (["show"], ["show", "--json"], ["evaluate"], ["report"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_older_checkpoint_is_not_taken_in_silence(
    command: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, str(run)]) == 0
    assert "warning" not in capsys.readouterr().err, "the control: nothing is said of a run as it was written"
    damage(run)
    assert main([*command, str(run)]) == 0
    said = capsys.readouterr()
    assert said.err.count("is damaged: its content does not have the checksum in its name; passed over") == 1 or (
        "passed over" in json.loads(said.out)["problems"][0]
    )


@pytest.mark.parametrize("command", [*COMMANDS, ["runs"]], ids=" ".join)
def test_an_altered_run_toml_is_not_shown_as_what_was_trained(
    command: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alter(run)
    assert main([*command, str(run.parent if command == ["runs"] else run)]) == 0
    said = capsys.readouterr()
    assert "altered" in said.out if command == ["runs"] else "was made with lr = " in said.err + said.out


def test_the_report_itself_says_so(run: Path) -> None:
    alter(run)
    damage(run)
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "is not as it was written" in page
    assert "was made with" in page
    assert "passed over" in page


def test_python_warns(run: Path) -> None:
    damage(run)
    with pytest.warns(AlteredWarning, match="passed over for the one before"):
        Run.open(run).evaluate()


def test_every_list_says_which_runs_were_altered(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alter(run)
    assert main(["runs", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert "was made with lr" in row["problems"][0]
