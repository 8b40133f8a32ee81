"""The same contenders on a GPU, in one command and under 8 minutes, with the Python that runs this.

    pip install '.[cuda]' keras lightning skorch && pip install torch==2.13.0   # a CUDA build of it
    python bench/gpu.py [--out docs/benchmarks-gpu.json]

Without a GPU it says so and makes a smoke test on the CPU: tiny trainings that show that every contender works.
A contender whose package is missing is left out, with its reason.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measure import measure_all
from work import Effort, Work

_JAX = "import jax; d = jax.devices()[0]; print(d.platform, d.device_kind, sep='|')"
_TORCH = "import torch; print(torch.cuda.is_available())"


def find_gpu() -> str | None:
    """Return the GPU's name where JAX sees one; asked in a process of its own, so that its memory stays free."""
    done = subprocess.run([sys.executable, "-c", _JAX], capture_output=True, text=True)
    platform, _, kind = done.stdout.strip().rpartition("\n")[2].partition("|")
    return kind if platform in ("gpu", "cuda", "rocm") else None


def torch_sees_gpu() -> bool:
    return "True" in subprocess.run([sys.executable, "-c", _TORCH], capture_output=True, text=True).stdout


def smoke_works(works: tuple[Work, ...]) -> tuple[Work, ...]:
    """Return the same works over 300 samples and a few updates."""
    return tuple(dataclasses.replace(work, samples=300, updates=4) for work in works if work.batch_size != 1000)


def print_table(numbers: dict[str, Any]) -> None:
    for result in numbers["results"]:
        work = Work(**result["work"])
        print(f"\n{work.name}: µs an iteration, median of {len(max(r['times'] for r in result['rows']))}")
        timed = [row for row in result["rows"] if row["times"]]
        for row in sorted(timed, key=lambda row: statistics.median(row["times"])):
            accuracy = f"{100 * row['accuracy']:.1f} %"
            print(f"  {row['contender']:<28} {statistics.median(row['times']) * 1e6:12,.1f}   {accuracy}")
        for row in result["rows"]:
            if row["cannot"]:
                print(f"  {row['contender']:<28} {row['cannot']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2)
    options = parser.parse_args()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # contenders share the GPU's memory
    gpu, effort = find_gpu(), Effort.quick()
    if gpu is None:
        print("NO GPU FOUND: what follows is a smoke test on the CPU, not a measurement.", flush=True)
        effort = Effort(2, 0.01, smoke_works(effort.works))
    elif not torch_sees_gpu():
        print(f"JAX sees {gpu}, PyTorch does not: its contenders will fail. Install a CUDA build.", flush=True)
    started = time.monotonic()
    device = "cpu" if gpu is None else "cuda"
    results = measure_all(effort, options.threads, quick=True, device=device, python=sys.executable)
    name = gpu or "no GPU found: CPU smoke test"
    numbers = {"results": results, "device": name, "seconds": time.monotonic() - started}
    print_table(numbers)
    print(f"\ndevice: {numbers['device']}, {numbers['seconds']:.0f} s")
    if options.out and gpu:
        options.out.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
