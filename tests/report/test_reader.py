"""From run folders and studies to the model of a page; what cannot be read is said beside what can."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal.errors import DataError, RunError
from epochal.record.schema import checksum
from epochal.record.study_record import StudyRecord
from epochal.report import read, render
from epochal.report.page_model import Notice, Page, Predictions
from epochal.run import Run, anew, train
from epochal.run.callbacks import StopWhen
from epochal.run.outputs import OutputsReader
from small import small_study, three_clouds

CopyRun = Callable[..., Path]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 2 epochs on digits."""
    path = tmp_path_factory.mktemp("reader") / "trained"
    train("digits", model="linear", batch_size=100, epochs=2, run=path)
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """Two batch sizes with two seeds each."""
    return small_study(tmp_path_factory.mktemp("studies") / "s", batch_sizes=[7, "all"], seeds=[0, 1])


@pytest.fixture
def copy_run(trained: Path, tmp_path: Path) -> CopyRun:
    def copy(name: str = "copy") -> Path:
        return Path(shutil.copytree(trained, tmp_path / name))

    return copy


def stopped_run(path: str, after: int = 3) -> Run:
    """A run on digits that was asked to stop."""
    asked = iter(range(100))
    stop = StopWhen(lambda: next(asked) >= after)
    return train("digits", model="linear", batch_size=500, epochs=50, run=path, callbacks=stop)


def read_all(*paths: str | Path) -> Page:
    """Read everything, predictions included."""
    return read(paths, outputs=OutputsReader())


def keys(notices: tuple[Notice, ...]) -> list[str]:
    return [notice.key for notice in notices]


class TestOneRun:
    def test_everything_of_it(self, trained: Path) -> None:
        page = read([trained], outputs=OutputsReader(), now=lambda: datetime(2025, 1, 2, 3, 4, tzinfo=UTC))
        (run,) = page.runs
        original = Run.open(trained)
        assert (page.title, page.made, page.notices, page.study) == (
            "trained",
            "2025-01-02T03:04",
            (),
            None,
        )
        assert run.record.status == "finished"
        assert run.record.is_over
        np.testing.assert_array_equal(run.record.history.losses, original.history.losses)
        assert run.record.history.epochs == original.history.epochs
        assert run.weights_sha256 == original.weights_sha256
        assert run.record.recorded == original.position
        assert all(fact.agrees for fact in run.record.facts())

    def test_its_answers_have_the_accuracy_of_its_evaluation(self, trained: Path) -> None:
        (run,) = read_all(trained).runs
        assert isinstance(run.predictions, Predictions)
        evaluation = Run.open(trained).evaluate()
        assert run.predictions.confusion.sum() == evaluation.samples
        assert run.predictions.confusion.trace() / evaluation.samples == evaluation.accuracy
        mistake = run.predictions.mistakes[0]
        assert mistake.image is not None
        assert mistake.image.shape == (8, 8)
        assert mistake.true == Run.open(trained).data.test.y[mistake.index]

    def test_without_answers_it_needs_no_data(self, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("epochal.run.anew.load_data", lambda *args, **options: pytest.fail("loaded"))
        (run,) = read([trained]).runs
        assert isinstance(run.predictions, Notice)
        assert run.weights_sha256 is None

    def test_data_that_are_not_at_hand(self, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: Any, **options: Any) -> Any:
            raise DataError("the file is gone")

        monkeypatch.setattr("epochal.run.anew.load_data", fail)
        (run,) = read_all(trained).runs
        assert run.predictions == Notice("unpredicted", {"reason": "the file is gone"})
        assert run.weights_sha256 is not None

    def test_a_report_is_no_reason_for_a_download(self, copy_run: CopyRun, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("EPOCHAL_DATA", raising=False)
        path = copy_run()
        file = path / "run.toml"
        file.write_text(
            file.read_text(encoding="utf-8").replace('data = "digits"', 'data = "kmnist"'), encoding="utf-8"
        )
        (run,) = read_all(path).runs
        assert isinstance(run.predictions, Notice)
        assert "'kmnist' is not on this machine" in str(run.predictions.values["reason"])

    def test_parts_from_python(self, tmp_path: Path) -> None:
        train(three_clouds(), model="linear", batch_size=10, epochs=1, run=tmp_path / "own")
        (run,) = read_all(tmp_path / "own").runs
        assert run.predictions == Notice("custom", {"parts": "data"})
        assert "trained from Python with its own data" in render(read_all(tmp_path / "own"))

    def test_a_regression_has_nothing_to_confuse(self, tmp_path: Path) -> None:
        x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        train((x, x.sum(axis=1)), model="linear", batch_size=10, epochs=2, run=tmp_path / "r")
        (run,) = read_all(tmp_path / "r").runs
        assert run.predictions == Notice("regression", {})
        render(read_all(tmp_path / "r"))


class TestUnfinished:
    def test_a_stopped_run_is_shown_as_far_as_it_came(self, tmp_path: Path) -> None:
        stopped = stopped_run("stopped")
        page = read_all("stopped")
        (run,) = page.runs
        assert run.record.status == "stopped"
        assert run.record.history.losses.size == stopped.history.losses.size
        (notice,) = page.notices
        assert notice.key == "unfinished"
        assert (notice.values["status"], notice.values["iterations"]) == ("stopped", 150)
        assert "is not finished (stopped" in render(page)

    def test_a_killed_run_is_called_interrupted(self, tmp_path: Path) -> None:
        """A dead process leaves its session running and its lock free."""
        stopped_run("killed")
        _rewrite_session("killed", "running")
        (run,) = read_all("killed").runs
        assert run.record.status == "interrupted"
        assert not run.record.is_over

    def test_a_run_without_a_checkpoint_has_curves_but_no_answers(self, copy_run: CopyRun) -> None:
        path = copy_run()
        shutil.rmtree(path / "checkpoints")
        (run,) = read_all(path).runs
        assert run.record.history.losses.size == 30
        assert isinstance(run.predictions, Notice)
        assert "no checkpoint" in str(run.predictions.values["reason"])


def _rewrite_session(path: str, status: str) -> None:
    """Write what a killed process would have left, checksum included."""
    with sqlite3.connect(Path(path) / "history.db") as database:
        database.row_factory = sqlite3.Row
        row = dict(database.execute("SELECT * FROM sessions ORDER BY id DESC LIMIT 1").fetchone())
        row["status"] = status
        crc = checksum([value for name, value in row.items() if name not in ("id", "crc32")])
        database.execute("UPDATE sessions SET status = ?, crc32 = ? WHERE id = ?", (status, crc, row["id"]))
    database.close()


class TestSeveral:
    def test_the_same_run_twice_is_one(self, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(trained.parent)
        assert len(read([trained, "trained", f"{trained}/../trained"]).runs) == 1

    def test_folders_of_one_name_are_told_apart(self, copy_run: CopyRun) -> None:
        paths = [copy_run("a/run"), copy_run("b/run")]
        assert [run.name for run in read(paths).runs] == ["a/run", "b/run"]

    def test_their_data_are_loaded_once(self, copy_run: CopyRun, monkeypatch: pytest.MonkeyPatch) -> None:
        loads = []
        load = anew.load_data
        counted = lambda source, **rest: loads.append(source) or load(source, **rest)  # noqa: E731
        monkeypatch.setattr(anew, "load_data", counted)
        read_all(copy_run("a"), copy_run("b"))
        assert sum(isinstance(source, str) for source in loads) == 1

    def test_what_cannot_be_compared_is_said(self, trained: Path, tmp_path: Path) -> None:
        train(three_clouds(), model="mlp", loss="mean-squared-error", batch_size=10, epochs=1, run=tmp_path / "other")
        page = read([trained, tmp_path / "other"])
        assert len(page.runs) == 2
        assert {"other_data", "other_model", "other_loss"} <= set(keys(page.notices))
        assert "different data (digits, clouds)" in render(page)

    def test_runs_of_one_kind_need_no_warning(self, copy_run: CopyRun) -> None:
        assert read([copy_run("a"), copy_run("b")]).notices == ()

    def test_a_damaged_run_is_left_out_and_named(self, trained: Path, copy_run: CopyRun) -> None:
        damaged = copy_run("damaged")
        (damaged / "history.db").write_bytes(b"no history" * 1000)
        page = read([trained, damaged])
        assert [run.name for run in page.runs] == ["trained"]
        (notice,) = page.notices
        assert (notice.key, notice.values["run"]) == ("unreadable", "damaged")
        assert "history.db" in str(notice.values["reason"])


def test_a_path_that_is_no_run_is_named_beside_those_that_are(trained: Path) -> None:
    page = read([trained, "gone"])
    assert len(page.runs) == 1
    assert keys(page.notices) == ["unreadable"]


class TestNothingToShow:
    def test_no_path(self) -> None:
        with pytest.raises(RunError, match="give a run folder or a study folder"):
            read_all()

    def test_no_such_folder(self) -> None:
        with pytest.raises(RunError, match=r"there is no run folder runs/gone"):
            read_all("runs/gone")

    def test_a_folder_of_something_else(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="neither a run nor a study"):
            read_all(tmp_path)

    @pytest.mark.parametrize("file", ["run.toml", "history.db"])
    def test_a_damaged_run_alone(self, copy_run: CopyRun, file: str) -> None:
        path = copy_run()
        (path / file).write_bytes(b"\x00 = broken")
        with pytest.raises(RunError, match=rf"{file} is damaged"):
            read_all(path)

    def test_a_study_without_a_run(self, tmp_path: Path) -> None:
        study = small_study(tmp_path / "study", batch_sizes=[10], epochs=1)
        shutil.rmtree(study.path / "batch-10")
        with pytest.raises(RunError, match="holds no run yet"):
            read_all(study.path)


class TestStudies:
    @pytest.fixture
    def copied(self, study: StudyRecord, tmp_path: Path) -> Path:
        return Path(shutil.copytree(study.path, tmp_path / "study"))

    def test_its_runs_in_their_order(self, study: StudyRecord) -> None:
        page = read([study.path])
        assert [run.name for run in page.runs] == [member.name for member in study.members]
        assert (page.title, page.study) == ("s", str(study.path))
        assert page.target_accuracy == 0.95
        assert [band.group for band in page.bands] == ["batch-7", "batch-all"]

    def test_a_run_that_has_not_begun_is_named(self, copied: Path) -> None:
        shutil.rmtree(copied / "batch-7-seed-1")
        page = read([copied])
        assert len(page.runs) == 3
        assert Notice("missing", {"run": "batch-7-seed-1"}) in page.notices

    def test_a_landscape(self, copied: Path) -> None:
        grid = {"x": [0, 1], "y": [0, 1, 2], "loss": [[1, 2], [3, None], [5, 6]]}
        dots = [{"iteration": 0, "epoch": 0.0, "x": 0.1, "y": 0.2, "loss": 2.3}]
        line = {"from": {"run": "a", "epoch": 0}, "to": {"run": "a", "epoch": 3}, "t": [0, 1], "loss": [2, None]}
        content = {
            **grid, "kind": "pca", "split": "train", "samples": 50, "of": 60, "explained": [0.7, 0.2],
            "paths": {"batch-7-seed-0": dots}, "lines": [line], "left_out": [{"run": "gone", "why": "no snapshots"}],
        }  # fmt: skip
        (copied / "landscape.json").write_text(json.dumps(content), encoding="utf-8")
        page = read([copied])
        (landscape,) = page.landscapes
        assert landscape.loss.shape == (3, 2)
        assert np.isnan(landscape.loss[1, 1])
        assert landscape.trajectories[0].iteration.tolist() == [0]
        assert (landscape.lines[0].end.run, landscape.lines[0].end.epoch) == ("a", 3.0)
        assert Notice("no_trajectory", {"run": "gone", "reason": "no snapshots"}) in page.notices
        render(page)

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{}",
            '{"x": [0], "y": [0], "loss": [[1]]}',
            "[1, 2",
            '{"paths": []}',
            '{"x": [1' + "0" * 400 + "]}",
            "[" * 100_000,
        ],
    )
    def test_a_damaged_landscape_is_left_out_and_said(self, copied: Path, content: str) -> None:
        (copied / "landscape.json").write_text(content, encoding="utf-8")
        page = read([copied])
        assert page.landscapes == ()
        assert "landscape" in keys(page.notices)

    def test_a_damaged_study(self, copied: Path) -> None:
        (copied / "study.toml").write_text("format = 1\n", encoding="utf-8")
        with pytest.raises(RunError, match=r"study\.toml is damaged"):
            read_all(copied)

    def test_studies_and_runs_together(self, copied: Path, trained: Path) -> None:
        assert len(read([copied, trained]).runs) == 5
