"""Files that a run names are read where this user named them, and never because a folder from elsewhere says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from epochal import Run, compare, load_data, resume, train
from epochal.cli import main
from epochal.config.train_config import TrainConfig
from epochal.errors import RunError
from epochal.run.own_files_only import files_of, is_marked, marked
from epochal.study.comparison import resume_study
from little import little_data

__all__ = ["little_data"]

OPTIONS = {"model": "linear", "batch_size": 4, "epochs": 2}
UNASKED = "was not made here by you, so .*, which it names as its data, is not read unasked; say where its data are"


@pytest.fixture
def run(little_data: Path, workplace: Path) -> Path:
    """A run of the user's own file."""
    return train(little_data, run=workplace / "run", **OPTIONS).path


def elsewhere(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Be another user, or on another machine: with another key."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home))


def test_known_data_sets_and_shares_are_no_files() -> None:
    assert files_of(TrainConfig(data="digits", test="0.2")) == {}
    assert files_of(TrainConfig(data="a.csv", test="b.csv", validation="0.1")) == {"data": "a.csv", "test": "b.csv"}


def test_a_run_of_the_users_own_continues_without_ceremony_wherever_its_folder_is(run: Path, workplace: Path) -> None:
    moved = workplace / "there"
    run.rename(moved)
    assert resume(moved, epochs=3).status == "finished"
    assert Run.open(moved).evaluate().samples > 0


def test_a_run_from_elsewhere_reads_no_file_until_it_is_named(
    run: Path, little_data: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(monkeypatch, workplace / "other")
    for use in (lambda: resume(run, epochs=3), lambda: Run.open(run).evaluate(), lambda: Run.open(run).data):
        with pytest.raises(RunError, match=UNASKED):
            use()
    assert Run.open(run).predict(load_data(little_data).test.whole().x).shape[0] > 0, "which needs no data"
    assert resume(run, epochs=3, data=little_data).status == "finished"
    assert resume(run, epochs=4).status == "finished", "it is named from there on"


def test_who_named_it_before_still_needs_no_ceremony(
    run: Path, little_data: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        elsewhere(other, workplace / "other")
        resume(run, epochs=3, data=little_data)
    assert resume(run, epochs=4).status == "finished"


def test_a_run_toml_that_was_made_to_name_another_file_reads_nothing(
    run: Path, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = workplace / "secret.csv"
    secret.write_text("key,b,y\nAKIA-SECRET,1,2\n")
    opened = os.stat(secret).st_atime_ns
    file = run / "run.toml"
    text = file.read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("data = ")]
    file.write_text(text.replace(line, f'data = "{secret}"'))
    assert main(["report", str(run)]) == 0
    assert "AKIA" not in (run / "report.html").read_text()
    assert main(["evaluate", str(run)]) == main(["resume", str(run), "--epochs", "3"]) == 2
    assert "is not read unasked" in capsys.readouterr().err
    assert os.stat(secret).st_atime_ns == opened


def test_test_samples_in_a_file_are_named_with_the_data(
    run: Path, little_data: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = run / "run.toml"
    file.write_text(file.read_text().replace("[config]\n", f'[config]\nvalidation = "{workplace}/secret.csv"\n'))
    with pytest.raises(RunError, match="which it names as its validation samples, is not read unasked; load its data"):
        resume(run, epochs=3, data=little_data)


def test_a_study_from_elsewhere_is_asked_for_its_data_too(
    little_data: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = compare(little_data, models=["linear"], batch_sizes=[4, 8], epochs=1, run=workplace / "study").path
    assert resume_study(study, epochs=2).is_finished
    elsewhere(monkeypatch, workplace / "other")
    with pytest.raises(RunError, match=UNASKED):
        resume_study(study, epochs=3)
    with pytest.raises(RunError, match=UNASKED):
        main_compare(study)
    assert compare(little_data, models=["linear"], batch_sizes=[4, 8], epochs=2, run=study).is_finished


def main_compare(study: Path) -> None:
    from epochal.study.planning import plan_study

    plan_study({}, study)


def test_a_key_that_others_can_read_marks_nothing(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(data="a.csv")
    elsewhere(monkeypatch, workplace / "state")
    marks = marked(config, "ab")
    assert is_marked(config, "ab", marks)
    assert not is_marked(config, "cd", marks)
    assert not is_marked(TrainConfig(data="b.csv"), "ab", marks)
    (key,) = (workplace / "state").rglob("*.key")
    assert key.stat().st_mode & 0o077 == 0
    key.chmod(0o644)
    assert marked(config, "ab") == ()
    shutil.rmtree(workplace / "state")
    (workplace / "state").write_text("no folder")
    assert marked(config, "ab") == ()
