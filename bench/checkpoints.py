"""Measure Epochal's checkpoints against Orbax's: time, size, and what kills, power cuts and flipped bits do.

    python bench/checkpoints.py

Orbax is measured where it is installed (pip install orbax-checkpoint); the power cut needs Linux and a C compiler.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

FAULTS = Path(__file__).parents[1] / "tests" / "faults"
PARAMETERS = {"mlp": 101_770, "cnn": 804_554}
SAVES, KILLS, FLIPS = 30, 40, 200


class Saver(Protocol):
    """What is measured."""

    def save(self, number: int, state: dict[str, Any]) -> None:
        """Start saving."""

    def wait(self) -> None:
        """Wait until it is saved."""

    def restore(self) -> tuple[int, dict[str, np.ndarray]]:
        """Return the newest whole one's number and arrays, or raise."""


class Ours:
    """Epochal's own protocol: safetensors, named by content, committed by one rename."""

    def __init__(self, folder: Path) -> None:
        from epochal.run.checkpoints import CheckpointSaver

        self.folder = folder
        self._saver = CheckpointSaver(folder)

    def save(self, number: int, state: dict[str, Any]) -> None:
        from epochal.clock import Position
        from epochal.record.checkpoint_file import Checkpoint, EpochSums

        arrays = {name: np.array(array) for name, array in state.items()}
        self._saver.save(Checkpoint(Position(number, 0, number), EpochSums(), arrays))

    def wait(self) -> None:
        self._saver.wait()

    def restore(self) -> tuple[int, dict[str, np.ndarray]]:
        from epochal.record.checkpoint_file import newest_checkpoint

        found = newest_checkpoint(self.folder, lambda: 1 << 60)
        if found is None:
            raise FileNotFoundError("no checkpoint")
        return found.position.iteration, found.arrays


class Orbax:
    """Orbax's checkpoint manager with its asynchronous saving."""

    def __init__(self, folder: Path) -> None:
        import orbax.checkpoint as ocp

        self._ocp = ocp
        options = ocp.CheckpointManagerOptions(max_to_keep=3, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(folder, options=options)

    def save(self, number: int, state: dict[str, Any]) -> None:
        self._manager.save(number, args=self._ocp.args.StandardSave(state))

    def wait(self) -> None:
        self._manager.wait_until_finished()

    def restore(self) -> tuple[int, dict[str, np.ndarray]]:
        number = self._manager.latest_step()
        if number is None:
            raise FileNotFoundError("no checkpoint")
        state = self._manager.restore(number, args=self._ocp.args.StandardRestore())
        return number, {name: np.asarray(array) for name, array in state.items()}


SAVERS: dict[str, Callable[[Path], Saver]] = {"ours": Ours, "orbax": Orbax}
IMPORTS = {"ours": "safetensors.numpy", "orbax": "orbax.checkpoint"}


def state_of(parameters: int, number: int) -> dict[str, Any]:
    """Return weights and adam's two moments of the ``number``-th checkpoint."""
    import jax.numpy as jnp

    return {name: jnp.asarray(array) for name, array in expected(parameters, number).items()}


def expected(parameters: int, number: int) -> dict[str, np.ndarray]:
    random_ = np.random.default_rng(number)
    return {name: random_.standard_normal(parameters, np.float32) for name in ("params", "mu", "nu")}


def is_whole(arrays: dict[str, np.ndarray], number: int) -> bool:
    wanted = expected(arrays["params"].size, number)
    return arrays.keys() == wanted.keys() and all(np.array_equal(arrays[name], wanted[name]) for name in wanted)


def python(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu", **(environment or {})},
    )


def output_of(*arguments: object, environment: dict[str, str] | None = None) -> str:
    return python(*arguments, environment=environment).communicate()[0].strip()


def import_milliseconds(name: str) -> float:
    code = f"import jax, time; t = time.perf_counter(); import {IMPORTS[name]}; print(time.perf_counter() - t)"
    return 1000 * statistics.median(float(output_of("-c", code)) for _ in range(5))


def save_often(name: str, folder: str, parameters: str) -> None:
    """Save with pauses; print the median milliseconds that a save blocks, and that it takes in all."""
    saver, blocked, whole = SAVERS[name](Path(folder)), [], []
    for number in range(1, SAVES + 1):
        state = state_of(int(parameters), number)
        state["params"].block_until_ready()
        started = time.perf_counter()
        saver.save(number, state)
        blocked.append(time.perf_counter() - started)
        saver.wait()
        whole.append(time.perf_counter() - started)
    print(1000 * statistics.median(blocked[3:]), 1000 * max(blocked[3:]), 1000 * statistics.median(whole[3:]))


def save_for_ever(name: str, folder: str, parameters: str) -> None:
    """Save without a pause, and say so after each."""
    saver, number = SAVERS[name](Path(folder)), 0
    while True:
        number += 1
        saver.save(number, state_of(int(parameters), number))
        saver.wait()
        print(number, flush=True)


def save_twice(name: str, folder: str, journal: str) -> None:
    """Save two with every call written down by `shim.c`."""
    import ctypes

    library = ctypes.CDLL(None)
    library.faults_begin(str(Path(folder).parent).encode(), journal.encode(), 0, ctypes.c_int64(0), 0)
    saver = SAVERS[name](Path(folder))
    for number in (1, 2):
        saver.save(number, state_of(1000, number))
        saver.wait()
        library.faults_mark(f"saved {number}".encode())
    os._exit(0)


def restore(name: str, folder: str) -> None:
    """Print what is restored: its number, or ``mixture`` where the arrays are not all of that number."""
    number, arrays = SAVERS[name](Path(folder)).restore()
    print(number if is_whole(arrays, number) else "mixture", flush=True)
    os._exit(0)


def kills(name: str, folder: Path) -> str:
    """Kill at random moments; count what is restored against what was said to be saved."""
    random_, right, folders = random.Random(1), 0, 0
    for kill in range(KILLS):
        place = folder / f"kill-{kill}"
        process = python(__file__, "save_for_ever", name, place, PARAMETERS["cnn"])
        assert process.stdout is not None
        said = int(process.stdout.readline() or 0)
        time.sleep(random_.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        said = max([said, *map(int, process.stdout.read().split())])
        process.wait()
        right += output_of(__file__, "restore", name, place) in (str(said), str(said + 1))
        folders += len(list(place.iterdir()))
        shutil.rmtree(place)
    return f"{right} of {KILLS} kills restored the newest; {folders / KILLS:.1f} entries left in the folder on average"


def flips(name: str, folder: Path) -> str:
    """Flip single bits of the newest checkpoint; count what came of it."""
    saver = SAVERS[name](folder / "flips")
    for number in (1, 2):
        saver.save(number, state_of(PARAMETERS["mlp"], number))
        saver.wait()
    outcomes = {"the one before": 0, "an error": 0, "altered numbers, silently": 0, "the newest, unharmed": 0}
    newest = [path for path in sorted((folder / "flips").rglob("*")) if path.is_file() and is_newest(path, folder)]
    sizes = [path.stat().st_size for path in newest]
    random_ = random.Random(2)
    for _ in range(FLIPS):
        path = random_.choices(newest, sizes)[0]
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[random_.randrange(len(whole))] ^= 1 << random_.randrange(8)
        path.write_bytes(changed)
        outcomes[outcome(SAVERS[name](folder / "flips"))] += 1
        path.write_bytes(whole)
    return ", ".join(f"{what}: {count}" for what, count in outcomes.items())


def is_newest(path: Path, folder: Path) -> bool:
    first = path.relative_to(folder / "flips").parts[0]
    return int(first.split("-")[0]) == 2


def outcome(saver: Saver) -> str:
    try:
        number, arrays = saver.restore()
    except Exception:
        return "an error"
    if not is_whole(arrays, number):
        return "altered numbers, silently"
    return "the newest, unharmed" if number == 2 else "the one before"


def power_cut(name: str, folder: Path) -> str:
    """Lose all that was not forced to the disk, right after the second save was over."""
    sys.path.insert(0, str(FAULTS))
    from disk import Disk, read_journal, write_snapshot

    library = folder / "shim.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, FAULTS / "shim.c", "-ldl"], check=True)
    was, now = folder / "was" / "run", folder / "now"
    was.parent.mkdir()
    python(
        __file__, "save_twice", name, was, folder / "journal", environment={"LD_PRELOAD": str(library)}
    ).communicate()
    disk = Disk()
    for call in read_journal(folder / "journal"):
        disk.apply(call)
    found = []
    for loss, snapshot in disk.after_power_cut(()):
        shutil.rmtree(now, ignore_errors=True)
        write_snapshot(snapshot, was, now)
        found.append(f"{loss}: {output_of(__file__, 'restore', name, now) or 'nothing is restored'}")
    return ", ".join(found)


def report(name: str, folder: Path) -> Iterator[str]:
    yield f"import: {import_milliseconds(name):.0f} ms after jax"
    for model, parameters in PARAMETERS.items():
        blocked, worst, whole = output_of(__file__, "save_often", name, folder / model, parameters).split()
        megabytes = sum(path.stat().st_size for path in (folder / model).rglob("*") if path.is_file()) / 3e6
        yield (
            f"{model}, {12 * parameters / 1e6:.1f} MB: blocks {float(blocked):.1f} ms (at most {float(worst):.1f}), "
            f"takes {float(whole):.1f} ms, {megabytes:.1f} MB a checkpoint"
        )
    yield f"kill -9: {kills(name, folder)}"
    yield f"flipped bits: {flips(name, folder)}"
    if sys.platform.startswith("linux") and shutil.which("cc"):
        yield f"power cut after the second save was over: {power_cut(name, folder)}"


def main() -> None:
    for name in SAVERS:
        if find_spec(IMPORTS[name].split(".")[0]) is None:
            print(f"{name}: not installed")
            continue
        with tempfile.TemporaryDirectory() as folder:
            for line in report(name, Path(folder)):
                print(f"{name}: {line}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        globals()[sys.argv[1]](*sys.argv[2:])
    else:
        main()
