"""kill -9 at random moments, resumed each time: the bits of the run that was never killed."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from children import ChildServer
from outcome import Outcome


@dataclass(frozen=True, slots=True)
class Scenario:
    """A training that saves a checkpoint as often as it can."""

    name: str
    options: str

    def arguments(self, data: Path, run: Path) -> list[str]:
        """Return the command line."""
        return ["train", str(data), *self.options.split(), "--checkpoint-every", "0", "--run", str(run)]


MLP = "--model mlp --hidden 32"
SCENARIOS = [
    Scenario("sgd, B=1", f"{MLP} --batch-size 1 --epochs 120"),
    Scenario("ragged B, adam, dropout", f"{MLP} --dropout 0.2 --batch-size 17 --optimizer adam --epochs 100"),
    Scenario("B=N", f"{MLP} --batch-size all --optimizer momentum --schedule cosine --epochs 300"),
    Scenario("growing B", f"{MLP} --batch-size 1,17@20ep,64@4200it,all@60ep --epochs 200"),
    Scenario("adaptive B", f"{MLP} --batch-size adaptive:1-64 --epochs 120"),
    Scenario("cnn", "--model cnn --batch-size 32 --optimizer adam --epochs 12"),
]  # fmt: skip
_ALWAYS = ("ragged B, adam, dropout", "growing B")


def problems_after_kills(
    children: ChildServer, arguments: list[str], whole: Outcome, kills: int, seed: int, sabotage: str = ""
) -> tuple[list[str], int]:
    """Train, kill at random moments, resume until the end; return what went wrong and how many kills there were.

    Two in three moments are within the first half second of the training loop, the others anywhere from the start of
    the process on, imports, compilation and rolling back included.
    """
    random_ = random.Random(seed)
    run = Path(arguments[-1])
    command, killed = arguments, 0
    while True:
        child = children.start(*command, sabotage=sabotage)
        if killed < kills:
            if random_.random() < 2 / 3:
                child.wait_until_training()
            time.sleep(random_.uniform(0, 0.5))
            child.kill()
        status = child.wait()
        if status == -9:
            killed += 1
            command = ["resume", str(run)] if (run / "run.toml").exists() else arguments
        elif status:
            return [child.log.read_text()], killed
        else:
            return Outcome.of(run).differences(whole), killed


def whole_outcome(children: ChildServer, scenario: Scenario, images: Path, run: Path) -> Outcome:
    """Train without a disturbance."""
    status, log = children.run(*scenario.arguments(images, run))
    assert status == 0, log
    return Outcome.of(run)


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(one, id=one.name, marks=() if one.name in _ALWAYS else pytest.mark.slow) for one in SCENARIOS],
)
def test_the_same_bits_after_kills(
    scenario: Scenario,
    children: ChildServer,
    images: Path,
    tmp_path: Path,
    kills: int,
    counted: Callable[[str, object], None],
) -> None:
    whole = whole_outcome(children, scenario, images, tmp_path / "whole")
    arguments = scenario.arguments(images, tmp_path / "killed")
    wanted, seed = -(-kills // len(SCENARIOS)), 0
    counted("times", wanted)
    while wanted > 0:
        problems, killed = problems_after_kills(children, arguments, whole, wanted, seed)
        assert problems == []
        wanted -= killed
        seed += 1
        shutil.rmtree(tmp_path / "killed")


@pytest.mark.parametrize("broken", ["history_is_not_rolled_back", "optimizer_state_is_lost"])
def test_that_a_broken_resume_is_caught(broken: str, children: ChildServer, images: Path, tmp_path: Path) -> None:
    scenario = SCENARIOS[1]
    whole = whole_outcome(children, scenario, images, tmp_path / "whole")
    for seed in range(10):
        run = tmp_path / f"killed-{seed}"
        problems, _ = problems_after_kills(children, scenario.arguments(images, run), whole, 3, seed, broken)
        if problems:
            return
    pytest.fail(f"nothing showed that {broken}")
