"""Modules of other libraries: trained as they are, given back trained, killed, continued and repeated bit by bit."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo import PACKAGES, ZOO, outputs_of

from epochal import Run, load_data, rerun, resume, train

pytestmark = pytest.mark.filterwarnings("default")  # what the libraries say of themselves while they are imported
HERE = Path(__file__).parent
FUNCTIONS = ("flax_linen", "haiku")
"""Their modules are functions of weights, as Epochal's own are: what is slow is tried with all by `make test-long`."""
MOSTLY = [pytest.param(name, marks=pytest.mark.slow) if name in FUNCTIONS else name for name in ZOO]


@dataclass
class Trained:
    """A module of one library, and the run that trained it."""

    name: str
    module: Any
    run: Run


@pytest.fixture(scope="module", params=ZOO)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A module that was trained for six epochs."""
    name = request.param
    package = PACKAGES.get(name, name)
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    module = ZOO[name]()
    run = train("digits", model=module, epochs=6, lr=0.1, run=tmp_path_factory.mktemp(name) / "whole")
    return Trained(name, module, run)


def test_the_object_has_the_trained_weights_in_evaluation_mode(trained: Trained) -> None:
    data = load_data("digits")
    assert trained.run.evaluate(data).accuracy > 0.85
    x = np.asarray(data.preprocessing(data.test.x))
    own = outputs_of(trained.name, trained.run.model, x)
    np.testing.assert_allclose(own, trained.run.predict(data.test.x), atol=2e-5, rtol=1e-5)

    if trained.name in ("flax_nnx", "keras", "torch"):  # whose modules can be changed
        assert trained.run.model is trained.module


def test_its_run_predicts_without_it(trained: Trained) -> None:
    x = load_data("digits").test.x
    opened = Run.open(trained.run.path)
    for count in (1, 3, len(x)):
        np.testing.assert_allclose(opened.predict(x[:count]), trained.run.predict(x[:count]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("trained", MOSTLY, indirect=True)
def test_killed_and_continued_it_ends_with_the_same_bits(trained: Trained, tmp_path: Path) -> None:
    command = [sys.executable, HERE / "killed.py", trained.name, tmp_path / "killed"]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-500:]
    assert Run.open(tmp_path / "killed").position.iteration > 0

    continued = resume(tmp_path / "killed", model=ZOO[trained.name]())
    assert continued.weights_sha256 == trained.run.weights_sha256
    np.testing.assert_array_equal(continued.history.losses, trained.run.history.losses)


@pytest.mark.parametrize("trained", MOSTLY, indirect=True)
def test_repeated_with_the_trained_object_it_begins_where_the_run_began(trained: Trained, tmp_path: Path) -> None:
    again = rerun(trained.run.path, tmp_path / "again", model=trained.module)
    assert again.is_same


def test_another_seed_has_other_noise_in_every_iteration(trained: Trained) -> None:
    other = train("digits", model=ZOO[trained.name](), epochs=1, lr=0.1, seed=1, run=False)
    assert (other.history.losses != trained.run.history.losses[:15]).all()
