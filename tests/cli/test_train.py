"""`epochal train`, end to end: what is planned is shown, what is counted agrees, and the run lies in its folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from terminal import in_terminal, lines_of, succeed

from epochal.clock import Plan
from epochal.run import Run, train

PLAN = Plan(1_437, 100, epochs=3)
Trained = tuple[Path, dict[str, Any]]


def test_json_has_what_others_build_on(trained: Trained) -> None:
    folder, shown = trained
    assert shown["status"] == "finished"
    assert shown["plan"] == {**PLAN.facts(), "budget": "3ep"}
    assert shown["position"] == {"iteration": 45, "epoch": 3, "offset": 0}
    assert re.fullmatch("[0-9a-f]{64}", shown["weights_sha256"])
    assert 0 < shown["seconds"] < 60
    assert shown["iterations_per_second"] > 0
    assert Path(shown["run"]) == folder


def test_json_has_a_row_for_each_epoch_with_its_audit(trained: Trained) -> None:
    rows = trained[1]["epochs"]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert row["samples"] == 1_437
        assert row["audit"]["exact"] is True
        assert row["audit"]["samples"] == row["audit"]["expected_samples"] == 1_437
        assert row["audit"]["hash"] == row["audit"]["expected_hash"]
        assert row["seconds"] > 0
        assert 0 < row["test_accuracy"] <= 1
    losses = [row["train_loss"] for row in rows]
    assert losses == sorted(losses, reverse=True), "each epoch is nearer to the valley's floor"


def test_json_is_the_whole_output_and_show_prints_the_same(trained: Trained) -> None:
    assert succeed("show", trained[0], "--json").json == trained[1]


def test_train_loss_is_the_mean_over_samples_of_the_losses_when_they_were_used(trained: Trained) -> None:
    """The control: the mean of batch means gives the last batch of 37 samples the weight of 100."""
    folder, shown = trained
    losses = Run.open(folder).history.losses
    assert losses.size == 45
    sizes = [100] * 14 + [37]
    for row, used in zip(shown["epochs"], losses.reshape(3, 15).astype(np.float64), strict=True):
        assert row["train_loss"] == pytest.approx(np.average(used, weights=sizes), rel=1e-6)
        assert row["train_loss"] != pytest.approx(used.mean(), rel=1e-6)


def test_the_same_training_ends_with_the_same_bits(trained: Trained) -> None:
    """Here another process, and another entrance: the configuration alone decides."""
    assert train("digits", epochs=3).weights_sha256 == trained[1]["weights_sha256"]
    assert train("digits", epochs=3, seed=1).weights_sha256 != trained[1]["weights_sha256"], "the control"


def test_in_a_pipe_it_prints_the_plan_a_line_an_epoch_and_planned_beside_counted(tmp_path: Path) -> None:
    out = succeed("train", "--iterations", "40", "--last", "drop", cwd=tmp_path).out
    lines = [line.rstrip() for line in out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert "digits: 1,437 training and 360 test samples" in out
    assert re.search(r"batches per epoch +⌊N / B⌋ = ⌊1,437 / 100⌋ +14\b", out)
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line.split("  ")[:2] for line in epochs] == [
        ["epoch 1/3", "iteration 14"],
        ["epoch 2/3", "iteration 28"],
        ["epoch 3/3", "iteration 40"],
    ]
    assert epochs[-1].endswith("(part)")
    counted = {
        cells[0]: cells[1:]
        for line in lines
        if len(cells := re.split(r"\s{2,}", line.strip())) == 4 and cells[-1] in "✓✗"
    }
    assert counted == {
        "batches per epoch": ["14", "14", "✓"],
        "samples per epoch": ["1,400", "1,400", "✓"],
        "full epochs": ["2", "2", "✓"],
        "iterations = weight updates": ["40", "40", "✓"],
        "samples used": ["4,000", "4,000", "✓"],
        "epochs with each sample exactly once": ["2", "2", "✓"],
    }
    assert re.search(r"test accuracy \d+\.\d\d %   test loss \d\.\d{4}   \(360 samples, each once\)", out)
    assert "run: runs/digits-mlp-1" in out
    assert "epochal evaluate runs/digits-mlp-1" in out
    assert Run.open(tmp_path / "runs" / "digits-mlp-1").status == "finished"


def test_in_a_terminal_nothing_is_wider_than_it() -> None:
    status, written = in_terminal("train", "--epochs", "2", "--model", "linear", "--run", "run", columns=40)
    assert status == 0
    assert max(len(line) for line in lines_of(written) if "epochal" not in line) <= 40
    assert written.rfind("\x1b[?25h") >= written.rfind("\x1b[?25l"), "the cursor is shown again"
    assert "✓" in written
    assert "✗" not in written


def test_mnist_is_read_from_the_folder_that_holds_it(mnist: Path, tmp_path: Path) -> None:
    """The worked example's first epoch and ten batches more."""
    arguments = ("train", "mnist", "--model", "linear", "--batch-size", "100", "--iterations", "610", "--json")
    shown = succeed(*arguments, cwd=tmp_path, EPOCHAL_DATA=str(mnist.parent)).json
    assert shown["plan"]["batches_per_epoch"] == 600
    assert shown["position"] == {"iteration": 610, "epoch": 1, "offset": 1_000}
    (row,) = shown["epochs"]
    assert (row["samples"], row["audit"]["exact"], row["iterations"]) == (60_000, True, 600)
    assert shown["partial_epoch"]["samples"] == 1_000
