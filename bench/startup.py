"""How long commands take that train nothing, as whole processes: `python bench/startup.py`.

`epochal runs` lists 100 runs of 50 epochs and 30,000 iterations each; goals: `plan` below 0.25 s, `runs` below 0.5 s.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import epochal

REPEATS, RUNS = 7, 100
_COMMAND = [sys.executable, "-c", "import sys; from epochal.cli import main; sys.exit(main())"]
_LOADED = "import sys; from epochal.cli import main; main(); print(sorted({'jax', 'numpy'} & set(sys.modules)))"


def seconds(arguments: list[str], folder: str) -> float:
    started = time.perf_counter()
    subprocess.run([*_COMMAND, *arguments], cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def loaded(arguments: list[str], folder: str) -> str:
    """Return which of the heavy packages a command loads."""
    command = [sys.executable, "-c", _LOADED, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()[-1]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "runs" / "run-0"
        epochal.train("digits", model="linear", batch_size=2, epochs=42, run=first, progress=False)
        for number in range(1, RUNS):
            shutil.copytree(first, first.with_name(f"run-{number}"))

        commands = {
            "epochal --help": ["--help"],
            "epochal plan": ["plan", "--samples", "60000", "--batch-size", "100", "--iterations", "30000"],
            "epochal train --help": ["train", "--help"],
            f"epochal runs ({RUNS} runs)": ["runs"],
            "epochal show RUN": ["show", "runs/run-0"],
        }
        for name, arguments in commands.items():
            times = sorted(seconds(arguments, folder) for _ in range(REPEATS))
            spread = f"{times[0]:.2f} to {times[-1]:.2f}"
            print(f"{name:26} {statistics.median(times):.2f} s ({spread}), loads {loaded(arguments, folder)}")


if __name__ == "__main__":
    main()
