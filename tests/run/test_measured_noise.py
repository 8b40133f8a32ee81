"""`--measure noise`: what is measured is in the history, and the weights have the bits that they have without."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from epochal import Run, from_functions, rerun, resume, train
from epochal.cli import main
from epochal.errors import OptionError
from little import LITTLE, StopAfter, little_data

__all__ = ["little_data"]

TRAININGS = {
    **{name: options for name, options in LITTLE.items() if name != "B=1"},
    "class weights": {"model": "linear", "batch_size": 4, "epochs": 3, "class_weight": "balanced"},
}
RAGGED = {**LITTLE["ragged B, adam, dropout"], "epochs": 8, "measure": "noise"}


def rows(run: Run) -> list[tuple[Any, ...]]:
    """Everything that was measured, without regard for blocks."""
    columns = run.history.to_pandas("noise")
    return [*columns.itertuples(index=False, name=None), *run.history.gradients]


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[pytest.mark.slow] * (one == "a growing batch")) for one in TRAININGS]
)
def test_the_weights_have_the_same_bits(name: str, little_data: Path) -> None:
    plain, measured = (train(little_data, run=False, measure=one, **TRAININGS[name]) for one in (None, "noise"))
    assert measured.weights_sha256 == plain.weights_sha256
    assert measured.history.losses.tobytes() == plain.history.losses.tobytes()
    assert plain.history.noise == plain.history.gradients == ()
    assert [row.iteration for row in measured.history.gradients] == [row.iteration for row in plain.history.tests]
    assert measured.history.to_pandas("noise")["iteration"].tolist() == list(range(0, measured.history.iterations, 20))


@pytest.mark.parametrize("stop", [20, 21, *(pytest.param(one, marks=pytest.mark.slow) for one in (1, 24, 47))])
def test_stopped_anywhere_and_resumed_it_has_the_same_bits_and_rows(
    stop: int, little_data: Path, tmp_path: Path
) -> None:
    whole = train(little_data, run=False, **RAGGED)
    stopped = train(little_data, run=tmp_path / "run", callbacks=StopAfter(stop), **RAGGED)
    assert stopped.history.iterations == stop
    resumed = resume(stopped.path)
    assert resumed.weights_sha256 == whole.weights_sha256
    assert rows(resumed) == rows(whole)


def test_a_run_begins_to_measure_where_it_is_told_to_and_is_repeated(little_data: Path, tmp_path: Path) -> None:
    plain = {name: value for name, value in RAGGED.items() if name != "measure"}
    stopped = train(little_data, run=tmp_path / "run", callbacks=StopAfter(21), **plain)
    resumed = resume(stopped.path, measure="noise")
    whole = train(little_data, run=False, **RAGGED)
    assert resumed.weights_sha256 == whole.weights_sha256
    assert rows(resumed) == [row for row in rows(whole) if (row[0] if isinstance(row, tuple) else row.iteration) > 21]
    again = rerun(resumed.path, tmp_path / "again")
    assert again.is_same
    assert rows(again.repeated) == rows(resumed)


def test_what_cannot_be_halved_is_refused_in_a_line(little_data: Path, tmp_path: Path) -> None:
    def normalised(params: Any, x: jax.Array) -> jax.Array:
        return (x - x.mean(0)) @ params

    model = from_functions(lambda key: jnp.zeros((5, 3)), normalised, uses_batch_statistics=True)
    for options, why in (
        ({"batch_size": 1}, "a batch of 1 sample has none; take a batch size of at least 2"),
        ({"batch_size": "1,4@1ep"}, "a batch of 1 sample has none"),
        ({"model": model, "batch_size": 4}, "computes with statistics of its batch, so that a half has another model"),
    ):
        with pytest.raises(OptionError, match=why) as caught:
            train(little_data, run=tmp_path / "run", measure="noise", **options)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    with pytest.raises(OptionError, match="measure must be one of noise"):
        train(little_data, run=tmp_path / "run", measure="loudness")


def test_an_own_model_is_measured(little_data: Path) -> None:
    model = from_functions(lambda key: 0.1 * jax.random.normal(key, (5, 3)), lambda params, x: x @ params)
    options: dict[str, Any] = {"model": model, "batch_size": 5, "iterations": 25, "optimizer": "sgd", "lr": 0.1}
    plain, measured = (train(little_data, run=False, measure=one, **options) for one in (None, "noise"))
    assert measured.weights_sha256 == plain.weights_sha256
    assert measured.history.to_pandas("noise")["samples"].tolist() == [4, 4], "of five, one is in neither half"


# --- what is shown ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of digits with 36 measured iterations."""
    path = tmp_path_factory.mktemp("noise") / "run"
    return train("digits", model="linear", batch_size=20, iterations=720, run=path, measure="noise")


def test_show_prints_the_last_scale_and_that_of_the_run(shown: Run, capsys: pytest.CaptureFixture[str]) -> None:
    number = r"([\d,.]+ ± [\d,.]+|more than [\d,]+) samples"
    assert main(["show", str(shown.path)]) == 0
    text = capsys.readouterr().out
    assert re.search(rf"noise scale of the gradients at iteration 720: {number} \(S of 20 measured iterations, ", text)
    assert re.search(rf"noise scale of the gradients over the whole run: {number}", text)
    assert main(["show", str(shown.path), "--lang", "zh"]) == 0
    assert "第 720 次迭代之后的梯度噪声尺度" in capsys.readouterr().out

    assert main(["show", str(shown.path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["noise_scale"]
    assert facts["last"]["measured"] == 20
    assert facts["over_run"]["measured"] == 36
    assert main(["show", str(shown.path), "--csv", "--table", "noise"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [int(row["iteration"]) for row in table] == list(range(0, 720, 20))


def test_a_run_that_measures_too_little_says_so(
    little_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(little_data, run=tmp_path / "run", batch_size=4, epochs=1, model="linear", measure="noise")
    assert main(["show", str(tmp_path / "run")]) == 0
    assert "too few iterations were measured to tell it" in capsys.readouterr().out
