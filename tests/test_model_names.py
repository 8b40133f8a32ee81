"""Names of models with the sizes of their hidden layers."""

from __future__ import annotations

import pytest

from epochal.config.study_config import StudyConfig
from epochal.config.train_config import TrainConfig
from epochal.errors import OptionError
from epochal.model_names import MODEL_NAMES, ModelName, read_model_name
from epochal.models import MODELS


def test_every_built_in_model_has_its_name_here() -> None:
    assert tuple(MODELS) == MODEL_NAMES


@pytest.mark.parametrize(
    ("text", "base", "hidden"),
    [
        ("mlp", "mlp", None),
        ("mlp:300", "mlp", (300,)),
        ("mlp:300-100", "mlp", (300, 100)),
        ("rnn:64", "rnn", (64,)),
        ("file.py:build", "file.py:build", None),
        ("Net", "Net", None),
    ],
)
def test_a_name_with_sizes_is_read(text: str, base: str, hidden: tuple[int, ...] | None) -> None:
    assert read_model_name(text) == ModelName(base, hidden)


@pytest.mark.parametrize(
    "text", ["mlp:", "mlp:0", "mlp:3x2", "mlp:-3", "mlp:3-", "mlp:3--2", "mlp:1e3", "mlp:³", "mlp:9999999999"]
)
def test_sizes_that_are_none_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(OptionError, match=r"whole numbers of at least 1 with - between them: mlp:300$"):
        read_model_name(text)


@pytest.mark.parametrize("text", ["linear:3", "cnn:6-16", "lenet:120"])
def test_a_model_that_takes_no_sizes_says_which_do(text: str) -> None:
    with pytest.raises(OptionError, match=r"takes no sizes behind its name.*mlp:300-100"):
        read_model_name(text)


def test_runs_of_a_comparison_have_names_for_every_file_system() -> None:
    config = StudyConfig(shared=TrainConfig(), models=("linear", "mlp:300", "mlp:300-100", "lenet"), batch_sizes=(100,))
    names = [member.name for member in config.members()]
    assert names == ["linear-batch-100", "mlp-300-batch-100", "mlp-300-100-batch-100", "lenet-batch-100"]
    assert [member.config.model for member in config.members()] == ["linear", "mlp:300", "mlp:300-100", "lenet"]
