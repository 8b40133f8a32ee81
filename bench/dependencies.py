"""Measure what each dependency costs: megabytes on disk, and milliseconds to import after those before it.

python bench/dependencies.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from importlib.metadata import distribution

IMPORTS = {
    "numpy": "numpy",
    "jaxlib": "jaxlib",
    "jax": "jax",
    "jaxtyping": "jaxtyping",
    "optax": "optax",
    "safetensors": "safetensors.numpy",
    "tomli-w": "tomli_w",
    "platformdirs": "platformdirs",
    "rich": "rich.progress",
    "jinja2": "jinja2",
}
NOT_IMPORTED = ("scipy", "scikit-learn", "filelock")
_REPEATS = 5


def megabytes(name: str) -> float:
    files = distribution(name).files or []
    return sum(path.stat().st_size for file in files if (path := file.locate()).is_file()) / 1e6


def import_milliseconds(module: str, before: list[str]) -> float:
    first = "; ".join(f"import {name}" for name in before) or "pass"
    code = f"{first}; import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    times = []
    for _ in range(_REPEATS):
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        times.append(float(out))
    return 1000 * statistics.median(times)


def main() -> None:
    print("| package | MB | import, ms |\n| --- | --- | --- |")
    before: list[str] = []
    for name, module in IMPORTS.items():
        print(f"| {name} | {megabytes(name):.1f} | {import_milliseconds(module, before):.0f} |", flush=True)
        before.append(module)
    for name in NOT_IMPORTED:
        print(f"| {name} | {megabytes(name):.1f} | not imported |")


if __name__ == "__main__":
    main()
