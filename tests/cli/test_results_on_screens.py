"""What is printed of trained runs on screens of any width, and commands that can be pasted whatever a name holds."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from terminal import in_terminal, lines_of

from epochal.cli.main import main
from epochal.run import train
from epochal.study import compare
from epochal.words.layout import cells

NAMES = ("my study", "it's", '"quoted"', "研究 一", "-x", "a&b;c", "--out", "$HOME", "b\\n")
NUMBERS = re.compile(r"\d[\d,.]*")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on digits, on the disk. Not to be changed."""
    path = tmp_path_factory.mktemp("screens") / "study"
    compare("digits", models="linear", batch_sizes=[100, "all"], epochs=2, run=path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("screens") / "运行 一"
    train("digits", model="linear", batch_size=100, epochs=2, run=path)
    return path


def shown(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main([*map(str, words)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("columns", [0, 1, 20, 40, 60])
@pytest.mark.parametrize("command", ["study", "run", "runs", "data"])
def test_no_number_is_lost_on_a_narrow_screen(
    command: str,
    columns: int,
    language: str,
    study: Path,
    run: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(study.parent)
    words = {"study": ("show", study), "run": ("show", run), "runs": ("runs", "study"), "data": ("data",)}[command]
    monkeypatch.setenv("COLUMNS", "200")
    wide = shown(capsys, *words, "--lang", language)
    monkeypatch.setenv("COLUMNS", str(columns))
    narrow = shown(capsys, *words, "--lang", language)
    assert set(NUMBERS.findall(wide)) <= set(NUMBERS.findall(narrow))

    tables = [line for line in narrow.splitlines() if line[:1] == " " != line[1:2]]
    if columns >= 40:
        assert max(map(cells, tables), default=0) <= columns


@pytest.mark.parametrize("language", ["en", "zh"])
def test_everything_fits_a_terminal_of_60_columns(language: str, study: Path, run: Path) -> None:
    for words in (("show", str(study)), ("show", str(run)), ("runs", str(study)), ("data",)):
        status, written = in_terminal(*words, "--lang", language, columns=60)
        assert status == 0
        # a folder's path, and a command with one, are as long as they are
        whole = ("    epochal", str(study), str(run))  # commands and paths are not divided
        lines = [line for line in lines_of(written) if not any(one in line for one in whole)]
        assert max(map(cells, lines)) <= 60, words


@pytest.mark.parametrize("name", NAMES)
def test_suggested_commands_can_be_pasted(
    name: str, study: Path, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(study, workplace / name)
    said = shown(capsys, "show", f"./{name}" if name.startswith("-") else name)
    report, landscape = [line.strip() for line in said.splitlines() if line.startswith("    epochal")]
    assert landscape.startswith("epochal compare --run ")
    assert landscape.endswith(" --landscape")

    program, *words = shlex.split(report)
    assert program == "epochal"
    shown(capsys, *words)
    assert (workplace / name / "report.html").is_file()
    assert shlex.split(landscape)[3].removeprefix("./") == name


def test_what_is_not_finished_has_its_command(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(study, "-my study")
    shutil.rmtree("-my study/batch-all")
    said = shown(capsys, "show", "./-my study")
    assert "batch-all has not begun" in said
    (command,) = [line.strip() for line in said.splitlines() if line.startswith("    epochal")]
    assert command == "epochal compare --run './-my study'"
    assert "one page with curves and landscape" in shown(capsys, *shlex.split(command)[1:])
