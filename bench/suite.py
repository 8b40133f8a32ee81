"""Measure everything and write docs/benchmarks.md, its picture and its raw numbers.

    python bench/suite.py [--quick] [--threads 2] [--clock cpu] [--only NAMES [--merge]] [--page]

It makes its own virtual environment first. ``--quick`` measures the rows that have a target, in about six minutes;
``--clock cpu`` is for a machine that other work keeps busy: one thread each, and processor seconds instead of
passing ones. ``--only "mlp,sgd,B=1"`` measures one row and prints it; ``--only cnn+scaling --merge`` puts those parts
into the page in the place of older ones, which must be of the same machine and versions: after a change that concerns
them alone, or to go on after a measurement that was cut short. ``--page`` only writes the page from its numbers.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from environment import BENCH, PYTHON, ROOT, environment, hold_to, make_environment

NUMBERS = ROOT / "docs" / "benchmarks.json"
BESIDE = {"modules": ("libraries.py",), "estimators": ("estimators.py", "fits", "large")}
"""Parts that are commands of their own, and their words: modules of other libraries, and scikit-learn's estimators."""


def describe_machine(threads: int) -> dict[str, Any]:
    """Return what the numbers are measured on."""
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
    }


class Numbers:
    """What is measured, kept on the way, so that a measurement that was cut short can be shown and gone on with."""

    def __init__(self, threads: int, *, quick: bool, merge: bool) -> None:
        machine = describe_machine(threads)
        if merge and NUMBERS.exists():
            self.kept: dict[str, Any] = json.loads(NUMBERS.read_text())
            same = ("processor", "threads", "clock", "versions")
            if self.kept["quick"] != quick or any(self.kept["machine"][name] != machine[name] for name in same):
                raise SystemExit(
                    f"{NUMBERS.name} was measured otherwise or elsewhere: run `make bench`, without --merge"
                )
            self.kept["in_parts"] = True
        else:
            self.kept = {"machine": machine, "quick": quick, "seconds": 0.0, "results": [], "whole": []}
        self.kept["load_before"] = max(os.getloadavg()[0], self.kept.get("load_before", 0.0))
        self.before, self.started = self.kept["seconds"], time.monotonic()

    def keep(self, part: str, more: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Write ``more`` down: in the place of an earlier measurement of the same, or at the end."""
        if isinstance(more, list):
            known = {_name(one): one for one in self.kept[part]}
            more = list((known | {_name(one): one for one in more}).values())
        self.kept |= {part: more, "load_after": os.getloadavg()[0]}
        self.kept["seconds"] = self.before + time.monotonic() - self.started
        NUMBERS.write_text(json.dumps(self.kept, indent=1) + "\n")


def _name(one: dict[str, Any]) -> str:
    """Return what a measurement is of; lengths and rates of a row's short training are no part of it."""
    work = one.get("work", one)
    return str([work.get(name) for name in ("model", "optimizer", "batch_size", "samples", "goal")])


def chosen(names: str | None, name: str) -> bool:
    """Say whether a part is asked for: ``names`` are words of names with commas, and ``+`` between them."""
    words = {word.strip() for word in name.split(",")}
    return names is None or any({word.strip() for word in one.split(",")} <= words for one in names.split("+"))


def measure_everything(threads: int, only: str | None, *, quick: bool, merge: bool) -> None:
    """Measure the parts that are asked for; without ``merge``, only a measurement of all of them is kept."""
    sys.path.insert(0, str(BENCH))
    from measure import measure_all
    from scaling import measure_scaling
    from whole import goals, measure_whole
    from work import Effort

    effort = Effort.quick() if quick else Effort.full()
    works = tuple(work for work in effort.works if chosen(only, work.name))
    if only and not merge:
        if not works:
            raise SystemExit(f"no row is called '{only}'; a row's name is like 'mlp,sgd,B=100'")
        measure_all(dataclasses.replace(effort, works=works), threads, quick=quick)
        return
    numbers = Numbers(threads, quick=quick, merge=merge)
    if chosen(only, "limits") or "limits" not in numbers.kept:
        command = [PYTHON, BENCH / "limits.py"]
        limits = subprocess.run(command, env=environment(threads), capture_output=True, text=True, check=True)
        numbers.keep("limits", json.loads(limits.stdout))
    if works:
        effort = dataclasses.replace(effort, works=works)
        measure_all(effort, threads, quick=quick, keep=lambda result: numbers.keep("results", [result]))
    for goal in goals(quick=quick):
        if chosen(only, f"whole,{goal.model},{goal.accuracy:.0%}"):
            print(f"whole process, {goal.model} to {goal.accuracy:.0%} …", file=sys.stderr, flush=True)
            numbers.keep("whole", [measure_whole(goal, threads, quick=quick)])
    if chosen(only, "scaling"):
        print("scaling …", file=sys.stderr, flush=True)
        numbers.keep("scaling", measure_scaling(threads, quick=quick))
    for part, words in BESIDE.items():
        if chosen(only, part) and not quick:
            print(f"{part} …", file=sys.stderr, flush=True)
            numbers.keep(part, measured_by(words, threads))


def measured_by(words: tuple[str, ...], threads: int) -> dict[str, Any]:
    """Return what another command of this folder measures, which is for use by itself, too."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "numbers.json"
        command = [PYTHON, BENCH / words[0], *words[1:], "--out", out]
        subprocess.run(command, env=environment(threads), stdout=sys.stderr, check=True)
        numbers: dict[str, Any] = json.loads(out.read_text())
        return numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help="what to measure, '+' between: rnn+cnn,sgd,B=1+whole,mlp+scaling+modules")
    parser.add_argument("--merge", action="store_true", help="with --only: keep what is measured, and write the page")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor seconds of one thread")
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    if options.clock == "cpu":
        options.threads, os.environ["BENCH_CLOCK"] = 1, "cpu"
    make_environment()
    hold_to(options.threads)
    if not options.page:
        measure_everything(options.threads, options.only, quick=options.quick, merge=options.merge)
        if options.only and not options.merge:
            return
    subprocess.run([PYTHON, BENCH / "page.py", NUMBERS, ROOT / "docs"], env=environment(options.threads), check=True)


if __name__ == "__main__":
    main()
