"""What is said before a training."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from epochal.cli.before_training import print_setup
from epochal.config.train_config import TrainConfig
from epochal.run.setup import set_up
from epochal.words.language import LANGUAGES
from small import three_clouds


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("samples", "is_said"), [(6, True), (60, False)])
def test_so_few_training_samples_that_they_teach_nothing_are_said_to_be(
    samples: int, is_said: bool, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EPOCHAL_LANG", language)
    file = io.StringIO()
    print_setup(set_up(TrainConfig(hidden=(3,), epochs=1), three_clouds(samples, 6)), Console(file=file, width=100))
    words = {"en": "learned by heart", "zh": "死记下来"}[language]
    assert (words in file.getvalue()) is is_said
