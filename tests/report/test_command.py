from __future__ import annotations

import shlex

import pytest

from epochal.cli.main import _parse
from epochal.config import TrainConfig
from epochal.report.command import shell, train_command


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(),
        TrainConfig(data="mnist", batch_size=100, budget="30000it", lr=0.1, loss="cross-entropy", snapshots=True),
        TrainConfig(data="my file; rm -rf ~.csv", target="a b", hidden=(64, 32), dropout=0.25, seed=2**64 - 1),
        TrainConfig(model="rnn", optimizer="adamw", weight_decay=1e-5, lr=1 / 3, last="drop", micro_batch=7),
    ],
)
def test_the_command_line_reads_the_configuration_back(config: TrainConfig) -> None:
    words = shlex.split(train_command(config))
    assert words[:2] == ["epochal", "train"]
    assert _parse("train", words[2:]).config == config  # type: ignore[attr-defined]


def test_a_hostile_folder_is_one_word() -> None:
    assert shlex.split(shell("epochal", "rerun", "a b; $(x) '")) == ["epochal", "rerun", "a b; $(x) '"]
