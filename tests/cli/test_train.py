"""`epochal train`, end to end: what is planned is shown, what is counted agrees, and the run lies in its folder."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from terminal import EPOCHAL, environment, in_terminal, lines_of, succeed

from epochal.cli import main
from epochal.cli.results import print_result
from epochal.clock import Plan
from epochal.run import Run, train

PATH = f"{Path(EPOCHAL).parent}{os.pathsep}{os.environ['PATH']}"
OWN = """
import jax.numpy as jnp
from epochal import from_functions

def build(sample_shape, outputs):
    return from_functions(lambda key: jnp.zeros((64, outputs)), lambda params, x: x.reshape(len(x), -1) @ params)
"""
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


def test_a_terminal_shows_every_epoch_of_digits() -> None:
    """However fast they come."""
    status, written = in_terminal("train", "--run", "run", columns=80)
    assert status == 0
    shown = re.findall(r"^epoch +(\d+)/10  iteration +\d+  loss \d.*it/s$", "\n".join(lines_of(written)), re.MULTILINE)
    assert list(dict.fromkeys(map(int, shown))) == list(range(1, 11))


# --- what is suggested ----------------------------------------------------------------------------------------------


def suggested(out: str) -> list[str]:
    """The commands that stand alone in a line, as they would be pasted."""
    return [line.strip() for line in out.splitlines() if line.strip().startswith("epochal ")]


def test_every_command_that_is_suggested_works_as_it_stands(tmp_path: Path) -> None:
    """With names that a shell would take apart, an option that is needed, and columns that look like an option."""
    rows = [f"{'abc'[i % 3]},{i * 0.1},{i % 7}" for i in range(60)]
    (tmp_path / "my data's.csv").write_text("\n".join(["-kind,len,wid", *rows]))
    arguments = ("train", "my data's.csv", "--target=-kind", "-b", "8", "-e", "1", "--run", "my run")
    lines = suggested(succeed(*arguments, cwd=tmp_path).out)
    assert len(lines) >= 2
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment(PATH=PATH), capture_output=True, encoding="utf-8"
        )
        assert (done.returncode, done.stderr) == (0, ""), line


def test_another_batch_size_is_suggested_for_the_same_model(tmp_path: Path) -> None:
    """With the options that make it another one than the default, whoever reads them."""
    given = ("--hidden", "9", "--dropout", "0.25", "--optimizer", "momentum", "--set", "momentum=0.8")
    line, *_ = [
        one for one in suggested(succeed("train", "digits", "-e", "1", *given, cwd=tmp_path).out) if "all" in one
    ]
    words = shlex.split(line)
    for flag, value in zip(given[::2], given[1::2], strict=True):
        assert words[words.index(flag) + 1] == value


def test_a_stopped_run_says_how_to_go_on(tmp_path: Path) -> None:
    """Its own model is named, without which it could not go on."""
    (tmp_path / "own models.py").write_text(OWN)
    arguments = ("train", "digits", "-m", "own models.py:build", "-e", "2", "--run", "-my run")
    run = Run.open(succeed(*arguments[:-1], "./-my run", "--json", cwd=tmp_path).json["run"] and tmp_path / "-my run")
    stopped = dataclasses.replace(run.record, status="stopped")
    console = Console(file=io.StringIO(), width=80)
    print_result(stopped, console)
    (line, *_) = suggested(console.file.getvalue())
    assert line.startswith("epochal resume ")
    assert "stopped at iteration 30, after epoch 2; continue with:" in console.file.getvalue()
    inside = dataclasses.replace(stopped, position=dataclasses.replace(stopped.position, epoch=1, offset=1_400))
    print_result(inside, console)
    assert "stopped at iteration 30, in epoch 2; continue with:" in console.file.getvalue()
    done = subprocess.run(
        ["bash", "-c", f"{line} -e 3"], cwd=tmp_path, env=environment(PATH=PATH), capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_finished_run_says_how_to_train_it_longer(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "a copy"
    shutil.copytree(trained[0], folder)
    out = succeed("resume", folder).out
    (line,) = [line for line in suggested(out) if "--epochs" in line]
    assert shlex.split(line) == ["epochal", "resume", str(folder), "--epochs", "6"]


# --- names ----------------------------------------------------------------------------------------------------------


def test_names_of_every_script_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("我的数据.csv").write_text("\n".join(["a,b", *(f"{i},{'xy'[i % 2]}" for i in range(20))]))
    assert main(["train", "我的数据.csv", "-e", "1"]) == 0
    assert Path("runs/我的数据-mlp-1/run.toml").is_file()
    assert "runs/我的数据-mlp-1" in capsys.readouterr().out


@pytest.mark.parametrize("written", [["64,32"], ["64", "32"]])
def test_hidden_layers_are_a_list(written: list[str]) -> None:
    assert main(["train", "--hidden", *written, "-i", "3", "--run", "run"]) == 0
    run = Run.open("run")
    assert run.file.model.options["hidden"] == [64, 32]
    assert run.weights_sha256 == train("digits", hidden=(64, 32), iterations=3, run=False).weights_sha256


def test_one_hidden_layer_is_a_number() -> None:
    """As it always was: the same bits."""
    runs = [train("digits", hidden=hidden, iterations=3, run=False) for hidden in (16, (16,), "16", [16])]
    assert len({run.weights_sha256 for run in runs}) == 1


# --- in Chinese -----------------------------------------------------------------------------------------------------

TYPED = re.compile(r"epochal .*|runs/\S+|digits|linear|sgd|（(BGD|SGD|MBGD)）")


def test_a_training_in_chinese_has_no_english_left(capsys: pytest.CaptureFixture[str]) -> None:
    train = ("train", "-m", "linear", "-i", "40", "--validation", "0.1")
    for arguments in (train, ("resume", "runs/digits-linear-1"), ("rerun", "runs/digits-linear-1")):
        assert main([*arguments, "--lang", "zh"]) == 0
        out = capsys.readouterr().out
        said = re.sub("[0-9a-f]{64}", "", TYPED.sub("", out))
        assert re.findall("[A-Za-z]{2,}", said) == []
        assert "第 3/4 轮" in out or "已经完成" in out


def test_mnist_is_read_from_the_folder_that_holds_it(mnist: Path, tmp_path: Path) -> None:
    """The worked example's first epoch and ten batches more."""
    arguments = ("train", "mnist", "--model", "linear", "--batch-size", "100", "--iterations", "610", "--json")
    shown = succeed(*arguments, cwd=tmp_path, EPOCHAL_DATA=str(mnist.parent)).json
    assert shown["plan"]["batches_per_epoch"] == 600
    assert shown["position"] == {"iteration": 610, "epoch": 1, "offset": 1_000}
    (row,) = shown["epochs"]
    assert (row["samples"], row["audit"]["exact"], row["iterations"]) == (60_000, True, 600)
    assert shown["partial_epoch"]["samples"] == 1_000
