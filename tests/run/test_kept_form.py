"""A run with a model of the user's own predicts without its code; what is altered or no plain program is refused."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import epochal
from epochal import Run, from_functions
from epochal.engine import exported
from epochal.errors import ModelError, RunError
from little import Warnings

TRAINED_ELSEWHERE = """
import jax, jax.numpy as jnp, numpy as np, epochal

class Layer:  # a tree that nobody else knows
    def __init__(self, kernel, bias):
        self.kernel, self.bias = kernel, bias

jax.tree_util.register_pytree_with_keys(
    Layer,
    lambda l: (((jax.tree_util.GetAttrKey("kernel"), l.kernel), (jax.tree_util.GetAttrKey("bias"), l.bias)), None),
    lambda _, leaves: Layer(*leaves),
)

def init(key):
    layer = Layer(0.1 * jax.random.normal(key, (64, 10)), jnp.zeros(10))
    return {"body": [layer], "temperature": jnp.ones(())}, {"mean": jnp.zeros(64)}

def apply(params, state, x, training):
    flat = x.reshape(x.shape[0], -1)
    if training:
        state = {"mean": 0.9 * state["mean"] + 0.1 * flat.mean(0)}
    layer = params["body"][0]
    return ((flat - state["mean"]) @ layer.kernel + layer.bias) / params["temperature"], state

model = epochal.from_functions(init, apply, has_state=True, name="mine")
run = epochal.train("digits", model=model, epochs=2, run="run", progress=False)
np.savez("wanted.npz", x=run.data.test.x, outputs=run.predict(run.data.test.x), kernel=run.params["body"][0].kernel)
print(run.evaluate().loss)
"""
USED_HERE = """
import numpy as np, epochal
run = epochal.Run.open("elsewhere/moved")
wanted = np.load("wanted.npz")
for count in (1, 3, 360):
    np.testing.assert_allclose(run.predict(wanted["x"][:count]), wanted["outputs"][:count], rtol=1e-5, atol=1e-6)
np.testing.assert_array_equal(run.params["body"][0]["kernel"], wanted["kernel"])
print(run.evaluate().loss)
"""


def in_another_process(code: str, *words: str) -> str:
    command = [sys.executable, *words, *(("-c", code) if code else ())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_moved_run_predicts_and_evaluates_in_a_process_that_never_saw_its_code(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(TRAINED_ELSEWHERE)
    loss = float(in_another_process("", "code.py"))
    (tmp_path / "code.py").unlink()
    (tmp_path / "elsewhere").mkdir()
    shutil.move("run", "elsewhere/moved")

    assert float(in_another_process(USED_HERE)) == pytest.approx(loss, rel=1e-5)
    np.save("new.npy", np.load("wanted.npz")["x"][:5])
    printed = in_another_process("", "-m", "epochal", "predict", "elsewhere/moved", "new.npy", "--json")
    wanted = np.load("wanted.npz")["outputs"][:5].argmax(1)
    assert [int(row["prediction"]) for row in json.loads(printed)] == wanted.tolist()


# --- what the run folder holds ---------------------------------------------------------------------


def flat_model(**options: Any) -> epochal.Model:
    return from_functions(
        lambda key: {"w": 0.1 * jnp.ones((3, 2))}, options.pop("apply", lambda p, x: x @ p["w"]), **options
    )


X, Y = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32), np.arange(40) % 2


def trained(path: str | Path = "run", **options: Any) -> Run:
    fixed = {"epochs": 1, "batch_size": 10, "progress": False, "run": path}
    return epochal.train((X, Y), **{**fixed, "model": flat_model(), **options})


def test_opening_showing_and_reporting_do_not_read_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    trained()
    monkeypatch.setattr(export, "deserialize", lambda content: pytest.fail("it was read"))
    run = Run.open("run")
    assert run.status == "finished"
    assert run.history.iterations == 4
    from epochal.cli import main

    assert main(["show", "run"]) == 0
    assert main(["report", "run"]) == 0


def test_no_place_of_a_source_file_is_in_it() -> None:
    content = (trained().path / "model.stablehlo").read_bytes()
    assert __file__.encode() not in content
    assert b".py" not in content


def test_a_built_in_model_keeps_none() -> None:
    run = epochal.train((X, Y), model="linear", epochs=1, run="run", progress=False)
    assert not (run.path / "model.stablehlo").exists()
    assert "exported" not in (run.path / "run.toml").read_text()


def test_a_resumed_and_a_repeated_run_keep_theirs(tmp_path: Path) -> None:
    model = flat_model()
    run = trained(model=model)
    kept = (run.path / "model.stablehlo").read_bytes()
    epochal.resume("run", model=model, data=(X, Y), epochs=2, progress=False)
    assert (run.path / "model.stablehlo").read_bytes() == kept
    again = epochal.rerun("run", "again", model=model, data=(X, Y), progress=False)
    assert again.is_same
    np.testing.assert_array_equal(Run.open("again").predict(X), Run.open("run").predict(X))


def test_a_training_goes_on_where_the_model_cannot_be_exported() -> None:
    def with_callback(params: Any, x: Any) -> Any:
        return jax.pure_callback(lambda y: np.asarray(y), x @ params["w"], x @ params["w"], vmap_method="sequential")

    def apply(params: Any, state: Any, x: Any, training: bool) -> Any:
        return (x @ params["w"] if training else with_callback(params, x)), state

    seen = Warnings()
    model = from_functions(lambda key: ({"w": 0.1 * jnp.ones((3, 2))}, ()), apply, has_state=True)
    run = trained(model=model, callbacks=seen)
    assert run.status == "finished"
    assert any(message.startswith("the run needs its model's code to predict") for message in seen.messages)
    with pytest.raises(RunError, match="its own model; give them again"):
        Run.open("run").predict(X)


def test_a_model_that_needs_a_number_of_samples_is_kept_for_slices() -> None:
    def apply(params: Any, x: Any) -> Any:
        assert isinstance(x.shape[0], int)
        return jnp.concatenate([x, jnp.zeros((x.shape[0], 1))], 1)[:, :3] @ params["w"]

    run = trained(model=flat_model(apply=apply))
    for count in (1, 128, 300):
        x = np.resize(X, (count, 3))
        np.testing.assert_allclose(Run.open("run").predict(x), run.predict(x), rtol=1e-6)


def test_samples_of_several_parts_and_short_floats_are_kept(tmp_path: Path) -> None:
    def apply(params: Any, x: Any) -> Any:
        return x["numbers"] @ params["w"] + params["table"][x["words"]].mean(1)

    model = from_functions(lambda key: {"w": 0.1 * jnp.ones((3, 2)), "table": jnp.ones((9, 2)) / 3}, apply)
    x = {"numbers": X, "words": np.arange(80, dtype=np.int32).reshape(40, 2) % 9}
    options: dict[str, Any] = {"precision": "bfloat16", "epochs": 1, "progress": False, "run": tmp_path / "run"}
    run = epochal.train((x, Y), model=model, **options)
    np.testing.assert_array_equal(Run.open(run.path).predict(x), run.predict(x))

    # and so is a whole prediction of them
    file = run.export("stablehlo")
    outputs = export.deserialize(bytearray(file.read_bytes())).call(x)
    np.testing.assert_allclose(outputs, run.predict(x), rtol=1e-2)
    about = json.loads(file.with_suffix(".json").read_text())
    assert about["input"]["parts"]["dict"]["words"]["array"]["samples"] == {"shape": [2], "type": "int32"}


def test_such_a_model_whose_samples_depend_on_each_other_is_not() -> None:
    def apply(params: Any, x: Any) -> Any:
        assert isinstance(x.shape[0], int)
        return (x - x.mean(0)) @ params["w"]

    seen = Warnings()
    run = trained(model=flat_model(apply=apply, uses_batch_statistics=True), callbacks=seen)
    assert not (run.path / "model.stablehlo").exists()
    assert any("cannot be exported" in message for message in seen.messages)


# --- what is refused -------------------------------------------------------------------------------


def put_in(path: Path, content: bytes) -> None:
    """Put another form into a run, and its hash into `run.toml`: what a stranger could hand on."""
    (path / "model.stablehlo").write_bytes(content)
    toml = path / "run.toml"
    digest = hashlib.sha256(content).hexdigest()
    toml.write_text(re.sub(r'exported = "\w+"', f'exported = "{digest}"', toml.read_text()))


def test_an_altered_form_is_refused() -> None:
    path = trained().path / "model.stablehlo"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="was altered: it is not the file"):
        Run.open("run").predict(X)
    path.unlink()
    with pytest.raises(RunError, match=r"cannot read .*model.stablehlo.* give its model again: Run.open"):
        Run.open("run").predict(X)


def exported_of(function: Any, *arguments: Any, checks: tuple[Any, ...] = ()) -> bytes:
    exporter = export.export(jax.jit(function), platforms=("cpu",), disabled_checks=checks)
    return bytes(exporter(*arguments).serialize())


WEIGHTS = {".params['w']": jax.ShapeDtypeStruct((3, 2), np.float32)}
SAMPLES = exported.with_batch(jax.ShapeDtypeStruct((2, 3), np.float32))


def test_a_form_with_a_host_callback_is_refused_and_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "xla_ffi_python_cpu_callback"  # its attribute is the address of a Python object in this process

    def apply(weights: Any, x: Any) -> Any:
        y = x @ weights[".params['w']"]
        return jax.ffi.ffi_call(name, jax.ShapeDtypeStruct((40, 2), np.float32))(y, index=np.uint64(0))

    fixed = exported.with_batch(SAMPLES, 40)
    checks = (export.DisabledSafetyCheck.custom_call(name),)
    trained()
    put_in(Path("run"), exported_of(apply, WEIGHTS, fixed, checks=checks))
    monkeypatch.setattr(export.Exported, "call", lambda *arguments: pytest.fail("it was called"))
    with pytest.raises(RunError, match=r"calls 'xla_\w*callback', which is no part of StableHLO: it is not run"):
        Run.open("run").predict(X)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(lambda x: x, (SAMPLES,)), (lambda w, x: x, ((jax.ShapeDtypeStruct((3,), np.float32),), SAMPLES))],
    ids=["no weights", "weights without names"],
)
def test_another_function_is_refused(function: Any, arguments: Any) -> None:
    with pytest.raises(ModelError, match=r"the exported model (is no function of|cannot be read)"):
        exported.read(exported_of(function, *arguments), "strange")


@pytest.mark.filterwarnings("ignore::epochal.errors.AlteredWarning")
def test_a_form_of_other_shapes_is_refused() -> None:
    trained()
    others = {".params['w']": jax.ShapeDtypeStruct((3, 5), np.float32)}
    put_in(Path("run"), exported_of(lambda w, x: x @ w[".params['w']"], others, SAMPLES))
    with pytest.raises(epochal.EpochalError, match="returns shape"):
        Run.open("run").predict(X)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", bytes(1000)])
def test_damaged_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="cannot be read by JAX"):
        exported.read(content, "damaged")


def test_a_form_that_is_too_large_is_not_read() -> None:
    with pytest.raises(ModelError, match="are taken"):
        exported.read(bytes(exported.MOST_BYTES + 1), "large")


def test_a_form_of_this_shape_passes_these_checks() -> None:
    model = exported.read(exported_of(lambda w, x: x @ w[".params['w']"], WEIGHTS, SAMPLES), "good")
    params, state = model.init(jax.random.key(0))
    assert model.apply(params, state, jnp.ones((7, 3)), None, False)[0].shape == (7, 2)
