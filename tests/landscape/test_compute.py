"""The landscape's numbers against the loss computed directly, and its ways against the weights themselves."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal.errors import ModelError, OptionError, RunError
from epochal.landscape import Cancelled, LandscapeOptions, interpolate
from epochal.landscape.compute import take_samples
from epochal.landscape.plane import principal_plane, random_plane
from epochal.landscape.trajectory import WeightSpace, read_trajectory
from epochal.models import from_functions
from epochal.run import train
from epochal.run.run import Run
from epochal.study import Study, landscape_of
from epochal.study.runner import Parts
from small import small_study, three_clouds

PARTS = Parts(three_clouds(), own_data=True)
SMALL = LandscapeOptions(grid=5)


@pytest.fixture(scope="module")
def study(finished: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("studies") / "surveyed"
    shutil.copytree(finished.path, path)
    return Study.open(path)


@pytest.fixture(scope="module")
def record(study: Study) -> dict[str, Any]:
    return landscape_of(study, SMALL, parts=PARTS).to_dict()


@pytest.fixture(scope="module")
def space(study: Study) -> WeightSpace:
    return WeightSpace.of(PARTS.set_up(study.runs["batch-7"].config).engine)


def loss_by_hand(weights: np.ndarray, space: WeightSpace) -> float:
    """The cross-entropy of the two-layer network over the training set, in NumPy and double precision."""
    data = PARTS.data
    named = dict(zip(space.shapes, space.arrays(weights.astype(np.float64)), strict=True))
    matrices = [array for name, array in sorted(named.items()) if array.ndim == 2]
    biases = [array for name, array in sorted(named.items()) if array.ndim == 1]
    hidden = np.maximum(data.preprocessing(data.train.x).astype(np.float64) @ matrices[0] + biases[0], 0)
    scores = hidden @ matrices[1] + biases[1]
    scores -= scores.max(axis=1, keepdims=True)
    shares = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(scores)), data.train.y]
    return float(shares.mean())


def all_points(study: Study, space: WeightSpace) -> np.ndarray:
    return np.stack([dot.weights for name, run in study.runs.items() for dot in read_trajectory(name, run, space)])


def test_losses_on_the_grid_are_those_of_the_weights_there(
    study: Study, record: dict[str, Any], space: WeightSpace
) -> None:
    plane = principal_plane(all_points(study, space))
    for row, column in [(0, 0), (0, 4), (4, 0), (2, 3), (4, 4)]:
        direct = loss_by_hand(plane.point(record["x"][column], record["y"][row]), space)
        assert record["loss"][row][column] == pytest.approx(direct, rel=1e-5)


def test_rows_are_y_and_columns_are_x(study: Study, record: dict[str, Any], space: WeightSpace) -> None:
    """The negative control of the test above: with x and y exchanged the losses are others."""
    plane = principal_plane(all_points(study, space))
    exchanged = loss_by_hand(plane.point(record["x"][0], record["y"][4]), space)
    assert record["loss"][0][4] != pytest.approx(exchanged, rel=1e-2)


def test_each_dot_has_the_loss_of_its_own_weights_and_its_place_in_the_plane(
    study: Study, record: dict[str, Any], space: WeightSpace
) -> None:
    plane = principal_plane(all_points(study, space))
    for name, run in study.runs.items():
        way = read_trajectory(name, run, space)
        assert [dot["iteration"] for dot in record["paths"][name]] == [point.place.iteration for point in way]
        places = plane.project(np.stack([point.weights for point in way]))
        for dot, weights, place in zip(record["paths"][name], way, places, strict=True):
            assert (dot["x"], dot["y"]) == pytest.approx(tuple(place), abs=1e-9)
            assert dot["loss"] == pytest.approx(loss_by_hand(weights.weights, space), rel=1e-5)


def test_the_share_of_variance_is_that_of_the_weights(study: Study, record: dict[str, Any], space: WeightSpace) -> None:
    points = all_points(study, space).astype(np.float64)
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) ** 2
    assert record["explained"] == pytest.approx((values / values.sum())[:2].tolist(), rel=1e-9)


def test_all_ways_begin_at_one_place_and_have_a_dot_for_each_epoch(record: dict[str, Any]) -> None:
    starts = {(round(way[0]["x"], 9), round(way[0]["y"], 9)) for way in record["paths"].values()}
    assert len(starts) == 1
    for way in record["paths"].values():
        assert {0, 1, 2, 3, 4} <= {dot["epoch"] for dot in way}
        assert all(record["x"][0] < dot["x"] < record["x"][-1] for dot in way)
        assert all(record["y"][0] < dot["y"] < record["y"][-1] for dot in way)


def test_lines_run_between_begin_and_end_of_each_run_and_between_the_ends(
    study: Study, record: dict[str, Any], space: WeightSpace
) -> None:
    lines = record["lines"]
    pairs = [(line["from"]["run"], line["to"]["run"]) for line in lines]
    one, seven, whole = study.runs
    assert pairs == [(one, one), (seven, seven), (whole, whole), (one, seven), (one, whole), (seven, whole)]
    ends = {name: way[-1]["loss"] for name, way in record["paths"].items()}
    for line in lines:
        assert line["loss"][line["t"].index(1.0)] == pytest.approx(ends[line["to"]["run"]], rel=1e-4)
    line = lines[3]
    start, end = (read_trajectory(name, study.runs[name], space)[-1].weights for name in (one, seven))
    for t in (-0.25, 0.5, 1.25):
        direct = loss_by_hand(start + t * (end.astype(np.float64) - start), space)
        assert line["loss"][line["t"].index(t)] == pytest.approx(direct, rel=1e-5)


def between(study: Study, start: tuple[str, float], end: tuple[str, float]) -> dict[str, Any]:
    runs: dict[str, Run] = study.runs
    return interpolate(runs, PARTS.set_up(runs["batch-1"].config), start, end).to_dict()


def test_a_line_between_any_two_epochs_can_be_asked_for(study: Study, space: WeightSpace) -> None:
    line = between(study, ("batch-1", 1), ("batch-7", 3))
    assert (line["from"]["epoch"], line["to"]["epoch"]) == (1, 3)
    start = next(dot for dot in read_trajectory("", study.runs["batch-1"], space) if dot.place.epoch == 1).weights
    end = next(dot for dot in read_trajectory("", study.runs["batch-7"], space) if dot.place.epoch == 3).weights
    for t in (0.0, 0.3, 1.0):
        direct = loss_by_hand(start + t * (end.astype(np.float64) - start), space)
        assert line["loss"][line["t"].index(t)] == pytest.approx(direct, rel=1e-5)
    with pytest.raises(RunError, match="unknown run 'batch-2': did you mean"):
        between(study, ("batch-2", 1), ("batch-7", 3))
    with pytest.raises(RunError, match="batch-all kept no weights at epoch 9; it did at 0, 1, 2, 3, 4"):
        between(study, ("batch-all", 9), ("batch-all", 1))


def test_it_is_saved_beside_the_runs_and_says_what_it_is(study: Study, record: dict[str, Any]) -> None:
    saved = json.loads((study.path / "landscape.json").read_text(encoding="utf-8"))
    assert saved == record == study.landscapes["pca"].to_dict()
    assert (saved["kind"], saved["split"], saved["samples"], saved["of"]) == ("pca", "train", 60, 60)
    assert (saved["weights"], saved["model"], saved["left_out"]) == (43, "mlp", [])


def test_random_directions_lie_around_the_best_end(study: Study, space: WeightSpace) -> None:
    record = landscape_of(study, LandscapeOptions(kind="random", grid=5, seed=3), parts=PARTS).to_dict()
    assert (study.path / "landscape-random.json").is_file()
    assert (record["x"], record["y"]) == ([-1, -0.5, 0, 0.5, 1], [-1, -0.5, 0, 0.5, 1])
    ends = {name: way[-1]["loss"] for name, way in record["paths"].items()}
    center = record["center"]["run"]
    assert ends[center] == min(ends.values())
    assert record["loss"][2][2] == pytest.approx(ends[center], rel=1e-5)
    plane = random_plane(read_trajectory(center, study.runs[center], space)[-1].weights, space, seed=3)
    assert record["loss"][4][1] == pytest.approx(loss_by_hand(plane.point(-0.5, 1.0), space), rel=1e-5)
    assert record["explained"] == []


def test_a_sample_is_chosen_by_the_seed_and_stated(study: Study) -> None:
    train_split = PARTS.data.train
    some, same, other = (take_samples(train_split, 20, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(some.x, same.x)
    assert not np.array_equal(some.x, other.x)
    assert len({tuple(row) for row in some.x.tolist()}) == 20
    assert take_samples(train_split, 60, 0) is train_split
    record = landscape_of(study, LandscapeOptions(grid=2, samples=20), parts=PARTS)
    assert (record.samples, record.of) == (20, 60)
    landscape_of(study, SMALL, parts=PARTS)


def test_a_single_run_has_a_landscape_too(tmp_path: Path) -> None:
    run = train("digits", model="linear", batch_size=479, epochs=1, snapshots=True, run=tmp_path / "alone")
    done: list[tuple[int, int]] = []
    record = landscape_of(run.path, LandscapeOptions(grid=3, samples=100), progress=lambda *counts: done.append(counts))
    (trajectory,) = record.trajectories
    assert trajectory.run == "alone"
    assert done[-1][0] == done[-1][1] == trajectory.x.size + 9 + 31


def test_what_cannot_be_compared_is_left_out_and_said(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s", models="mlp,linear", hidden=None)
    parts = Parts(three_clouds(), own_data=True)
    record = landscape_of(study, SMALL, parts=parts)
    assert [one.run for one in record.trajectories] == ["mlp-batch-10"]
    assert record.left_out == (("linear-batch-10", "its model has other weights than the first run's"),)


def test_losses_that_are_not_finite_are_null(tmp_path: Path) -> None:
    study = small_study(tmp_path / "s", lrs=1e30, on_nan="continue")
    with pytest.raises(RunError, match="span no plane"):
        landscape_of(study, SMALL, parts=PARTS)  # only the first weights are finite
    assert not study.landscape_files
    assert math.isnan(study.runs["batch-10"].history.losses[-1])


def test_one_that_is_stopped_saves_nothing(copy_without: Callable[..., Study]) -> None:
    study = copy_without()
    with pytest.raises(Cancelled):
        landscape_of(study, SMALL, parts=PARTS, should_stop=lambda: True)
    assert study.landscapes == {}
    (study.path / "landscape.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match=r"landscape.json is damaged.*--landscape` makes it again"):
        _ = study.landscapes


def test_what_has_no_landscape_says_why(finished: Study, tmp_path: Path) -> None:
    without = small_study(tmp_path / "without", snapshots=False)
    with pytest.raises(RunError, match="no trajectory to show for batch-10: it kept no weights"):
        landscape_of(without, SMALL, parts=PARTS)
    with pytest.raises(RunError, match="with its own data"):
        landscape_of(finished)
    with pytest.raises(RunError, match="is no run folder"):
        landscape_of(tmp_path)


def test_a_model_with_a_state_is_refused(tmp_path: Path) -> None:
    import jax.numpy as jnp

    def apply(params: Any, state: Any, x: Any, training: bool) -> Any:
        return x @ params - state, state

    model = from_functions(lambda key: (jnp.ones((4, 3)), jnp.zeros(3)), apply, name="stateful", has_state=True)
    study = small_study(tmp_path / "s", models=[model], hidden=None)
    with pytest.raises(ModelError, match="'stateful' keeps a state beside its weights"):
        landscape_of(study, SMALL, parts=Parts(three_clouds(), True, {"stateful": model}))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "pcr"}, "unknown landscape 'pcr': did you mean 'pca'"),
        ({"grid": 1}, "grid must be at least 2"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_options_out_of_range_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises((OptionError, ValueError)) as caught:
        LandscapeOptions(**options)
    assert says in str(caught.value)
