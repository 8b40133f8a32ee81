"""A batch that grows by the noise of its gradients: decisions are written down, and repeated, not measured again."""

from __future__ import annotations

import io
import math
import tomllib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from rich.console import Console

from epochal import Run, load_data, rerun, resume, train
from epochal.clock import Position
from epochal.config.train_config import TrainConfig
from epochal.engine import NoiseScale, measure_noise, named_leaves
from epochal.errors import OptionError, PlanError
from epochal.run import growth
from epochal.run.callbacks import Grown, Listener
from epochal.run.progress import ProgressBar
from epochal.run.setup import set_up
from little import StopAfter, little_data

__all__ = ["little_data"]

ADAPTIVE: dict[str, Any] = {
    "model": "mlp", "hidden": (4,), "seed": 3, "optimizer": "momentum", "lr": 0.05, "batch_size": "adaptive:2-8",
    "epochs": 6,
}  # fmt: skip


@pytest.fixture
def whole(little_data: Path, tmp_path: Path) -> Run:
    return train(little_data, run=tmp_path / "whole", **ADAPTIVE)


def decisions(run: Run) -> list[tuple[int, dict[str, Any]]]:
    return [(change.iteration, change.options) for change in run.file.changes]


def test_every_decision_is_a_change_in_the_runs_file(whole: Run) -> None:
    assert whole.status == "finished"
    assert [options["batch_size"] for _, options in decisions(whole)] == ["adaptive:4-8", "adaptive:8-8"]
    assert [stretch.batches.size for stretch in whole.file.stretches(whole.history.iterations)] == [2, 4, 8]
    assert all(row.is_exact for row in whole.history.epochs)
    assert all(fact.agrees for fact in whole.record.facts())

    grew = [event for event in whole.history.events if event.kind == "grew"]
    assert [event.iteration for event in grew] == [iteration for iteration, _ in decisions(whole)]
    for event in grew:
        detail = event.detail
        scale = NoiseScale(detail["small"], detail["large"], detail["small_square"], detail["large_square"])
        assert math.isclose(scale.value, float(detail["noise_scale"]))
        assert scale.value >= 2 * detail["small"]
    assert tomllib.loads((Path(str(whole.path)) / "run.toml").read_text())["config"]["batch_size"] == "adaptive:2-8"


def test_a_decision_is_told_when_it_is_made_and_printed(little_data: Path) -> None:
    written = Console(file=io.StringIO(), width=100)
    heard: list[Grown] = []
    with ProgressBar(written) as bar:
        listener = Listener(lambda told: heard.append(told) if isinstance(told, Grown) else None)
        run = train(little_data, run="told", callbacks=[bar, listener], progress=False, **ADAPTIVE)
    assert [(one.position.iteration, f"adaptive:{one.batch_size}-8") for one in heard] == [
        (iteration, options["batch_size"]) for iteration, options in decisions(run)
    ]
    lines = written.file.getvalue().splitlines()  # type: ignore[attr-defined]
    said = [line for line in lines if line.startswith("the batch grows from ")]
    assert [line.partition(":")[0] for line in said] == [
        "the batch grows from 2 to 4 samples", "the batch grows from 4 to 8 samples",
    ]  # fmt: skip


def test_rerun_repeats_decisions_and_measures_nothing(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*args: Any) -> NoiseScale:
        raise AssertionError("measured again")

    monkeypatch.setattr(growth, "measure_noise", measured)
    again = rerun(str(whole.path), tmp_path / "again")
    assert again.is_same
    assert decisions(again.repeated) == decisions(whole)


@pytest.mark.parametrize("stop", [11, 12, 13, 20, 25])
def test_stopped_around_a_decision_it_ends_with_the_same_bits(
    stop: int, whole: Run, little_data: Path, tmp_path: Path
) -> None:
    run = train(little_data, run=tmp_path / "run", callbacks=StopAfter(stop), **ADAPTIVE)
    resumed = resume(run.path)
    assert resumed.weights_sha256 == whole.weights_sha256
    assert decisions(resumed) == decisions(whole)


def test_killed_between_a_decision_and_its_checkpoint_it_ends_with_the_same_bits(
    whole: Run, little_data: Path, tmp_path: Path
) -> None:
    """What is on the disk then: an older checkpoint, and a file that knows the decision."""
    run = train(little_data, run=tmp_path / "run", callbacks=StopAfter(11), **ADAPTIVE)
    path = Path(str(run.path)) / "run.toml"
    path.write_bytes((Path(str(whole.path)) / "run.toml").read_bytes())
    resumed = resume(run.path)
    assert resumed.weights_sha256 == whole.weights_sha256
    assert decisions(resumed) == decisions(whole)


def test_a_batch_never_grows_beyond_its_limit(
    little_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "_WORTH", -math.inf)
    eager = train(little_data, run=tmp_path / "eager", **{**ADAPTIVE, "batch_size": "adaptive:3-5"})
    assert [change.options["batch_size"] for change in eager.file.changes] == ["adaptive:5-5"]


def test_a_batch_stays_where_its_gradients_are_quiet(
    little_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = NoiseScale(2, 22, small_square=1.0, large_square=1.0)
    monkeypatch.setattr(growth, "measure_noise", lambda *args, **more: quiet)
    assert train(little_data, run=tmp_path / "quiet", **ADAPTIVE).file.changes == ()


# --- the measurement --------------------------------------------------------------------------------------------------


def test_the_noise_scale_is_that_of_gradients_computed_one_by_one() -> None:
    data = load_data("digits")
    setup = set_up(TrainConfig(model="linear", batch_size=10, lr=0.1), data)
    engine, state = setup.engine, setup.engine.initial_state()
    before = {name: np.array(leaf) for name, leaf in named_leaves(state).items()}
    scale = measure_noise(engine, state, Position(epoch=1), small=10, slices=4)

    ids = engine.order.indices(1, 0, 40)
    scaled = (np.float32(data.train.take(ids).x) - data.preprocessing.shift) * data.preprocessing.scale
    x, y = np.asarray(scaled, np.float64).reshape(40, -1), data.train.take(ids).y
    flat = {name: leaf for name, leaf in before.items() if name.startswith(".params")}
    weights = next(leaf for leaf in flat.values() if leaf.ndim == 2).astype(np.float64)
    bias = next(leaf for leaf in flat.values() if leaf.ndim == 1).astype(np.float64)
    error = np.asarray(jax.nn.softmax(x @ weights + bias)) - np.eye(10)[y]
    each = [np.concatenate([(x[s].T @ error[s] / 10).ravel(), error[s].mean(0)]) for s in np.split(np.arange(40), 4)]
    squares = np.mean([one @ one for one in each]), np.mean(each, axis=0) @ np.mean(each, axis=0)
    assert (scale.small_square, scale.large_square) == pytest.approx(squares, rel=1e-4)
    for name, leaf in named_leaves(state).items():
        np.testing.assert_array_equal(before[name], leaf)


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("adaptive:100", "is no adaptive batch size; write adaptive, or adaptive:100-3200"),
        ("adaptively", "is no adaptive batch size"),
        ("adaptive:0-4", "batch size must be at least 1"),
        ("adaptive:8-4", "an adaptive batch size grows, and 4 is below 8"),
        ("adaptive:2-24", "an adaptive batch size of at most 24 is above the 23 training samples"),
        ("adaptive:24-all", "batch size 24 is above the 23 training samples"),
    ],
)
def test_other_texts_are_refused_in_one_line(written: str, message: str, little_data: Path, tmp_path: Path) -> None:
    with pytest.raises((PlanError, OptionError), match=message):
        train(little_data, run=tmp_path / "run", **{**ADAPTIVE, "batch_size": written})
    assert not (tmp_path / "run").exists()


def test_adaptive_alone_begins_with_the_usual_size(little_data: Path, tmp_path: Path) -> None:
    run = train(little_data, run=tmp_path / "run", **{**ADAPTIVE, "batch_size": "adaptive", "epochs": 1})
    assert run.config.batch_size == "adaptive:23-all"
