"""Whole-process figures: from starting Python to the first update and to a test accuracy, and peak memory."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import time
from typing import Any, NamedTuple

from environment import BENCH, FOLDER, PYTHON, environment


class Goal(NamedTuple):
    """A test accuracy to reach from the start of the process."""

    model: str
    accuracy: float
    optimizer: str
    lr: float


FORMS = ("Epochal, first start", "Epochal, second start", "PyTorch, DataLoader", "PyTorch, indexing")
_CACHE = FOLDER / "cache"


def goals(*, quick: bool) -> tuple[Goal, ...]:
    """Return the goals to measure; the quick measurement has the one that has a target."""
    target = Goal("mlp", 0.98, "momentum", 0.05)
    return (target,) if quick else (Goal("mlp", 0.97, "momentum", 0.05), target, Goal("cnn", 0.99, "momentum", 0.02))


def run_once(form: str, goal: Goal, seed: int, threads: int) -> dict[str, Any]:
    """Run one process; return its figures in seconds from its start, and MiB."""
    if form == "Epochal, first start":
        shutil.rmtree(_CACHE, ignore_errors=True)
    script = "whole_epochal.py" if form.startswith("Epochal") else "whole_torch.py"
    extra = [] if form.startswith("Epochal") else [form.removeprefix("PyTorch, ").lower().removeprefix("data")]
    command = [PYTHON, BENCH / script, *map(str, goal), str(seed), *extra]
    started = time.time()
    process = subprocess.Popen(command, env=environment(threads), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    ended = time.time()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return {"form": form, "failed": process.returncode}
    seen = json.loads(out.splitlines()[-1])
    return {
        "form": form,
        "first_update": seen["first_update"] - started,
        "goal": seen["goal"] - started if "goal" in seen else None,
        "exit": ended - started,
        "cpu": usage.ru_utime + usage.ru_stime,
        "epochs": seen["epochs"],
        "accuracy": seen["accuracy"],
        "peak_mib": usage.ru_maxrss / 1024,
    }


def measure_whole(goal: Goal, threads: int, *, quick: bool) -> dict[str, Any]:
    """Return each form's medians over repetitions, in turns; each repetition has another seed."""
    repetitions = 1 if quick or goal.model == "cnn" else 3
    forms = [form for form in FORMS if not quick or form != "PyTorch, DataLoader"]
    runs: dict[str, list[dict[str, Any]]] = {form: [] for form in forms}
    for seed in range(repetitions):
        for form in forms:
            runs[form].append(run_once(form, goal, seed, threads))
    problem = {"model": goal.model, "goal": goal.accuracy, "optimizer": goal.optimizer, "lr": goal.lr}
    return {**problem, "forms": [_summary(form, runs[form]) for form in forms]}


def _summary(form: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    good = [run for run in runs if "failed" not in run and run["goal"] is not None]
    if not good:
        return {"form": form, "failed": True}
    names = ("first_update", "goal", "exit", "cpu", "epochs", "peak_mib")
    medians = {name: statistics.median(run[name] for run in good) for name in names}
    spread = [min(run["goal"] for run in good), max(run["goal"] for run in good)]
    return {"form": form, **medians, "spread": spread, "runs": len(good)}
