"""Names of classes, columns, files and folders, from data and from runs, in whatever the command line shows of them."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from epochal.cli import main

ESCAPE = "\x1b]0;X\x07"
NAME = f"{ESCAPE}\x9b2J\u202e[/red][bold]:smile:<b>\n"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and a run of it, both of whose names do what they can."""
    home = tmp_path_factory.mktemp("hostile")
    rows = "\n".join(f"{i},{i * i % 7},{f'=c{ESCAPE}[/]' if i % 2 else 'd'}" for i in range(40))
    (home / "t.csv").write_text(f"a{ESCAPE},b[/x],y\n{rows}\n", encoding="utf-8")
    assert main(["train", str(home / "t.csv"), "--epochs", "2", "--run", str(home / f"r{NAME}")]) == 0
    return home


def commands(home: Path) -> list[list[str]]:
    run = str(home / f"r{NAME}")
    return [
        ["data", str(home / "t.csv")],
        ["runs", str(home)],
        ["runs", str(home), "--json"],
        ["show", run],
        ["show", run, "--json"],
        ["show", run, "--csv", "--table", "metrics"],
        ["show", f"no{NAME}"],
        ["evaluate", run],
        ["predict", run, str(home / "t.csv")],
        ["train", f"no{NAME}"],
        ["train", str(home / "t.csv"), "--target", NAME],
        ["train", "--model", NAME],
        [NAME],
        ["plan", f"--{NAME}"],
        ["resume", run],
        ["rerun", run],
        ["report", run],
        ["export", run, "--to", "numpy"],
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_name_acts_on_the_terminal(hostile: Path, capsys: pytest.CaptureFixture[str], language: str) -> None:
    for words in commands(hostile):
        status = main([*words, "--lang", language])
        out, err = capsys.readouterr()
        assert status in (0, 2), words
        assert not set("\x1b\x9b\x07\u202e\r") & set(out + err), words
        assert all(line.startswith(("epochal: ", "  ")) for line in err.splitlines()), (words, err)


def test_a_name_is_shown_whole(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["show", str(hostile / f"r{NAME}")])
    assert "r␛]0;X␇�2J�[/red][bold]:smile:<b>␊" in capsys.readouterr().out
    main(["show", str(hostile / f"r{NAME}"), "--json"])
    assert json.loads(capsys.readouterr().out)["run"].endswith(f"r{NAME}")


def test_the_page_of_such_a_run_shows_text(hostile: Path) -> None:
    run = hostile / f"r{NAME}"
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "r␛]0;X␇" in page
    assert "[bold]:smile:<b>" not in page
    assert not set("\x1b\x9b\u202e") & set(page)


def test_predictions_hold_no_formula(hostile: Path) -> None:
    out = hostile / "p.csv"
    assert main(["predict", str(hostile / f"r{NAME}"), str(hostile / "t.csv"), "--out", str(out)]) == 0
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["prediction"] for row in rows} <= {"'=c␛]0;X␇[/]", "d"}
    assert "\x1b" not in out.read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes there")
def test_a_file_name_that_is_no_text(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = os.fsdecode(os.fsencode(hostile) + b"/bytes\xff")
    assert main(["train", str(hostile / "t.csv"), "--epochs", "1", "--run", run]) == 0
    for words in (["show", run], ["show", run, "--json"], ["report", run], ["runs", str(hostile)]):
        assert main(words) == 0, words
    assert "bytes�" in capsys.readouterr().out
