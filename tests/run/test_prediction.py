"""A run folder alone predicts: no training data, from any directory, by another process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import epochal
from epochal import Run
from epochal.data.packing.pack import pack
from epochal.errors import DataError, RunError
from little import little_data

__all__ = ["little_data"]

ROWS = 120


def prices(folder: Path) -> Path:
    """A table of flats: a price near 300,000 that follows from the others."""
    rng = np.random.default_rng(0)
    lines = ["area,city,built,price"]
    for _ in range(ROWS):
        area, city, year = rng.uniform(30, 120), rng.integers(3), rng.integers(1950, 2024)
        price = 100_000 + 2_500 * area + 20_000 * city + 300 * (year - 1950)
        lines.append(f"{area:.1f},{('Rome', 'Oslo', 'Lima')[city]},{year}-06-01,{price:.0f}")
    (folder / "flats.csv").write_text("\n".join(lines) + "\n")
    return folder / "flats.csv"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on flats, whose table was deleted afterwards and which was moved."""
    folder = tmp_path_factory.mktemp("flats")
    path = prices(folder)
    epochal.train(str(path), epochs=60, run=folder / "run", progress=False)
    shutil.copy(path, folder / "new.csv")
    path.unlink()
    (folder / "elsewhere").mkdir()
    shutil.move(folder / "run", folder / "elsewhere" / "moved")
    return folder / "elsewhere" / "moved"


def new_rows(trained: Path) -> Path:
    return trained.parent.parent / "new.csv"


def test_a_moved_run_without_its_table_predicts_in_the_users_units(trained: Path) -> None:
    predicted = Run.open(trained).predict(new_rows(trained))
    wanted = np.array([float(line.split(",")[-1]) for line in new_rows(trained).read_text().split()[1:]])
    assert predicted.shape == (ROWS, 1)
    assert 1 - np.square(predicted[:, 0] - wanted).mean() / wanted.var() > 0.9
    assert Run.open(trained).evaluate(new_rows(trained)).values["r2"] > 0.9


def test_another_process_in_another_directory_does(trained: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "epochal", "predict", str(trained), str(new_rows(trained)), "--json"]
    answer = subprocess.run(command, capture_output=True, cwd=tmp_path, check=True, text=True)
    rows = json.loads(answer.stdout)
    np.testing.assert_allclose(
        [row["values"]["price"] for row in rows], Run.open(trained).predict(new_rows(trained))[:, 0], rtol=1e-5
    )


def test_columns_are_matched_by_name(trained: Path, tmp_path: Path) -> None:
    run = Run.open(trained)
    rows = [line.split(",") for line in new_rows(trained).read_text().split()[1:4]]
    other = tmp_path / "other.csv"
    other.write_text("note,city,area,built\n" + "".join(f"x,{c},{a},{b}\n" for a, c, b, _ in rows))
    np.testing.assert_allclose(run.predict(other), run.predict(new_rows(trained))[:3], rtol=1e-5)
    assert any("not used, because training did not have it: note" in note for note in run.read(other).notes)

    other.write_text("town,area,built\n" + "".join(f"{c},{a},{b}\n" for a, c, b, _ in rows))
    with pytest.raises(DataError, match=r"has no column 'city'.*Its columns: town, area, built"):
        run.predict(other)


def test_a_city_that_training_never_saw_is_said(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("area,city,built\n50,Atlantis,2000-01-01\n60,Rome,2001-01-01\n")
    assert any("unknown in training: Atlantis" in note for note in Run.open(trained).read(path).notes)


def test_a_frame_predicts_as_its_file_does(trained: Path) -> None:
    pandas = pytest.importorskip("pandas")
    run = Run.open(trained)
    frame = pandas.read_csv(new_rows(trained))
    np.testing.assert_allclose(run.predict(frame), run.predict(new_rows(trained)), rtol=1e-6)
    frame["built"] = pandas.to_datetime(frame["built"])
    np.testing.assert_allclose(run.predict(frame), run.predict(new_rows(trained)), rtol=1e-6)


def test_to_train_on_it_says_where_its_data_have_to_be_named(trained: Path) -> None:
    for use in (lambda: epochal.resume(trained, epochs=70), lambda: epochal.rerun(trained), Run.open(trained).evaluate):
        with pytest.raises(DataError, match=r"flats.csv, which .* was trained on, is not there any more.*--data FILE"):
            use()
    with pytest.raises(DataError, match="does not hold the data"):
        epochal.resume(trained, epochs=70, data="digits")


def test_evaluated_where_its_data_are_now_the_test_samples_are_those_of_the_training(
    trained: Path, tmp_path: Path
) -> None:
    run, moved = Run.open(trained), new_rows(trained)
    assert run.evaluate(moved).samples == ROWS // 5
    assert run.evaluate(moved).loss == pytest.approx(run.history.tests[-1].loss)
    assert run.evaluate(moved, split="train").samples == ROWS - ROWS // 5

    other = tmp_path / "other.csv"
    other.write_text("\n".join(moved.read_text().split()[:41]))
    assert run.evaluate(other).samples == 40  # every row of other data
    assert run.split_of(other) is None


def test_a_table_in_the_encoding_of_the_training_needs_no_word(tmp_path: Path) -> None:
    text = prices(tmp_path).read_text().replace("Rome", "上海")
    tables = {name: tmp_path / f"{name}.csv" for name in ("gbk", "utf-8", "utf-16-le")}
    for name, path in tables.items():
        path.write_text(text, encoding=name)
    run = epochal.train(str(tables["gbk"]), encoding="gbk", epochs=1, run=tmp_path / "run", progress=False)

    new = run.read(tables["gbk"])
    assert new.notes == (f"{tables['gbk']}: no UTF-8; read as gbk, as the training's table was",)
    assert not run.read(tables["utf-8"]).notes
    np.testing.assert_array_equal(new.x, run.read(tables["utf-8"]).x)
    with pytest.raises(DataError, match="utf-16"):
        run.read(tables["utf-16-le"])


def test_resumed_where_its_data_are_now_it_is_what_it_would_have_been(trained: Path, tmp_path: Path) -> None:
    path = prices(tmp_path)
    whole = epochal.train(str(path), epochs=65, run=tmp_path / "whole", progress=False)
    shutil.copytree(trained, tmp_path / "part")
    resumed = epochal.resume(tmp_path / "part", epochs=65, data=str(path), progress=False)
    assert resumed.weights_sha256 == whole.weights_sha256
    assert Run.open(tmp_path / "part").config.data == str(path)


def test_what_prediction_needs_may_not_be_altered(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    file = tmp_path / "run" / "preprocessing.json"
    file.write_text(file.read_text().replace("Oslo", "Osla"))
    with pytest.raises(RunError, match=r"preprocessing.json was altered"):
        Run.open(tmp_path / "run").predict(new_rows(trained))
    file.unlink()
    with pytest.raises(RunError, match=r"cannot read .*preprocessing.json"):
        Run.open(tmp_path / "run").predict(new_rows(trained))


# --- arrays ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures() -> Run:
    """A run on small pictures in bytes, from arrays that nobody has any more."""
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 9, 3), dtype=np.uint8)
    return epochal.train((x, np.arange(60) % 2), epochs=1, run=False, progress=False)


def test_pictures_in_other_forms_are_the_same_pictures(pictures: Run) -> None:
    x = np.random.default_rng(1).integers(0, 256, (5, 8, 9, 3), dtype=np.uint8)
    wanted = pictures.predict(x)
    for other in (x.astype(int), x.astype(np.float64), x / 255, np.moveaxis(x, -1, 1), np.moveaxis(x, -1, 1) / 255):
        np.testing.assert_allclose(pictures.predict(other), wanted, atol=1e-5)
    np.testing.assert_allclose(pictures.predict(x[0]), wanted[:1], atol=1e-5)
    np.testing.assert_allclose(pictures.predict(np.moveaxis(x, -1, 1)[0]), wanted[:1], atol=1e-5)
    assert "scaled to 0 to 255" in pictures.read(x / 255).notes[0]
    assert "channels come first" in pictures.read(np.moveaxis(x, -1, 1)).notes[0]
    assert pictures.read(x).notes == ()


def test_floats_are_scaled_as_the_training_was() -> None:
    """scikit-learn's digits go from 0 to 16."""
    run = epochal.train("digits", epochs=1, run=False, progress=False)
    x = run.data.test.x[:5]
    np.testing.assert_allclose(run.predict(x / 16), run.predict(x), atol=1e-5)
    assert "scaled to 0 to 16" in run.read(x / 16).notes[0]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 9, 8, 3), np.uint8), "samples of shape"),
        (np.full((2, 8, 9, 3), -0.5), "values from -0.5 to -0.5"),
        (np.full((2, 8, 9, 3), 300), "values from 300 to 300"),
        (np.zeros((0, 8, 9, 3), np.uint8), "no samples"),
        (np.full((2, 8, 9, 3), np.nan), "missing .NaN."),
    ],
)
def test_other_arrays_are_refused(pictures: Run, x: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pictures.predict(x)


@pytest.mark.filterwarnings("ignore::epochal.errors.AlteredWarning")
def test_a_former_run_of_an_own_model_asks_for_the_model_alone(tmp_path: Path) -> None:
    import jax.numpy as jnp
    import optax

    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    model = epochal.from_functions(lambda key: jnp.ones((3, 2)), lambda params, x: x @ params)
    run = epochal.train((x, y), model=model, optimizer=optax.sgd(0.1), epochs=1, run=tmp_path / "run", progress=False)
    toml = run.path / "run.toml"
    toml.write_text(
        "".join(line for line in toml.read_text().splitlines(keepends=True) if not line.startswith("exported"))
    )
    with pytest.raises(RunError, match=r"its own model; give them again: .*Run.open\('.*', model=…\)"):
        Run.open(run.path).predict(x)
    np.testing.assert_allclose(Run.open(run.path, model=model).predict(x), run.predict(x), rtol=1e-6)


# --- which weights ---------------------------------------------------------------------------------


def test_the_best_weights_are_those_of_the_best_validation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 20))
    y = x[:, 0] + rng.normal(size=80)
    run = epochal.train(
        (x, y), validation=0.25, epochs=60, lr=0.01, optimizer="adam", run=tmp_path / "run", progress=False
    )
    rows = [row for row in run.history.evaluations if row.split == "validation"]
    best = min(rows, key=lambda row: row.loss)
    assert best.iteration < rows[-1].iteration, "it overfits, so that the last is not the best"

    opened = Run.open(tmp_path / "run")
    assert opened.with_weights().weights == "best"
    validation = run.data.validation
    assert validation is not None
    assert opened.best.evaluate(validation).loss == pytest.approx(best.loss, rel=1e-6)
    assert opened.evaluate(validation).loss == pytest.approx(rows[-1].loss, rel=1e-6)


def test_without_validation_nothing_is_selected(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    run = epochal.train((x, np.arange(40) % 2), epochs=3, run=tmp_path / "run", progress=False)
    with pytest.raises(RunError, match=r"no validation samples.*--validation 0.1"):
        _ = run.best
    assert Run.open(run.path).with_weights().weights == "last"


@pytest.mark.parametrize(("patience", "updates"), [("5ep", 25), ("10it", 10), ("80sa", 10)])
def test_patience_ends_a_training_in_exact_units(tmp_path: Path, patience: str, updates: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(66, 20)), rng.normal(size=66)
    options: dict[str, Any] = {"validation": 0.25, "batch_size": 8, "epochs": 200, "lr": 0.01, "optimizer": "adam"}
    run = epochal.train((x, y), patience=patience, run=tmp_path / "run", progress=False, **options)
    rows = [row for row in run.history.evaluations if row.split == "validation"]
    best = min(rows, key=lambda row: row.loss)
    after = [row.iteration for row in rows if row.iteration - best.iteration >= updates]
    assert run.status == "stopped"
    assert run.position.iteration == after[0] == rows[-1].iteration


def test_patience_survives_a_stop(tmp_path: Path) -> None:
    """A run that is stopped and resumed ends where, and with what, one ends that was not."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(66, 20)), rng.normal(size=66)
    options: dict[str, Any] = {"validation": 0.25, "batch_size": 8, "lr": 0.01, "optimizer": "adam", "patience": "6ep"}
    whole = epochal.train((x, y), epochs=200, run=tmp_path / "whole", progress=False, **options)
    part = epochal.train((x, y), epochs=200, run=tmp_path / "part", progress=False,
                         listener=None, should_stop=_after(17), **options)  # fmt: skip
    assert part.position.iteration < whole.position.iteration
    resumed = epochal.resume(part.path, data=(x, y), progress=False)
    assert resumed.position == whole.position
    assert resumed.weights_sha256 == whole.weights_sha256
    assert Run.open(part.path).best.state is not None


def _after(chunks: int) -> Any:
    asked = iter(range(10_000))
    return lambda: next(asked) >= chunks


def test_a_run_of_a_pack_evaluates_each_of_its_splits(little_data: Path, tmp_path: Path) -> None:
    pack(str(little_data), tmp_path / "packed")
    run = epochal.train(tmp_path / "packed", model="linear", epochs=1, batch_size=10, run=False, progress=False)
    whole = epochal.load_data(little_data)

    assert run.evaluate(run.data.train).samples == 23
    assert run.evaluate(run.data, split="train").values == run.evaluate(whole.train).values
    assert run.evaluate(run.data.test).values == run.evaluate(whole.test).values
