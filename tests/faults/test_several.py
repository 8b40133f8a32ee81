"""Several processes of one training: whatever happens to one of them, all end, and a resume has the same bits."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from children import ChildServer
from crowd import SETTINGS, Crowd
from outcome import Outcome

from epochal import Run

HEARTBEAT = float(SETTINGS["EPOCHAL_HEARTBEAT"])
JOINING = 20.0
AT_ONCE = 5.0

SHARED = "--model mlp --hidden 16 --batch-size 128 --shards 4 --evaluate-every 50 --checkpoint-every 0"
LONG = f"{SHARED} --epochs 1000000"


CNN = "--model cnn --batch-size 128 --shards 4 --optimizer adam --evaluate-every 5 --checkpoint-every 0"


@dataclass(frozen=True, slots=True)
class Kills:
    """How many processes are killed, one in each training, and how many train what together."""

    kills: int
    processes: int
    epochs: int
    options: str = SHARED
    seed: int = 7


def start_long(children: ChildServer, images: Path, run: Path, processes: int, **more: object) -> Crowd:
    """Start a training that takes hours, and wait until it trains."""
    crowd = Crowd.start(
        children,
        "train",
        images,
        *LONG.split(),
        "--run",
        run,
        processes=processes,
        **more,  # type: ignore[arg-type]
    )
    crowd.wait_until_training()
    time.sleep(0.3)
    return crowd


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(Kills(kills=2, processes=2, epochs=60), id="short"),
        *(
            pytest.param(
                Kills(kills=20, processes=4, epochs=2000, seed=seed), id=f"long-{seed}", marks=pytest.mark.slow
            )
            for seed in range(5)
        ),
        pytest.param(Kills(kills=8, processes=2, epochs=40, options=CNN), id="cnn", marks=pytest.mark.slow),
    ],
)
def test_the_same_bits_after_random_kills(
    scenario: Kills,
    children: ChildServer,
    images: Path,
    tmp_path: Path,
    counted: Callable[[str, object], None],
) -> None:
    command = ["train", images, *scenario.options.split(), "--epochs", scenario.epochs, "--run"]
    assert children.run(*command, tmp_path / "whole")[0] == 0
    whole = Outcome.of(tmp_path / "whole")

    random_, left, number, longest = random.Random(scenario.seed), scenario.kills, 0, 0.0
    while left:
        run = tmp_path / f"killed-{number}"
        words, number, status = [*command, run], number + 1, [1]
        while any(status):
            # the last part is one process's: the number of them may change, too
            processes = scenario.processes if left else 1
            crowd = Crowd.start(children, *words, processes=processes, EPOCHAL_JOIN_TIMEOUT=f"{JOINING:.0f}")
            lost = kill_one(crowd, random_) if left else None
            asked = time.monotonic()
            status = crowd.wait(300 if lost is None else lost.seconds)
            if lost is None:
                assert not any(status), crowd.text()
            else:
                left -= 1
                longest = max(longest, time.monotonic() - asked) if lost.trained else longest
                assert -signal.SIGKILL in status
                assert set(status) <= {-signal.SIGKILL, 75, 2, 0}, crowd.text()
            words = ["resume", run] if (run / "run.toml").exists() else [*command, run]
        assert Outcome.of(run).differences(whole) == []
    counted("times", scenario.kills)
    counted("seconds", f"{longest:.1f}")


@dataclass(frozen=True, slots=True)
class Lost:
    """A process that was killed.

    Attributes:
        trained: whether all of them trained by then, and did not look for each other.
    """

    trained: bool

    @property
    def seconds(self) -> float:
        """How long the others may take to end."""
        return HEARTBEAT + AT_ONCE + (0 if self.trained else JOINING)


def kill_one(crowd: Crowd, random_: random.Random) -> Lost | None:
    """Kill one of the processes, mostly while they train; return nothing where one had ended before."""
    trained = random_.random() < 2 / 3
    if trained:
        crowd.wait_until_training()
    time.sleep(random_.uniform(0, 0.5))
    running = crowd.left()
    if len(running) < len(crowd.members):
        return None
    random_.choice(running).kill()
    return Lost(trained)


@pytest.mark.parametrize("lost", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_process_ends_the_others_at_once(
    lost: int, children: ChildServer, images: Path, tmp_path: Path
) -> None:
    crowd = start_long(children, images, tmp_path / "run", 2)
    crowd.members[lost].kill()
    asked = time.monotonic()
    statuses = crowd.wait()
    assert time.monotonic() - asked < AT_ONCE
    assert statuses[lost] == -signal.SIGKILL
    assert statuses[1 - lost] == 75
    assert "resume goes on from the last checkpoint" in crowd.members[1 - lost].log.read_text()


def test_a_stopped_process_ends_the_others_within_the_heartbeat(
    children: ChildServer, images: Path, tmp_path: Path
) -> None:
    crowd = start_long(children, images, tmp_path / "run", 2)
    crowd.members[1].kill(signal.SIGSTOP)
    asked = time.monotonic()
    while len(crowd.left()) > 1 and time.monotonic() - asked < 60:
        time.sleep(0.02)
    passed = time.monotonic() - asked
    crowd.members[1].kill()
    assert crowd.wait() == [75, -signal.SIGKILL]
    assert passed < HEARTBEAT + AT_ONCE


@pytest.mark.parametrize("asked", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_signal_to_one_stops_all_at_the_same_iteration(
    asked: int, children: ChildServer, images: Path, tmp_path: Path
) -> None:
    crowd = start_long(children, images, tmp_path / "run", 2)
    crowd.members[asked].kill(signal.SIGTERM)
    assert crowd.wait() == [143, 143], crowd.text()
    run = Run.open(tmp_path / "run")
    assert run.status == "stopped"
    assert run.position.iteration == run.history.losses.size > 0


DIFFERENT = {
    "data": ({"arguments_data": "other"}, "fingerprint is"),
    "cores": ({"cores": 1}, "CPU cores is"),
    "code": ({"sabotage": "other_code"}, "code is"),
    "options": ({"arguments_lr": "0.05"}, "lr is"),
}


@pytest.mark.parametrize(
    "what", ["data", "code", *(pytest.param(one, marks=pytest.mark.slow) for one in ("cores", "options"))]
)
def test_processes_that_differ_are_refused_by_name(
    what: str, children: ChildServer, images: Path, little_data: Path, tmp_path: Path
) -> None:
    own, named = DIFFERENT[what]
    command = ["train", images, *SHARED.split(), "--lr", "0.1", "--epochs", 2, "--run", tmp_path / "run"]
    other: dict[str, object] = {name: value for name, value in own.items() if not name.startswith("arguments")}
    if what == "data":
        other["arguments"] = [command[0], other_images(images, tmp_path), *command[2:]]
    if what == "options":
        other["arguments"] = ["0.05" if word == "0.1" else word for word in command]
    crowd = Crowd.start(children, *command, processes=2, each={1: other})
    assert crowd.wait() == [2, 2], crowd.text()
    assert named in crowd.members[0].log.read_text()
    assert len(crowd.members[0].log.read_text().strip().splitlines()[-1:]) == 1
    assert "Traceback" not in crowd.text()
    assert not (tmp_path / "run" / "run.toml").exists()


def other_images(images: Path, folder: Path) -> Path:
    """Return a copy of the images with one other pixel."""
    import numpy as np

    with np.load(images) as arrays:
        changed = dict(arrays)
    changed["x_train"] = changed["x_train"].copy()
    changed["x_train"][0, 0, 0] += 1
    path = folder / images.name
    np.savez(path, **changed)
    return path


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        pytest.param({"EPOCHAL_WATCHDOG": "2"}, 2.0, id="short"),
        pytest.param({}, 60.0, id="as nobody says otherwise", marks=pytest.mark.slow),
    ],
)
def test_a_stuck_process_is_found_and_says_where(
    settings: dict[str, str], seconds: float, children: ChildServer, images: Path, tmp_path: Path
) -> None:
    crowd = start_long(children, images, tmp_path / "run", 2, each={1: {"sabotage": "spins_for_ever"}}, **settings)
    asked = time.monotonic()
    statuses = crowd.wait()
    assert time.monotonic() - asked < seconds + HEARTBEAT + AT_ONCE
    assert statuses == [75, 75], crowd.text()
    assert "no progress for" in crowd.text()
    assert "spin_here" in crowd.members[1].log.read_text()
