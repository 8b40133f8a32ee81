"""The landscape that a comparison ends with: by default, once, in seconds, and never at the comparison's expense."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest
from rich.console import Console

from epochal.cli import compared_landscape
from epochal.cli.compared_landscape import BY_DEFAULT, LandscapeWork
from epochal.cli.main import main
from epochal.models import from_functions
from epochal.record.landscape_record import LandscapeRecord
from epochal.study import Study
from epochal.study.landscape_size import Size, WantedLandscape
from epochal.study.runner import Parts
from small import small_study, three_clouds

QUICK = ("digits", "--model", "linear", "--batch-size", "100,all", "--epochs", "2", "--run", "s")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def said_of(
    study: Study, parts: Parts | None = None, *, stop: Callable[[], bool] = lambda: False, **wanted: Any
) -> str:
    """What is said when a study's landscape is to be computed."""
    told = io.StringIO()
    LandscapeWork(study, Console(file=told, width=200), stop, parts).add([WantedLandscape(**wanted)])
    return told.getvalue().strip()


# --- by default -----------------------------------------------------------------------------------------------------


def test_a_comparison_ends_with_it_and_its_report_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "compare", *QUICK, "--grid", "3")
    assert "landscape (pca): 3 × 3 losses over all 1,437 training samples" in out
    assert "one page with curves and landscape" in out
    run(capsys, "report", "s")
    assert 'data-map="0"' in Path("s/report.html").read_text(encoding="utf-8")


def test_it_is_left_out_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "compare", *QUICK, "--no-landscape")
    assert "losses over" not in out
    assert Study.open("s").landscape_files == {}
    assert "epochal compare --run s --landscape" in out
    run(capsys, "report", "s")
    assert 'data-map="0"' not in Path("s/report.html").read_text(encoding="utf-8"), "the negative control"


def test_a_small_study_has_the_whole_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "compare", *QUICK)
    assert "landscape (pca): 41 × 41 losses over all 1,437 training samples" in out
    assert "fewer" not in out


def test_the_other_one_is_added(capsys: pytest.CaptureFixture[str]) -> None:
    described = json.loads(run(capsys, "compare", *QUICK, "--random-landscape", "--grid", "3", "--json"))
    assert described["landscapes"] == {"pca": "s/landscape.json", "random": "s/landscape-random.json"}
    alone = run(capsys, "compare", *QUICK[:-1], "t", "--random-landscape", "--no-landscape", "--grid", "3", "--json")
    assert list(json.loads(alone)["landscapes"]) == ["random"]


# --- once -----------------------------------------------------------------------------------------------------------


def test_it_is_computed_once(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "compare", *QUICK, "--grid", "3")
    before = Path("s/landscape.json").stat().st_mtime_ns
    for again in (("compare", "--run", "s"), ("resume", "s"), ("compare", "--run", "s", "--grid", "3")):
        assert "losses over" not in run(capsys, *again)
    assert Path("s/landscape.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("flags", [("--landscape",), ("--grid", "4"), ("--landscape-samples", "50")])
def test_it_is_computed_again_where_it_is_asked_for_or_has_another_size(
    flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "compare", *QUICK, "--grid", "3")
    assert "losses over" in run(capsys, "compare", "--run", "s", *flags)


def test_a_study_that_grew_has_it_anew(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "compare", *QUICK)
    assert "losses over" in run(capsys, "resume", "s", "--epochs", "3")
    ends = [int(one.iteration[-1]) for one in LandscapeRecord.read(Path("s/landscape.json")).trajectories]
    assert ends == [45, 3]


def test_a_study_that_was_stopped_has_it_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "compare", *QUICK)
    shutil.rmtree("s/batch-all")
    Path("s/landscape.json").unlink()
    assert said_of(Study.open("s")) == "no landscape: the comparison is not finished"
    assert "losses over" in run(capsys, "resume", "s")


def test_a_damaged_one_is_computed_again(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "compare", *QUICK, "--grid", "3")
    Path("s/landscape.json").write_text("{", encoding="utf-8")
    assert "losses over" in run(capsys, "compare", "--run", "s")


# --- where there is none --------------------------------------------------------------------------------------------


def stateful() -> Any:
    def apply(params: Any, state: Any, x: Any, training: bool) -> Any:
        return x @ params - state, state

    return from_functions(lambda key: (jnp.ones((4, 3)), jnp.zeros(3)), apply, name="stateful", has_state=True)


def test_a_model_with_a_state_has_none() -> None:
    model = stateful()
    study = small_study("s", models=model, hidden=None)
    said = said_of(study, Parts(three_clouds(), True, {"stateful": model}))
    assert said.startswith("no landscape: model 'stateful' keeps a state beside its weights")


def test_weights_that_were_not_kept_have_none() -> None:
    said = said_of(small_study("s", snapshots=False), Parts(three_clouds(), True))
    assert said == (
        "no landscape: there is no trajectory to show for batch-10: it kept no weights while training; "
        "train it with --snapshots"
    )


def test_one_run_of_one_update_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "compare", "digits", "--batch-size", "all", "--iterations", "1", "--run", "s")
    assert "no landscape: the 2 points at which weights were kept span no plane; train for more epochs" in out
    assert "finished" not in out
    assert "batch-all" in out, "the comparison's tables follow"


def test_where_every_run_diverged_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "compare", "digits", "--batch-size", "1,100", "--lr", "1e30", "--epochs", "2", "--run", "s")
    assert "no landscape: every run diverged" in out
    assert "batch-100 diverged at learning rate 1e+30" in out


def test_a_run_that_diverged_is_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "compare", "digits", "--batch-size", "1,100", "--lr", "1e30,0.1", "--epochs", "2", "--run", "s")
    assert "losses over" in out
    assert "  without batch-1: it diverged" in out
    record = LandscapeRecord.read(Path("s/landscape.json"))
    assert [one.run for one in record.trajectories] == ["batch-100"]
    assert record.x.max() - record.x.min() < 100, "the plane is that of the other run"
    assert "losses over" not in run(capsys, "compare", "--run", "s"), "it does not make it out of date"


def test_runs_of_another_model_are_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model", "linear,mlp", "--batch-size", "100", "--epochs", "2", "--run", "s", "--grid", "3")
    out = run(capsys, "compare", "digits", *options)
    assert "losses over" in out
    assert "without mlp-batch-100: its model has other weights than the first run's" in out.replace("\n", " ")
    assert "losses over" not in run(capsys, "compare", "--run", "s"), "they do not make it out of date"


def test_an_interrupt_leaves_the_comparison_finished() -> None:
    study = small_study("s")
    asked = iter([False, False, True])
    said = said_of(study, Parts(three_clouds(), True), stop=lambda: next(asked, True))
    assert said.splitlines() == [
        "no landscape: it was interrupted, and not saved; to compute it:",
        "  epochal compare --run s",
    ]
    assert study.landscape_files == {}
    assert study.is_finished


def test_an_interrupt_during_it_alone_is_no_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real signal, sent as soon as the landscape begins."""
    real = compared_landscape.landscape_of

    def interrupted(*arguments: Any, **more: Any) -> Any:
        os.kill(os.getpid(), 2)
        while not more["should_stop"]():
            pass
        return real(*arguments, **more)

    monkeypatch.setattr(compared_landscape, "landscape_of", interrupted)
    assert main(["compare", *QUICK]) == 0
    out = capsys.readouterr().out
    assert "no landscape: it was interrupted, and not saved" in out
    assert Study.open("s").is_finished


@pytest.mark.parametrize(
    ("error", "why"),
    [(MemoryError(), "MemoryError"), (RuntimeError("out of\nmemory"), "out of memory"), (OSError("full"), "full")],
    ids=["memory", "device", "disk"],
)
def test_whatever_prevents_it_is_said(error: Exception, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr(compared_landscape, "landscape_of", fail)
    assert said_of(small_study("s")) == f"no landscape: {why}"


def test_a_folder_that_cannot_be_written_does_not_fail_it() -> None:
    study = small_study("s")
    Path("s/landscape.json").mkdir()
    assert said_of(study, Parts(three_clouds(), True)).startswith("no landscape: cannot write in s")


# --- in seconds -----------------------------------------------------------------------------------------------------


def of_size(monkeypatch: pytest.MonkeyPatch, *, seconds: float = 1.0, memory: int = 0, **options: int) -> None:
    wanted = WantedLandscape(grid=3, **options).options
    monkeypatch.setattr(compared_landscape, "quick_size", lambda *_: Size(wanted, seconds, 65.0, memory))


def test_fewer_samples_are_said_with_the_command_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    of_size(monkeypatch, samples=20)
    said = said_of(small_study("a study"), Parts(three_clouds(), True)).splitlines()
    assert said[0].startswith("landscape (pca): 3 × 3 losses over 20 of 60 training samples")
    assert said[-2:] == [
        "of fewer samples or points, so that it takes seconds; in full, it would take about 1 min 05 s:",
        "  epochal compare --run 'a study' --landscape",
    ]


def test_what_is_long_even_so_is_left_to_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    study = small_study("s")
    of_size(monkeypatch, seconds=100.0)
    assert said_of(study).splitlines() == [
        "no landscape: it would take about 1 min 40 s; to compute it all the same:",
        "  epochal compare --run s --landscape",
    ]
    of_size(monkeypatch, memory=3 * 10**9)
    assert said_of(study, kind="random").splitlines() == [
        "no landscape: the runs' trajectories would fill 3.0 GB of memory; to compute it all the same:",
        "  epochal compare --run s --landscape --random-landscape",
    ]
    assert "losses over" in said_of(study, Parts(three_clouds(), True), in_full=True, grid=3), "which does compute it"


def test_the_default_is_the_plane_of_the_trajectories() -> None:
    assert (WantedLandscape(kind="pca", in_full=False, grid=None, samples=None),) == BY_DEFAULT
