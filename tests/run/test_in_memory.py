"""Trainings without a folder: the same results, and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optax
import pytest

from epochal import train
from epochal.errors import OptionError, RunError
from little import LITTLE, little_data

__all__ = ["little_data"]


@pytest.mark.parametrize("name", LITTLE)
def test_the_results_are_those_of_a_run_in_a_folder(name: str, little_data: Path, tmp_path: Path) -> None:
    memory, folder = (train(little_data, run=run, **LITTLE[name]) for run in (False, tmp_path / "run"))
    assert memory.weights_sha256 == folder.weights_sha256
    assert memory.history.losses.tobytes() == folder.history.losses.tobytes()
    assert memory.status == folder.status == "finished"
    assert memory.position == folder.position
    assert memory.plan == folder.plan
    assert memory.history.evaluations == folder.history.evaluations
    for mine, its in zip(memory.history.epochs, folder.history.epochs, strict=True):
        assert (mine.audit_hash, mine.train_loss, mine.test) == (its.audit_hash, its.train_loss, its.test)


def test_nothing_is_written(little_data: Path, workplace: Path) -> None:
    before = sorted(workplace.rglob("*"))
    run = train(little_data, run=False, model="linear", epochs=2)
    assert sorted(path for path in workplace.rglob("*") if "cache" not in path.parts) == before
    assert run.evaluate().samples == 11
    assert run.predict(run.data.test.x).shape == (11, 3)
    assert run.predict_proba(run.data.test.x).sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("option", [{"snapshots": True}, {"checkpoint_every": 1.0}])
def test_what_needs_a_folder_is_refused(option: dict[str, Any], little_data: Path) -> None:
    with pytest.raises(OptionError, match=f"{next(iter(option))} needs a run folder; leave out run=False"):
        train(little_data, run=False, model="linear", **option)


def test_its_folder_cannot_be_asked_for(little_data: Path) -> None:
    run = train(little_data, run=False, model="linear", epochs=1)
    with pytest.raises(RunError, match="trained with run=False, so nothing of it is on the disk"):
        _ = run.path


def test_values_inside_a_loss_of_the_users_are_read_again() -> None:
    scale = {"by": 1.0}

    def loss(outputs: Any, targets: Any) -> Any:
        return scale["by"] * optax.softmax_cross_entropy_with_integer_labels(outputs, targets)

    first = [0.0, 0.0]
    for place, scale["by"] in enumerate((1.0, 5.0)):
        run = train("digits", model="linear", loss=loss, iterations=1, run=False, progress=False)
        first[place] = float(run.history.losses[0])
    assert first[1] == pytest.approx(5 * first[0])
