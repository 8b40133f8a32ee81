"""A model in a file: its options, what it is offered, its hash, and that no run folder runs it unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from epochal import Run, rerun, resume, train
from epochal.cli.main import main
from epochal.errors import EpochalError, ModelError, OptionError, RunError

CODE = """
import jax.numpy as jnp
import jax
from epochal import from_functions
from beside import SCALE

with open("ran", "a") as ran:
    ran.write("x")

def build(sample_shape, outputs, seed, width=8, names=()):
    size = 1
    for n in sample_shape:
        size *= n

    def init(key):
        one, two = jax.random.split(jax.random.key(seed))
        return SCALE * jax.random.normal(one, (size, width)), SCALE * jax.random.normal(two, (width, outputs))

    return from_functions(init, lambda w, x: jnp.tanh(x.reshape(len(x), -1) @ w[0]) @ w[1], name=f"net{width}")

def fails():
    return 1 / 0
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("SCALE = 0.1\n")
    path = tmp_path / "net.py"
    path.write_text(CODE)
    return path


def runs_of_the_code() -> int:
    return len(Path("ran").read_text())


def test_a_function_gets_its_options_and_what_it_asks_for(file: Path) -> None:
    run = train("digits", model="net.py:build", settings={"width": 5}, epochs=1, run="r")
    assert run.file.model.name == "net5"
    assert run.file.model.parameters == 64 * 5 + 5 * 10
    assert run.file.model.source == f"{file}:build"
    assert train("digits", model="net.py:build", seed=1, epochs=1, run=False).weights_sha256 != run.weights_sha256


def test_a_run_folder_runs_no_code_unasked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train("digits", model="net.py:build", epochs=1, run="r")
    before = runs_of_the_code()
    for command in (["show", "r"], ["runs", "."], ["report", "r"], ["evaluate", "r"], ["predict", "r"]):
        main(command)
    with pytest.raises(RunError, match=r"whose code is not run unasked; give it again: --model .*net\.py:build"):
        resume("r", epochs=2)
    assert runs_of_the_code() == before
    capsys.readouterr()


def test_given_again_it_is_continued_and_repeated(file: Path) -> None:
    options = {"model": "net.py:build", "settings": {"width": 5}}
    whole = train("digits", epochs=3, run="whole", **options)
    train("digits", epochs=1, run="half", **options)
    assert resume("half", model="net.py:build", epochs=3).weights_sha256 == whole.weights_sha256
    assert rerun("whole", "again", model="net.py:build").is_same
    assert main(["resume", "half", "--epochs", "4", "--model", "net.py:build"]) == 0


def test_a_file_that_changed_is_told(file: Path) -> None:
    train("digits", model="net.py:build", epochs=1, run="r")
    file.write_text(CODE + "\n# another line\n")
    resume("r", model="net.py:build", epochs=2)
    said = [event.detail.get("message", "") for event in Run.open("r").history.events if event.kind == "warned"]
    assert any("net.py is not what it was when the run began" in message for message in said)


@pytest.mark.parametrize(
    ("model", "settings", "error", "message"),
    [
        ("net.py", {}, ModelError, "say which function of net.py"),
        ("net.py:biuld", {}, ModelError, "did you mean 'build'"),
        ("nett.py:build", {}, ModelError, "cannot read nett.py"),
        ("net.py:build", {"widht": 3}, OptionError, "did you mean 'width'"),
        ("net.py:fails", {}, ModelError, r"net\.py, line \d+: ZeroDivisionError"),
        ("net.py:SCALE", {}, ModelError, "nothing that can be called"),
        ("broken.py:build", {}, ModelError, r"broken\.py, line 2"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    file: Path, model: str, settings: dict[str, int], error: type[EpochalError], message: str
) -> None:
    Path("broken.py").write_text("x = 1\ndef build(:\n")
    with pytest.raises(error, match=message):
        train("digits", model=model, settings=settings or None, run=False)


def test_initial_weights_that_were_altered_are_refused(file: Path) -> None:
    train("digits", model="net.py:build", epochs=1, run="r")
    (kept,) = Path("r/initial").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(RunError, match="is damaged"):
        resume("r", model="net.py:build", epochs=2)
    kept.unlink()
    with pytest.raises(RunError, match="does not hold the weights that the run began with"):
        resume("r", model="net.py:build", epochs=2)
