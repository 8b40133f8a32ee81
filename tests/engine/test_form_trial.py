"""What ends, stops or fills the process that reads a form does so to another one, once; here it is one line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from epochal.engine import exported, form_trial
from epochal.engine.form_trial import Limits, try_form
from epochal.engine.kept_programs import KeptPrograms, make_private
from epochal.errors import ModelError
from epochal.words.phrases import translate

FATAL = sorted((Path(__file__).parents[1] / "fuzz" / "found" / "form").iterdir())
SEED = Path(__file__).parents[1] / "fuzz" / "seeds" / "form" / "own"
WEIGHTS = {".params['w']": jax.ShapeDtypeStruct((3,), np.float32)}
SAMPLES = exported.with_batch(jax.ShapeDtypeStruct((40, 3), np.float32))


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KeptPrograms:
    """A process and a folder that know no form yet."""
    programs = KeptPrograms(tmp_path / "compiled")
    assert make_private(programs.folder) is None
    known: set[str] = set()
    monkeypatch.setattr(form_trial, "_tried", lambda: known)
    monkeypatch.setattr(form_trial, "kept_programs", lambda: programs)
    return programs


def form_of(function: Any) -> bytes:
    return bytes(export.export(jax.jit(function), platforms=exported.PLATFORMS)(WEIGHTS, SAMPLES).serialize())


def no_process(*arguments: Any, **options: Any) -> Any:
    pytest.fail("it was tried again")


@pytest.mark.parametrize("path", FATAL, ids=lambda path: path.name)
def test_what_ends_jax_is_one_line_and_not_remembered(
    path: Path, unknown: KeptPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPOCHAL_LANG", "zh")
    with pytest.raises(ModelError, match=r"ended the process that tried it \(SIG\w+;") as caught:
        exported.read(path.read_bytes(), "fatal")
    assert "\n" not in str(caught.value)
    assert "试读" in translate(str(caught.value))
    assert list(unknown.folder.iterdir()) == []


@pytest.mark.slow
def test_these_bytes_end_a_process_indeed() -> None:
    """The control: without a trial, this would be the user's process."""
    code = f"from epochal.engine.exported import deserialized; deserialized(open({str(FATAL[0])!r}, 'rb').read())"
    assert subprocess.run([form_trial.sys.executable, "-c", code], capture_output=True, check=False).returncode < 0


def test_a_good_form_is_tried_once(monkeypatch: pytest.MonkeyPatch, unknown: KeptPrograms) -> None:
    content = SEED.read_bytes()
    assert exported.read(content, "good").name == "good"
    monkeypatch.setattr(subprocess, "run", no_process)
    assert exported.read(content, "good").name == "good"

    monkeypatch.setattr(form_trial, "_tried", set)  # another process of the same user
    try_form(content)
    unknown.folder.chmod(0o700)
    for path in unknown.folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(pytest.fail.Exception, match="tried again"):
        try_form(content)


@pytest.mark.slow
def test_a_small_form_that_grows_without_end_is_one_line() -> None:
    """Functions that call the one before thirty times: four of them are some kilobytes, and a million operations."""

    def repeated(before: Any) -> Any:
        def call(x: Any) -> Any:
            for number in range(30):
                x = before(x + number)
            return x

        return jax.jit(call)

    grown: Any = jax.jit(jnp.sin)
    for _ in range(4):
        grown = repeated(grown)
    content = form_of(lambda w, x: grown(x * w[".params['w']"]))
    assert len(content) < 20_000
    with pytest.raises(ModelError, match=r"not tried to its end within 3 s|ended the process that tried it"):
        try_form(content, Limits(seconds=3.0, memory=1 << 30))


def test_a_loop_without_end_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    content = form_of(lambda w, x: jax.lax.while_loop(lambda y: y.sum() < 1, jnp.sin, x * w[".params['w']"]))
    with pytest.raises(ModelError, match=r"not tried to its end within 3 s: it is damaged, made to hang, or") as caught:
        try_form(content, Limits(seconds=3.0))
    monkeypatch.setenv("EPOCHAL_LANG", "zh")
    assert "秒" in translate(str(caught.value))


@pytest.mark.slow
def test_a_form_that_takes_all_memory_is_one_line() -> None:
    def huge(w: Any, x: Any) -> Any:
        return x * w[".params['w']"] + jnp.sort(jax.lax.iota(np.float32, 1 << 31) * x[0, 0])[-1]

    with pytest.raises(
        ModelError, match=r"ended the process that tried it|cannot be computed by JAX .*[Oo]ut of memory"
    ):
        try_form(form_of(huge), Limits(memory=2 << 30))


def test_where_no_process_starts_a_form_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form_trial.sys, "executable", "/nowhere/python")
    with pytest.raises(ModelError, match="cannot be tried by another process"):
        exported.read(SEED.read_bytes(), "good")


@pytest.mark.slow
def test_a_module_in_the_present_folder_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("jax.py", "epochal.py", "sitecustomize.py"):
        Path(name).write_text("raise SystemExit(9)")
    monkeypatch.setattr(form_trial.sys, "path", ["", *form_trial.sys.path])
    try_form(SEED.read_bytes())
