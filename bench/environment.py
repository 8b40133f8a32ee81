"""The benchmark's own virtual environment, `.bench-venv`, made from bench/requirements.txt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
FOLDER = ROOT / ".bench-venv"
PYTHON = FOLDER / "bin" / "python"
_REQUIREMENTS = BENCH / "requirements.txt"
_MADE_FROM = FOLDER / "made-from.txt"


def make_environment() -> None:
    """Make the environment unless it was made from the present requirements: torch first, then nothing may move it."""
    if _MADE_FROM.exists() and _MADE_FROM.read_text() == _REQUIREMENTS.read_text():
        return
    print(f"making {FOLDER.name} …", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", FOLDER], check=True)
    torch = next(line for line in _REQUIREMENTS.read_text().splitlines() if line.startswith("torch=="))
    constraint = FOLDER / "constraint.txt"
    constraint.write_text(torch + "\n")
    pip = [PYTHON, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, torch], check=True)
    subprocess.run([*pip, "--constraint", constraint, "--requirement", _REQUIREMENTS], check=True)
    subprocess.run([*pip, "--constraint", constraint, "--editable", ROOT], check=True)
    _MADE_FROM.write_text(_REQUIREMENTS.read_text())


def environment(threads: int) -> dict[str, str]:
    """Return the variables that every measured process gets: the same threads, and folders of the benchmark's own."""
    given = {
        "EPOCHAL_DATA": str(ROOT.parent / "shared" / "data"),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "TORCHINDUCTOR_CACHE_DIR": str(FOLDER / "inductor"),
        "XDG_CACHE_HOME": str(FOLDER / "cache"),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONWARNINGS": "ignore",
    }
    return {**given, **os.environ, "PYTHONPATH": str(BENCH)}  # BENCH_CLOCK=cpu: see contenders/__init__.py


def hold_to(threads: int) -> None:
    """Let this process and those that it starts run on so many processors only, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
