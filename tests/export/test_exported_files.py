"""Each format predicts what the run does, loaded where Epochal cannot be imported, for any number of samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exporting import COUNTS, in_a_process_without_epochal, integers

from epochal import Run
from epochal.errors import EpochalError, ModelError, OptionError
from epochal.export import export_run

NEAR = 2e-6
"""What outputs may differ by, as a share of the largest: they are computed in float32, in another order."""

COMPARED = """
import json, pathlib
import numpy as np

def compare(predictors):
    differences = {}
    for name, predict in predictors.items():
        wanted = np.load(f"{name}.npz")
        for count in COUNTS:
            outputs = predict(wanted["samples"][:count])
            assert outputs.shape == wanted["outputs"][:count].shape and outputs.dtype == np.float32, name
            difference = np.abs(outputs - wanted["outputs"][:count]).max() / np.abs(wanted["outputs"]).max()
            differences[f"{name} {count}"] = float(difference)
    print(json.dumps(differences))
""".replace("COUNTS", repr(COUNTS))

STABLEHLO = """
from jax import export
def load(path):
    exported = export.deserialize(bytearray(path.read_bytes()))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    return lambda x: np.asarray(exported.call(x))
compare({path.stem: load(path) for path in pathlib.Path().glob("*.stablehlo")})
"""
ONNX = """
import onnxruntime
def load(path):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"samples": x})[0]
compare({path.stem: load(path) for path in pathlib.Path().glob("*.onnx")})
"""
NUMPY = """
import importlib, os
sys.path.insert(0, os.getcwd())
modules = {name: importlib.import_module(name) for name in NAMES}
assert not {"jax", "scipy", "sklearn", "safetensors", "onnx"} & set(sys.modules)
compare({name: module.predict for name, module in modules.items()})
"""


def predictions(runs: dict[str, Run], names: tuple[str, ...], folder: Path) -> None:
    """Save what the runs predict for 1,000 samples."""
    for name in names:
        samples = np.load(runs[name].path.parent / f"{name}.npy")
        np.savez(folder / f"{name}.npz", samples=samples, outputs=runs[name].predict(samples))


def check(differences: dict[str, float], names: tuple[str, ...]) -> None:
    assert len(differences) == len(names) * len(COUNTS)
    assert max(differences.values()) < NEAR, differences


EVERY = ("mlp", "cnn", "colours", "sequences", "flats")


def test_stablehlo_predicts_the_same(unchecked: None, runs: dict[str, Run], tmp_path: Path) -> None:
    named = {**runs, "words": integers(tmp_path)}
    names = (*EVERY, "words")
    for name in names:
        named[name].export("stablehlo", tmp_path / f"{name}.stablehlo")
    predictions(named, names, tmp_path)
    check(in_a_process_without_epochal(COMPARED + STABLEHLO, cwd=tmp_path), names)


def test_onnx_predicts_the_same(runs: dict[str, Run], tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="ONNX is written with the package onnx")
    pytest.importorskip("onnxruntime", reason="ONNX is checked with onnxruntime")
    for name in EVERY:
        runs[name].export("onnx", tmp_path / f"{name}.onnx")
    predictions(runs, EVERY, tmp_path)
    check(in_a_process_without_epochal(COMPARED + ONNX, cwd=tmp_path), EVERY)


def test_numpy_predicts_the_same_with_numpy_alone(runs: dict[str, Run], tmp_path: Path) -> None:
    names = ("mlp", "flats")
    (tmp_path / "modules").mkdir()
    for name in names:
        runs[name].export("numpy", tmp_path / "modules" / f"{name}.py")
    predictions(runs, names, tmp_path)
    code = NUMPY.replace("os.getcwd()", "'modules'").replace("NAMES", repr(names))
    check(in_a_process_without_epochal(COMPARED + code, cwd=tmp_path), names)


def test_a_wrong_prediction_is_seen(runs: dict[str, Run], tmp_path: Path) -> None:
    numbers = runs["mlp"].export("numpy", tmp_path / "mlp.py").with_suffix(".npz").rename(tmp_path / "numbers")
    predictions(runs, ("mlp",), tmp_path)
    source = (tmp_path / "mlp.py").read_text()
    (tmp_path / "mlp.py").write_text(source.replace('NUMBERS["scale"]', '(NUMBERS["scale"] * 1.001)'))
    (tmp_path / "modules").mkdir()
    (tmp_path / "mlp.py").rename(tmp_path / "modules" / "mlp.py")
    numbers.rename(tmp_path / "modules" / "mlp.npz")
    code = NUMPY.replace("os.getcwd()", "'modules'").replace("NAMES", "('mlp',)")
    with pytest.raises(AssertionError):
        check(in_a_process_without_epochal(COMPARED + code, cwd=tmp_path), ("mlp",))


def test_rows_of_a_table_are_encoded_with_numpy_alone(runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["flats"]
    table = run.path.parent / "flats.csv"
    run.export("numpy", tmp_path / "flats.py")
    np.savez(tmp_path / "wanted.npz", samples=run.read(table).x, outputs=run.predict(table))
    code = """
import csv, json, numpy as np
sys.path.insert(0, "")
import flats
wanted = np.load("wanted.npz")
with open(sys.argv[1], newline="") as file:
    samples = flats.encode(csv.DictReader(file))
np.testing.assert_array_equal(samples, wanted["samples"])
np.testing.assert_allclose(flats.predict(samples), wanted["outputs"], rtol=1e-5)
print(json.dumps(samples.shape))
"""
    rows, width = in_a_process_without_epochal(code, table, cwd=tmp_path)
    assert (rows, width) == (130, run.schema.sample_shape[0])


def test_safetensors_hold_the_weights_by_readable_names(runs: dict[str, Run], tmp_path: Path) -> None:
    runs["cnn"].export("safetensors", tmp_path / "cnn.safetensors")
    code = """
import json
from safetensors import safe_open
from safetensors.numpy import load_file
weights = load_file("cnn.safetensors")
about = json.loads(safe_open("cnn.safetensors", "np").metadata()["epochal"])
print(json.dumps([{name: float(array.sum()) for name, array in weights.items()}, about]))
"""
    sums, about = in_a_process_without_epochal(code, cwd=tmp_path)
    params = runs["cnn"].params
    assert sums["convolutions.0.kernel"] == pytest.approx(float(params["convolutions"][0]["kernel"].sum()), rel=1e-5)
    assert sums["dense.0.bias"] == pytest.approx(float(params["dense"][0]["bias"].sum()), rel=1e-5)
    assert len(sums) == 6
    assert about["weights"]["sha256"] == runs["cnn"].weights_sha256
    assert about["classes"] == [str(digit) for digit in range(10)]
    assert about["model"]["options"]["kernel"] == 3
    assert not about["preprocessing"]["is_inside"]


# --- what is said, where it goes, and what is refused ----------------------------------------------


def test_a_description_stands_beside_stablehlo(runs: dict[str, Run]) -> None:
    path = runs["sequences"].export("stablehlo")
    assert path == runs["sequences"].path / "export" / "sequences.stablehlo"
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["input"] == {"shape": ["batch", 5, 3], "type": "float32"}
    assert about["output"]["shape"] == ["batch", 2]
    assert about["classes"] is None
    assert len(about["targets"]["shift"]) == 2
    assert b".py" not in path.read_bytes()  # no place of a source file


def test_what_is_there_is_replaced_only_when_asked(runs: dict[str, Run], tmp_path: Path) -> None:
    path = runs["mlp"].export("numpy", tmp_path)
    assert path == tmp_path / "mlp.py"
    path.with_suffix(".npz").write_bytes(b"mine")
    path.unlink()
    with pytest.raises(OptionError, match=r"mlp\.npz is there already; --force replaces it"):
        runs["mlp"].export("numpy", tmp_path)
    assert not path.exists()
    runs["mlp"].export("numpy", tmp_path, force=True)
    assert path.with_suffix(".npz").read_bytes() != b"mine"


def test_the_best_weights_are_exported_as_such(tmp_path: Path) -> None:
    import epochal

    run = epochal.train(
        "digits", model="linear", validation=0.2, epochs=3, lr=30.0, batch_size=20, run=tmp_path / "run", progress=False
    )
    best, last = (one.export("safetensors", tmp_path / f"{one.weights}.safetensors") for one in (run.best, run))
    sums = [array_of(path) for path in (best, last)]
    np.testing.assert_array_equal(sums[0], run.best.params["weights"])
    np.testing.assert_array_equal(sums[1], run.params["weights"])


def array_of(path: Path) -> Any:
    from safetensors.numpy import load_file

    return load_file(path)["weights"]


@pytest.mark.parametrize(
    ("name", "to", "out", "message"),
    [
        ("cnn", "numpy", None, "the NumPy function is written for linear, mlp; this run has cnn: use --to stablehlo"),
        ("mlp", "onxn", None, "unknown format 'onxn': did you mean 'onnx'"),
        ("mlp", "onnx", "model.pt", r"model.pt: onnx is written as .onnx"),
    ],
)
def test_what_cannot_be_written_is_refused(
    runs: dict[str, Run], name: str, to: str, out: str | None, message: str
) -> None:
    with pytest.raises(EpochalError, match=message):
        export_run(runs[name], to, None if out is None else Path(out))


def test_a_model_of_ones_own_is_pointed_to_stablehlo(unchecked: None, tmp_path: Path) -> None:
    run = integers(tmp_path)
    for to in ("onnx", "numpy"):
        with pytest.raises(ModelError, match="this run has 'words', a model of your own: use --to stablehlo"):
            run.export(to)
    # and is exported without its code
    np.testing.assert_array_equal(array_named(Run.open(run.path).export("safetensors"), "table"), run.params["table"])
    assert Run.open(run.path).export("stablehlo").stat().st_size < 50_000


def test_code_that_needs_the_number_of_samples_is_told_so(tmp_path: Path) -> None:
    import epochal

    model = epochal.from_functions(
        lambda key: 0.1 * np.ones((64, 10), np.float32), lambda w, x: x.reshape(len(x), -1) @ w
    )
    run = epochal.train("digits", model=model, epochs=1, batch_size=100, run=tmp_path / "run", progress=False)
    with pytest.raises(ModelError, match=r"as in len\(x\); x.shape\[0\] is any number"):
        run.export("stablehlo")
    x = run.data.test.x
    np.testing.assert_allclose(Run.open(run.path).predict(x), run.predict(x), rtol=1e-5)


def array_named(path: Path, name: str) -> Any:
    from safetensors.numpy import load_file

    return load_file(path)[name]


def test_a_run_without_a_folder_writes_into_the_current_one(workplace: Path) -> None:
    import epochal

    run = epochal.train("digits", model="linear", epochs=1, run=False, progress=False)
    assert run.export("numpy").resolve() == workplace / "digits_linear.py"


def test_a_missing_onnx_is_named_with_its_command(runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(OptionError, match=r"pip install 'epochal\[onnx\]'"):
        runs["mlp"].export("onnx", Path("mlp.onnx"))


def test_tensorboard_gets_the_history(runs: dict[str, Run], tmp_path: Path) -> None:
    pytest.importorskip("epochal.loggers.tensorboard", reason="the loggers are not there yet")
    folder = runs["mlp"].export("tensorboard", tmp_path / "board")
    assert list(folder.rglob("*tfevents*"))
    with pytest.raises(OptionError, match="is there already"):
        runs["mlp"].export("tensorboard", folder)
    runs["mlp"].export("tensorboard", folder, force=True)
    assert len(list(folder.rglob("*tfevents*"))) == 1


def test_the_command_prints_the_files(runs: dict[str, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from epochal.cli import main

    assert main(["export", str(runs["mlp"].path), "--to", "safetensors", "--out", "mlp.safetensors", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["files"] == [{"path": "mlp.safetensors", "bytes": Path("mlp.safetensors").stat().st_size}]
    assert main(["export", str(runs["mlp"].path), "--to", "safetensors", "--out", "mlp.safetensors"]) == 2
    assert "--force" in capsys.readouterr().err
