"""Checkpoint files: every type of number that a model can have is read back bit by bit."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from epochal import Model, Run, from_functions, rerun, resume, train
from epochal.clock import Position
from epochal.errors import AlteredWarning, RunError
from epochal.held_folder import HeldFolder
from epochal.record.checkpoint_file import (
    Checkpoint,
    EpochSums,
    load_checkpoint,
    read_header,
    save_checkpoint,
    to_bytes,
)
from epochal.record.run_record import RunRecord
from little import StopAfter, little_data

__all__ = ["little_data"]

SHORT = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz", "float8_e8m0fnu", "int4"]
PLAIN = ["float32", "float64", "float16", "int32", "uint8", "bool", "complex64"]


def checkpoint_of(**arrays: Any) -> Checkpoint:
    return Checkpoint(Position(7, 1, 2), EpochSums(), arrays, {"seed": 3})


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    with HeldFolder.open(folder) as held:
        return save_checkpoint(held, "checkpoints", checkpoint)


def type_of(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, name))


@pytest.mark.parametrize("name", SHORT + PLAIN)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4)])
def test_arrays_of_every_type_are_read_back(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape), np.float32).astype(type_of(name))
    saved = checkpoint_of(**{".params": array, "other": np.ones(2, np.float32)})
    read = load_checkpoint(save(tmp_path, saved))
    assert read.arrays[".params"].dtype == array.dtype
    assert read.arrays[".params"].shape == shape
    assert read.arrays[".params"].tobytes() == array.tobytes()
    assert (read.weights_sha256, read.position, read.origin) == (saved.weights_sha256, saved.position, saved.origin)


def test_plain_arrays_stand_in_the_file_as_they_are(tmp_path: Path) -> None:
    """Without types of others the file is what it always was; with them it can still be opened by safetensors alone."""
    plain = save(tmp_path, checkpoint_of(a=np.ones(3, np.float32)))
    assert b"types" not in plain.read_bytes()
    other = save(tmp_path, checkpoint_of(a=np.ones(3, type_of("bfloat16"))))
    assert load_file(other)["a"].tolist() == [128, 63] * 3


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16", "float32", "complex64"])
def test_a_number_that_is_not_finite_is_seen_in_every_type(name: str) -> None:
    values = np.array([1.0, np.nan], np.float32).astype(type_of(name))
    assert not checkpoint_of(a=values).is_finite()
    assert checkpoint_of(a=values[:1]).is_finite()


def short_model(kind: str) -> Model:
    """Weights in a short type, which the outputs are computed from in float32."""

    def init(key: jax.Array) -> Any:
        return {"w": (0.1 * jax.random.normal(key, (5, 3))).astype(kind), "b": jnp.zeros(3)}

    return from_functions(init, lambda params, x: x @ params["w"].astype(jnp.float32) + params["b"])


def slow(*values: str) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [
        ("bfloat16", "adam"),
        ("float16", "lion"),
        ("float16", "sgd"),
        *(slow("bfloat16", "sgd"), slow("bfloat16", "lion"), slow("float16", "adam")),
    ],
)
def test_short_weights_are_evaluated_resumed_and_repeated(
    kind: str, optimizer: str, little_data: Path, tmp_path: Path
) -> None:
    model = short_model(kind)
    options: dict[str, Any] = {"model": model, "optimizer": optimizer, "batch_size": 4, "epochs": 2}
    whole = train(little_data, run=tmp_path / "whole", **options)
    assert whole.params["w"].dtype == type_of(kind)
    assert whole.evaluate().samples == 11
    assert whole.predict(whole.data.test.x[:2]).shape == (2, 3)

    train(little_data, run=tmp_path / "run", callbacks=StopAfter(5), **options)
    assert resume(tmp_path / "run", model=model).weights_sha256 == whole.weights_sha256
    assert rerun(whole.path, tmp_path / "again", model=model).is_same


def test_a_name_that_says_another_iteration_is_not_believed(little_data: Path, tmp_path: Path) -> None:
    run = train(little_data, run=tmp_path / "run", model="linear", batch_size=4, epochs=3, snapshots=True)
    newest = max(run.folder.checkpoints.iterdir())
    older = min(path for path in run.folder.snapshots.iterdir() if path.name.startswith(f"{6:012d}"))
    for path in run.folder.checkpoints.iterdir():
        path.unlink()
    older.rename(newest.with_name(f"{18:012d}-{older.name.split('-')[1]}"))
    for read in (load_checkpoint, read_header):
        with pytest.raises(RunError, match="it is of iteration 6, and its name says 18"):
            read(max(run.folder.checkpoints.iterdir()))
    with pytest.raises(RunError, match=r"none of the checkpoints in .* can be used"):
        resume(run.path, epochs=5)


@pytest.mark.parametrize("wrong", [Position(18, 2, 0), Position(18, 3, 4)])
def test_a_position_that_its_plan_does_not_have_is_seen(little_data: Path, tmp_path: Path, wrong: Position) -> None:
    run = train(little_data, run=tmp_path / "run", model="linear", batch_size=4, epochs=3)
    (newest,) = run.folder.checkpoints.iterdir()
    content = to_bytes(dataclasses.replace(load_checkpoint(newest), position=wrong))
    newest.with_name(f"{18:012d}-{hashlib.sha256(content).hexdigest()[:32]}.safetensors").write_bytes(content)
    newest.unlink()

    (said,) = RunRecord.read(run.path).problems
    assert re.search(r"iteration 18 says . epochs and . samples, but its plan has 3 and 0 there", said)
    with pytest.warns(AlteredWarning, match="its plan has 3 and 0 there"):
        assert Run.open(run.path).record.checkpoint().position == wrong
    with pytest.raises(RunError, match="its plan has 3 and 0 there"):
        resume(run.path, epochs=5)
