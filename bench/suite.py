"""Measure everything and write docs/benchmarks.md, its picture and its raw numbers.

    python bench/suite.py [--quick] [--threads 2] [--clock cpu] [--only mlp,sgd,B=1] [--page]

It makes its own virtual environment first. ``--quick`` measures the rows that have a target, in about six minutes;
``--clock cpu`` is for a machine that other work keeps busy: one thread each, and processor seconds instead of
passing ones. ``--page`` only writes the page again from the numbers of the last measurement.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from environment import BENCH, PYTHON, ROOT, environment, hold_to, make_environment

NUMBERS = ROOT / "docs" / "benchmarks.json"


def describe_machine(threads: int) -> dict[str, Any]:
    """Return what the numbers were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    packages = ("jax", "torch", "lightning", "keras", "scikit-learn", "skorch", "numpy")
    code = f"from importlib.metadata import version as v; print(*(f'{{p}} {{v(p)}}' for p in {packages}), sep=', ')"
    versions = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "processor": names[0] if names else platform.processor(),
        "processors": os.cpu_count(),
        "threads": threads,
        "clock": os.environ.get("BENCH_CLOCK", "wall"),
        "python": platform.python_version(),
        "versions": versions,
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def measure_everything(threads: int, only: str | None, *, quick: bool) -> None:
    """Measure, and keep the numbers on the way, so that what was cut short can be shown."""
    sys.path.insert(0, str(BENCH))
    from measure import measure_all
    from scaling import measure_scaling
    from whole import measure_whole
    from work import Effort

    effort = Effort.quick() if quick else Effort.full()
    if only:
        chosen = tuple(w for w in effort.works if only.replace(" ", "") in w.name.replace(" ", ""))
        measure_all(dataclasses.replace(effort, works=chosen), threads, quick=quick)
        return
    started = time.monotonic()
    command = [PYTHON, BENCH / "limits.py"]
    limits = subprocess.run(command, env=environment(threads), capture_output=True, text=True, check=True)
    numbers = {"machine": describe_machine(threads), "quick": quick, "limits": json.loads(limits.stdout)}

    def keep(more: dict[str, Any]) -> None:
        numbers.update(more, seconds=time.monotonic() - started)
        NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n")

    measure_all(effort, threads, quick=quick, keep=keep)
    print("whole processes …", file=sys.stderr, flush=True)
    keep({"whole": measure_whole(threads, quick=quick)})
    print("scaling …", file=sys.stderr, flush=True)
    keep({"scaling": measure_scaling(threads, quick=quick)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help="measure only works whose name holds this, and print")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor seconds of one thread")
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    if options.clock == "cpu":
        options.threads, os.environ["BENCH_CLOCK"] = 1, "cpu"
    make_environment()
    hold_to(options.threads)
    if not options.page:
        measure_everything(options.threads, options.only, quick=options.quick)
        if options.only:
            return
    subprocess.run([PYTHON, BENCH / "page.py", NUMBERS, ROOT / "docs"], env=environment(options.threads), check=True)


if __name__ == "__main__":
    main()
