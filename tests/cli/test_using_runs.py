"""`epochal evaluate`, `predict`, `show` and `runs`: what a trained run answers."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from terminal import epochal, succeed

from epochal.cli import main
from epochal.data import load_data
from epochal.record.writer import HistoryWriter

Trained = tuple[Path, dict[str, Any]]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


# --- evaluate -------------------------------------------------------------------------------------------------------


def test_evaluation_is_what_training_measured_at_its_end(trained: Trained) -> None:
    folder, shown = trained
    result = succeed("evaluate", folder, "--json").json
    last = shown["epochs"][-1]
    assert (result["samples"], result["split"], result["data"]) == (360, "test", "digits")
    assert (result["loss"], result["accuracy"]) == (last["test_loss"], last["test_accuracy"])


def test_evaluation_in_words(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "evaluate", trained[0])
    accuracy = trained[1]["epochs"][-1]["test_accuracy"]
    assert out.splitlines()[0] == "digits, test split: 360 samples, each once"
    assert out.splitlines()[1].endswith(f"accuracy {100 * accuracy:.2f} %")


def test_the_training_split_can_be_evaluated(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads(printed(capsys, "evaluate", trained[0], "--split", "train", "--json"))
    assert (result["samples"], result["split"]) == (1_437, "train")


@pytest.fixture
def samples(tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of the digits' test split."""
    test = load_data("digits").test
    return np.asarray(test.x), np.asarray(test.y)


def save(name: str, x: np.ndarray, y: np.ndarray) -> str:
    np.savez(name, x=x, y=y)
    return name


def test_other_data_of_the_same_kind_are_evaluated(
    trained: Trained, samples: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    name = save("same.npz", *samples)
    result = json.loads(printed(capsys, "evaluate", trained[0], "--data", name, "--json"))
    assert result["samples"] == 360, "every row of a file is taken"
    assert result["accuracy"] == pytest.approx(trained[1]["epochs"][-1]["test_accuracy"])


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize("what", ["more classes", "letters", "numbers", "smaller images"])
def test_data_of_another_kind_are_refused(
    what: str,
    split: str,
    trained: Trained,
    samples: tuple[np.ndarray, np.ndarray],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A label that is none of the model's classes has no loss: it must not become a NaN or a wrong accuracy."""
    x, y = samples
    other = {
        "more classes": (x, np.arange(len(x)) % 12),
        "letters": (x, np.array(list("abcdefghij"))[y]),
        "numbers": (x, y / 2),
        "smaller images": (x[:, :4], y),
    }[what]
    err = refused(capsys, "evaluate", trained[0], "--data", save("other.npz", *other), "--split", split)
    assert err.startswith("epochal: ")
    assert "trained on" in err


# --- predict --------------------------------------------------------------------------------------------------------


def test_predictions_agree_with_the_accuracy(trained: Trained, samples: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = samples
    np.save("test.npy", x)
    rows = succeed("predict", trained[0], "test.npy", "--json").json
    assert [row["sample"] for row in rows] == list(range(360))
    correct = sum(row["prediction"] == str(label) for row, label in zip(rows, y.tolist(), strict=True))
    assert correct / 360 == pytest.approx(trained[1]["epochs"][-1]["test_accuracy"])
    for row in rows:
        assert math.fsum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert row["probability"] == max(row["probabilities"].values()) == row["probabilities"][row["prediction"]]


def test_one_sample_or_many_in_several_files(
    trained: Trained, samples: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("one.npy", samples[0][0])
    np.save("three.npy", samples[0][:3].astype(np.float64))
    lines = [line.split("\t") for line in printed(capsys, "predict", trained[0], "one.npy", "three.npy").splitlines()]
    assert [line[:2] for line in lines] == [
        ["one.npy", "0"],
        ["three.npy", "0"],
        ["three.npy", "1"],
        ["three.npy", "2"],
    ]
    assert lines[0][2:] == lines[1][2:], "the same image, as bytes and as floats"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 4, 8)), "(4, 8) do not fit this model, trained on (8, 8)"),
        (np.zeros((0, 8, 8)), "no samples"),
        (np.float64(3), "holds no array of numbers"),
        (np.array("text"), "holds no array of numbers"),
        (np.full((8, 8), np.nan), "missing (NaN), infinite or beyond 32-bit floats"),
        (np.full((8, 8), 1e300), "missing (NaN), infinite or beyond 32-bit floats"),
        (np.array([None, 1]), "cannot read x.npy"),
    ],
    ids=["shape", "none", "scalar", "text", "nan", "huge", "objects"],
)
def test_what_is_no_sample_is_refused(
    array: np.ndarray, words: str, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("x.npy", array)
    err = refused(capsys, "predict", trained[0], "x.npy")
    assert words in err
    assert len(err.splitlines()) <= 2


def test_files_that_cannot_be_read_are_named(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    Path("junk.npy").write_text("junk")
    assert "cannot read junk.npy as a .npy array" in refused(capsys, "predict", trained[0], "junk.npy")
    assert "no such file" in refused(capsys, "predict", trained[0], "nowhere.npy")
    assert "name one or more files of samples" in refused(capsys, "predict", trained[0])


# --- show and runs --------------------------------------------------------------------------------------------------


def test_show_has_a_line_for_each_epoch(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "show", trained[0])
    rows = [line.split() for line in out.splitlines() if line.strip().endswith("yes")]
    assert [row[:2] for row in rows] == [["1", "15"], ["2", "15"], ["3", "15"]]
    assert out.count("✓") == 6


def test_order_processes_and_trainings_at_once_are_said_where_they_are_unusual(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = printed(capsys, "show", trained[0])
    assert not any(word in usual for word in ("order", "processes", "at once"))

    folder = tmp_path / "unusual"
    shutil.copytree(trained[0], folder)
    text = (folder / "run.toml").read_text()
    (folder / "run.toml").write_text(text.replace("[config]\n", '[config]\norder = "blocks:334x64"\n', 1))
    with HistoryWriter(folder / "history.db") as writer:
        writer.add_event(45, "resumed", hosts={"one": 2, "other": 1}, at_once=4)

    assert main(["show", str(folder)]) == 0
    shown = capsys.readouterr().out  # beside it stands that run.toml is another
    assert "order blocks:334x64: blocks of 334 neighbouring rows, shuffled 64 blocks at a time" in shown
    assert "trained by 3 processes, on one, other" in shown
    assert "these are the seconds of 4 trainings at once" in shown

    assert main(["report", str(folder)]) == 0
    page = re.sub("<[^>]*>", " ", (folder / "report.html").read_text())
    for name, value in (("order of samples", "blocks:334x64"), ("processes", "3, on one, other"), ("at once", "4")):
        assert re.search(rf"{name}.{{0,40}}\s{value}\s", page, re.DOTALL), name  # Chinese is between them


def test_runs_are_listed_and_damaged_ones_are_named(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained[0].parent
    (row,) = json.loads(printed(capsys, "runs", folder, "--json"))
    assert row["run"] == str(trained[0])
    assert (row["iteration"], row["iterations"], row["status"]) == (45, 45, "finished")
    assert row["test_accuracy"] == trained[1]["epochs"][-1]["test_accuracy"]
    Path("here/damaged").mkdir(parents=True)
    Path("here/damaged/run.toml").write_text("no = toml =")
    assert "cannot be read" in json.loads(printed(capsys, "runs", "here", "--json"))[0]["status"]
    assert "damaged" in printed(capsys, "runs", "here")


# --- data -----------------------------------------------------------------------------------------------------------


def test_named_data_sets_are_listed() -> None:
    rows = {row["name"]: row for row in succeed("data", "--json").json}
    assert rows["mnist"]["train"] == 60_000
    assert rows["digits"]["state"] == "embedded"
    assert rows.keys() >= {"digits", "digits-60k", "mnist", "fashion-mnist", "kmnist"}
    out = succeed("data").out
    assert all(name in out for name in rows)
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 80


def test_a_data_set_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(printed(capsys, "data", "digits", "--json"))
    data = load_data("digits")
    assert facts["fingerprint"] == data.fingerprint
    assert (facts["training samples"], facts["test samples"]) == (1_437, 360)
    assert facts["fingerprint"] in printed(capsys, "data", "digits")


def test_an_unknown_data_set_is_refused() -> None:
    answer = epochal("data", "minst")
    assert (answer.status, answer.out) == (2, "")
    assert "did you mean 'mnist'?" in answer.err
